"""The other balancers as this one hears them: as plain data, and as metrics."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.balancer.address import Address
from services.balancer.peers.attend import Peers
from services.balancer.peers.tally import Heard

RECEIVED = {
    "taken": (Heard.NEW, Heard.TAKEN),
    "own": (Heard.OWN,),
    "overtaken": (Heard.OVERTAKEN,),
    "strange": (Heard.STRANGE,),
    "malformed": (Heard.MALFORMED,),
}


def peers_data(peers: Peers) -> dict[str, Any]:
    """Who is known, who was heard, what went out and came in. Ages are seconds."""
    now = time.monotonic()
    teller, tally = peers.teller, peers.tally
    own = {Address(*place) for place in tally.own_places}
    errors = {} if teller is None else teller.wire.errors
    heard = {Address(*place): peer for place, peer in tally.peers.items()}
    return {
        "listen": peers.listen,
        "error": peers.error,
        "interval_ms": teller and round(teller.pace.interval_s * 1e3, 1),
        "sent": _sent(peers),
        "received": _received(peers),
        "sources": [
            {"source": watch.source.name, "addresses": watch.found, "error": watch.error}
            for watch in peers.watches.values()
        ],
        "peers": [
            {
                "address": str(address),
                "this_one": address in own,
                "heard_s_ago": None if peer is None else round(now - peer.heard_at, 3),
                "known_s": None if peer is None else round(now - peer.since, 3),
                "datagrams": 0 if peer is None else peer.datagrams,
                "pending": 0 if peer is None else sum(peer.counts),
                "error": errors.get((address.host, address.port)),
            }
            for address in sorted({*peers.addresses, *heard})
            for peer in (heard.get(address),)
        ],
    }


class PeersCollector(Collector):
    """Read anew at each scrape. The counters begin again with each socket."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    def collect(self) -> Iterator[Metric]:
        """Nothing while balancers do not tell each other."""
        if self._peers.teller is None:
            return
        yield GaugeMetricFamily(
            "steelyard_peers",
            "Other balancers heard in the last seconds",
            value=len(self._peers.tally.peers),
        )
        yield GaugeMetricFamily(
            "steelyard_peers_interval_seconds",
            "Between two rounds of telling while there is news",
            value=self._peers.teller.pace.interval_s,
        )
        for name, text, counts in (
            ("sent", "Datagrams to other balancers by what became of them", _sent),
            ("received", "Datagrams to this port by what they were", _received),
        ):
            family = CounterMetricFamily(
                f"steelyard_peers_datagrams_{name}", text, labels=("result",)
            )
            for result, count in counts(self._peers).items():
                family.add_metric((result,), count)
            yield family


def _sent(peers: Peers) -> dict[str, int]:
    if peers.teller is None:
        return {}
    wire = peers.teller.wire
    return {"sent": wire.sent, "dropped": wire.dropped, "failed": wire.failed}


def _received(peers: Peers) -> dict[str, int]:
    if peers.teller is None:
        return {}
    heard = peers.teller.heard
    return {name: sum(heard[kind] for kind in kinds) for name, kinds in RECEIVED.items()}
