"""A new version takes over the sockets while the old one drains: real processes, under load."""

from __future__ import annotations

import signal
import socket
from functools import partial
from pathlib import Path

from tests.stand import proc
from tests.stand.balancer import Balancer, cluster
from tests.stand.client import Client, Load
from tests.stand.proc import wait_until
from tests.stand.target import Request, StubTarget

OFFER = "Connection: upgrade\r\nUpgrade: echo\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


async def echo(request: Request) -> None:
    """A target's end of a tunnel."""
    await request.send(SWITCH)
    while data := await request.reader.read(1000):
        await request.send(data)


def successor(balancer: Balancer) -> int:
    (started,) = balancer.events("upgrade: successor started")
    pid: int = started["successor_pid"]
    return pid


def _failures(balancer: Balancer, count: int) -> bool:
    return len(balancer.events("upgrade failed, this one stays")) == count


async def test_a_successor_takes_over_without_a_failed_request(tmp_path: Path) -> None:
    pid_file = tmp_path / "balancer.pid"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        async with (
            StubTarget() as target,
            StubTarget() as drained,
            Balancer(
                tmp_path,
                [cluster("cluster1", [target.address, drained.address])],
                processes=2,
                env={"NOTIFY_SOCKET": str(tmp_path / "notify")},
                arguments=("--pid-file", str(pid_file)),
                upgrades=["echo"],
            ) as balancer,
        ):
            target.answers["/cluster1/tunnel"] = drained.answers["/cluster1/tunnel"] = echo
            place = f"cluster1/{drained.address}"
            await balancer.api(f"/api/targets/{place}/drain", "POST")
            old = balancer.pid
            await wait_until(pid_file.exists, "all processes to serve", 30.0)
            assert pid_file.read_text() == f"{old}\n"
            load = Load(balancer.port, connections=16)
            async with (
                await Client.connect(balancer.port) as tunnel,
                await Client.connect(balancer.port) as idle,
                await Client.connect(balancer.port) as other,
                load.running(),
            ):
                assert (await idle.get("/cluster1")).status == 200
                assert (await tunnel.get("/cluster1/tunnel", OFFER)).status == 101
                before = drained.count
                await load.wait_answered(100)
                balancer.signal(signal.SIGUSR2)
                await wait_until(
                    lambda: balancer.events("upgrade: the successor serves, this one ends"),
                    "the hand-over",
                    30.0,
                )
                new = successor(balancer)
                balancer.signal(signal.SIGUSR2)  # a second one, while the first drains
                await load.wait_answered(300)
                await tunnel.send(b"still here")
                assert await tunnel.reader.readexactly(10) == b"still here"
                await tunnel.close()
                # Nobody hurries the old one: a client is told, and one that is idle not cut off.
                while not other.closed_by_peer:
                    assert (await other.get("/cluster1")).status == 200
                await load.wait_answered(500)
                assert (await idle.get("/cluster1")).status == 200
                assert idle.closed_by_peer
                assert await balancer.wait_exit() == 0
                balancer.follow(new)
                await balancer.wait_ready()
                await load.wait_answered(300)
            assert load.failed == {}
            assert load.cut_short == load.resent == 0
            # What the drain was told stays true; the successor's own counts begin anew.
            assert (await balancer.targets())[place]["state"] == "draining"
            assert drained.count == before
            assert pid_file.read_text() == f"{new}\n"
            assert not any(map(proc.alive, [old]))
            balancer.signal(signal.SIGTERM)
            await wait_until(lambda: not proc.alive(new), "the successor's end", 30.0)
            assert not pid_file.exists()
        told = [systemd.recv(100).decode() for _ in range(2)]
        assert told == [f"READY=1\nMAINPID={pid}" for pid in (old, new)]


async def test_a_successor_that_fails_costs_nothing(tmp_path: Path) -> None:
    pid_file = tmp_path / "balancer.pid"
    async with (
        StubTarget() as target,
        Balancer(
            tmp_path,
            [cluster("cluster1", [target.address])],
            arguments=("--pid-file", str(pid_file)),
        ) as balancer,
    ):
        await wait_until(pid_file.exists, "all processes to serve", 30.0)
        load = Load(balancer.port, connections=4)
        pids = set(balancer.pids)
        right = dict(balancer.config)
        async with load.running():
            for turn, wrong in enumerate(({"surprise": 1}, {"processes": 2}), start=1):
                balancer.config = right | wrong
                balancer.write_config()
                balancer.signal(signal.SIGUSR2)
                await wait_until(partial(_failures, balancer, turn), "the failure", 30.0)
            await load.wait_answered(50)
        assert load.failed == {}
        assert load.resent == load.cut_short == 0
        assert set(balancer.pids) == pids
        assert [e["by"] for e in balancer.events("upgrade failed, this one stays")] == [
            "exit 2"
        ] * 2
        assert "processes: 1 -> 2 needs a restart" in balancer.said()
