"""A cloud on this machine: moto answers the API, containers are its instances.

world       what everything here shares: the clock, the machines, the account
"""
