"""A test stand: what stands around the balancer in tests, real sockets and processes, no mocks.

    target    a raw HTTP/1.1 target whose answers are chosen to the byte, slow or broken on demand
    client    one raw client connection, and a bounded load generator over many of them
    proc      what /proc says of a process: memory, descriptors, children
    balancer  `python -m services.balancer` on free ports, waited for until ready
    worker    `python -m services.worker` likewise

Everything binds loopback, port 0 where it can, and is closed by `async with`.
"""
