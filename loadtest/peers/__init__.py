"""Our balancer beside HAProxy, nginx, Envoy and Caddy, on one machine, in the same minutes.

The story, in the order of the files:

    machine      which cores there are: the proxy gets one, targets and generator share the rest
    scenario     what is asked: response size, connections, request headers; frozen data
    contenders   who answers: each proxy's program, and its configuration tuned as its docs advise
    interpreter  the Python that runs ours: the distribution's, as the peers are
    process      a proxy running on its core: started, awaited, its whole tree's CPU read, stopped
    targets      four cheap HTTP targets behind every proxy (one nginx, four ports)
    generate     who asks: wrk in a closed loop; `openloop` at a fixed arrival rate
    measure      one run: check the answers, warm up, generate, read CPU; a wrong answer voids it
    rounds       runs interleaved over the proxies; medians and ratios
    report       JSON, the terminal's table, Markdown; `plot` draws the SVG

    thousand     1000 requests with k6 through us and through HAProxy to the same real workers
    processes    what a request costs with two data-plane processes, beside one
    idle         memory per idle client connection

What counts is requests per CPU-second of the proxy's whole process tree: on a machine with two
cores and noisy neighbours a ratio taken within one round holds, throughput does not.
"""
