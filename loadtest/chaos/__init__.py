"""A balancer under fire: a steady load, one fault at a time, and the proof that nothing was lost.

In the order of the files:

- ``plan``        which faults, in which order: seeded, pure
- ``target``      a small target as a process of its own, which breaks on command
- ``targets``     these processes: started, killed, stopped, told how to answer
- ``balancer``    the balancer as real processes, and its admin API
- ``connection``  one client connection; what became of a request, to the byte
- ``load``        an open arrival rate of GET and POST, each with an id of its own
- ``faults``      how each fault is done and undone, and what recovered means
- ``verdict``     records, logs and measurements -> what was lost and why; pure
- ``drive``       one run: calm, faults, calm again
- ``report``      the verdict in words

``python -m loadtest.chaos --seed 1 --seconds 240``; the exit code says whether it held.
"""
