"""Who is compared: our balancer, once a policy, and other proxies at their best algorithm.

All with equal weights. `simulated` is the arena's policy that does what a contender does: nginx's
`least_conn` and HAProxy's `leastconn` look at all targets' pending requests, Envoy's LEAST_REQUEST
draws two (`choice_count` 2, its default) and takes the one with fewer.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from loadtest.arena.compare import spec_of
from loadtest.peers import contenders as peers
from loadtest.peers.contenders import Proxy

OTHERS: Final = {
    "nginx": replace(
        peers.NGINX, title="nginx least_conn", launch=partial(peers.nginx, method="least_conn;")
    ),
    "haproxy": replace(
        peers.HAPROXY,
        title="HAProxy leastconn",
        launch=partial(peers.haproxy, balance="leastconn"),
    ),
    "envoy": replace(
        peers.ENVOY,
        title="Envoy LEAST_REQUEST",
        launch=partial(peers.envoy, lb_policy="LEAST_REQUEST"),
    ),
}
SIMULATED: Final = {"nginx": "least_pending", "haproxy": "least_pending", "envoy": "p2c"}
BEST_OF: Final = ("nginx", "haproxy")  # the better of the two is what we are measured against
DEFAULT: Final = ("steelyard", "peak_ewma", "least_pending", *OTHERS)


def contender(name: str, access_logs: Path | None = None) -> Proxy:
    """A proxy's name or a policy of ours, parameters included (`prequal:q_rif=0.9`).

    With `access_logs` ours writes its access log there, NAME.jsonl. Raises ValueError when there is
    neither.
    """
    if name in OTHERS:
        return OTHERS[name]
    spec = spec_of(name)
    policy = {"name": spec.name, **spec.params} if spec.params else spec.name
    log = None if access_logs is None else str(access_logs.absolute() / f"{name}.jsonl")
    launch = peers.steelyard(policy, access_log=log)
    return replace(peers.OURS, name=name, title=f"Steelyard {name}", launch=launch)


def simulated(name: str) -> str:
    """The arena's policy for a contender."""
    return SIMULATED.get(name, name)
