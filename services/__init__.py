"""The two services that ship as images: the worker and the balancer.

They share `contract` (words both must agree on) and nothing else.
"""
