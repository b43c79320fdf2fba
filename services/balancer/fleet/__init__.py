"""Who exists and how healthy: everything the control plane knows of targets.

discover/   where addresses come from: static, file, dns, docker, ec2
slots       a column of the ledger for each target
registry    addresses of all sources -> members, each with its slot, health, drain flag
line        one small HTTP request to a target
health      active checks decide healthy or not; a visible transition table
probe       latency and load reports, all the time
snapshot    the picture as messages: full runs and coalesced differences
attend      ties them together and follows the configuration
"""
