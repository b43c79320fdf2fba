"""The arena's scenarios with real processes: does the simulator tell the truth?

The story, in the order of the files:

    schedule     scenario and seed -> each request with its work, each change of a machine's speed
    fleet        the scenario's machines as worker processes that model them
    contenders   our balancer, once a policy; nginx, HAProxy, Envoy at their best algorithm
    ask          who asks: a process that sends each request when it is due and changes the speeds
    rounds       contenders in turn, round after round, with the machine's own part in it measured
    beside       the very same requests and changes in the simulator
    judge        p99 side by side, ratios, who is before whom live and simulated, the marks
    report       for the terminal, as JSON, for docs/arena-live.md

Within a round every contender, and the simulator, meets the same requests at the same times, each
with the same work, and the same machines slow down at the same moments: what differs is who picked.
The machines are modelled (`WORK_MODE=model` of the worker), so that twelve CPUs fit on two real
ones; the processes, the connections and the balancers are real.
"""
