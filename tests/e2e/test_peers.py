"""Two whole balancers before the same targets, which tell each other what they have pending."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.stand.balancer import Balancer, cluster, free_ports
from tests.stand.client import Client
from tests.stand.proc import PATIENCE_S
from tests.stand.target import StubTarget, held


async def wait_elsewhere(balancer: Balancer, wanted: dict[str, int]) -> None:
    """Until it has heard that, by target address; its control plane may be away meanwhile."""
    seen: dict[str, int] = {}
    try:
        async with asyncio.timeout(PATIENCE_S):
            while seen != wanted:
                await asyncio.sleep(0.02)
                status, said = await balancer.api("/api/clusters")
                targets = said["clusters"][0]["targets"] if status == 200 else ()
                seen = {t["address"]: t["pending_elsewhere"] for t in targets}
    except TimeoutError as error:
        raise AssertionError(f"heard {seen}, not {wanted}") from error


async def test_balancers_avoid_what_others_have_made_busy(tmp_path: Path) -> None:
    gate = asyncio.Event()
    ports = free_ports(2, socket.SOCK_DGRAM)
    peers = [{"static": [f"127.0.0.1:{port}" for port in ports]}]

    def balancer(index: int, targets: list[str]) -> Balancer:
        folder = tmp_path / str(index)
        folder.mkdir()
        settings: dict[str, Any] = {"listen": f"127.0.0.1:{ports[index]}", "peers": peers}
        clusters = [cluster("c", targets, policy="least_pending")]
        return Balancer(folder, clusters, processes=2, balancers=settings)

    async with (
        StubTarget() as busy,
        StubTarget() as idle,
        balancer(0, [busy.address]) as first,
        balancer(1, [busy.address, idle.address]) as second,
    ):
        busy.answers["/c/held"] = held(gate)
        waiting = [await Client.connect(first.port) for _ in range(5)]
        for client in waiting:
            await client.send(b"GET /c/held HTTP/1.1\r\nHost: test\r\n\r\n")
        await first.wait_pending(5)
        await wait_elsewhere(second, {busy.address: 5, idle.address: 0})

        async with await Client.connect(second.port) as client:
            for _ in range(20):
                await client.send(b"GET /c HTTP/1.1\r\nHost: test\r\n\r\n")
                assert (await client.response()).status == 200
        assert (busy.count, idle.count) == (0, 20)

        _, said = await second.api("/api/peers")
        known = {peer["address"]: peer for peer in said["peers"]}
        assert set(known) == {f"127.0.0.1:{port}" for port in ports}
        assert known[f"127.0.0.1:{ports[0]}"]["pending"] == 5
        assert known[f"127.0.0.1:{ports[1]}"]["this_one"] is True
        assert (said["error"], said["received"]["malformed"]) == (None, 0)
        _, metrics = await second.api("/metrics")
        assert "steelyard_peers 1.0" in metrics
        assert 'steelyard_peers_datagrams_received_total{result="taken"}' in metrics

        # A control plane that starts anew hears it all again.
        os.kill(second.control, signal.SIGKILL)
        await wait_elsewhere(second, {busy.address: 5, idle.address: 0})

        # A reload turns it off, and on.
        second.config["balancers"] = {}
        await second.reload()
        await wait_elsewhere(second, {busy.address: 0, idle.address: 0})
        assert (await second.api("/api/peers"))[1]["peers"] == []
        second.config["balancers"] = {"listen": f"127.0.0.1:{ports[1]}", "peers": peers}
        await second.reload()
        await wait_elsewhere(second, {busy.address: 5, idle.address: 0})

        # Who is dead says nothing, and counts for nothing soon.
        for pid in (first.pid, *first.pids):
            os.kill(pid, signal.SIGKILL)
        await wait_elsewhere(second, {busy.address: 0, idle.address: 0})
        assert [event["peer"] for event in second.events("peer silent")] == [
            f"127.0.0.1:{ports[0]}"
        ]
        gate.set()
        for client in waiting:
            await client.close()
        second.signal(signal.SIGTERM)
        assert await second.wait_exit() == 0
        assert "Traceback" not in second.said()
