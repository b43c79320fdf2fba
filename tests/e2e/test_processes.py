"""Processes of the balancer that die, are reloaded, drained or left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

from tests.stand import proc
from tests.stand.balancer import FAST_HEALTH, Balancer, cluster
from tests.stand.client import Client, Load
from tests.stand.proc import wait_until
from tests.stand.target import StubTarget, held, plain


async def test_a_killed_data_plane_is_replaced_and_its_pending_zeroed(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with (
        StubTarget() as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])], processes=2) as balancer,
    ):
        target.answers["/cluster1/held"] = held(gate)
        waiting = [await Client.connect(balancer.port) for _ in range(32)]
        for client in waiting:
            await client.send(b"GET /cluster1/held HTTP/1.1\r\nHost: test\r\n\r\n")
        await balancer.wait_pending(32)
        doomed, other = balancer.dataplanes
        load = Load(balancer.port, connections=8)
        async with load.running():
            os.kill(doomed, signal.SIGKILL)
            await wait_until(
                lambda: len(balancer.dataplanes) == 2 and doomed not in balancer.dataplanes,
                "a successor",
            )
            await load.wait_answered(300)
        assert other in balancer.dataplanes
        # What the killed process itself held is lost; 8 connections hold at most 8 requests, and
        # each is sent again once. Nobody else notices.
        assert load.failed == {}
        gate.set()
        kept = 0
        for client in waiting:
            with contextlib.suppress(ConnectionError):
                kept += (await client.response()).status == 200
            await client.close()
        assert 0 < kept < 32
        await balancer.wait_pending(0)
        ended = balancer.events("child ended")
        assert [(e["child_pid"], e["by"]) for e in ended] == [(doomed, "SIGKILL")]


async def test_requests_flow_while_the_control_plane_is_replaced(tmp_path: Path) -> None:
    async with (
        StubTarget() as stays,
        StubTarget() as drained,
        Balancer(
            tmp_path, [cluster("cluster1", [stays.address, drained.address])], processes=2
        ) as balancer,
    ):
        target = f"cluster1/{drained.address}"
        await balancer.api(f"/api/targets/{target}/drain", "POST")
        doomed = balancer.control
        load = Load(balancer.port, connections=8)
        async with load.running():
            await load.wait_answered(50)
            count = drained.count
            os.kill(doomed, signal.SIGKILL)
            await wait_until(
                lambda: (
                    any(".control" in x for x in balancer.pids.values())
                    and balancer.control != doomed
                ),
                "a successor",
            )
            await balancer.wait_ready()
            await load.wait_answered(300)
        assert load.failed == {}
        assert load.cut_short == load.resent == 0
        assert drained.count == count
        assert (await balancer.targets())[target]["state"] == "draining"


async def test_reload_under_load_loses_nothing(tmp_path: Path) -> None:
    async with (
        StubTarget(plain(extra=b"X-Stub: old\r\n")) as old,
        StubTarget(plain(extra=b"X-Stub: new\r\n")) as new,
        Balancer(tmp_path, [cluster("cluster1", [old.address])], processes=2) as balancer,
    ):
        load = Load(balancer.port, connections=16)
        async with load.running():
            for target in (new, old, new):  # all targets swapped at once, each time
                balancer.config["clusters"] = [cluster("cluster1", [target.address])]
                await balancer.reload()
                before = target.count
                while target.count < before + 50:
                    await load.wait_answered(20)
        assert load.failed == {}
        assert load.cut_short == load.resent == 0
        assert load.served_by["new"] >= 100
        assert load.served_by["old"] >= 100
        await balancer.wait_pending(0)


async def test_a_wrong_reload_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with (
        StubTarget() as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])]) as balancer,
        await Client.connect(balancer.port) as client,
    ):
        right = dict(balancer.config)
        balancer.config["clusters"] = [cluster("cluster1", [target.address], policy="no_such")]
        balancer.config["surprise"] = 1
        await balancer.reload()
        balancer.config = right | {"processes": 3}
        await balancer.reload()
        problems = [
            e["problem"] for e in balancer.events("reload refused, the old configuration stays")
        ]
        assert sum("no_such" in p for p in problems) == 1
        assert sum("surprise" in p for p in problems) == 1
        assert problems[-1].startswith("processes: 1 -> 3 needs a restart")
        assert (await client.get("/cluster1")).status == 200


async def test_sigterm_lets_pending_requests_finish(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with (
        StubTarget(held(gate)) as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])], processes=2) as balancer,
    ):
        clients = [await Client.connect(balancer.port) for _ in range(8)]
        for client in clients:
            await client.send(b"GET /cluster1 HTTP/1.1\r\nHost: test\r\n\r\n")
        await wait_until(lambda: target.pending == 8, "eight pending")
        balancer.signal(signal.SIGTERM)
        await wait_until(lambda: _refused(balancer.port), "the closed port")
        assert target.pending == 8
        gate.set()
        for client in clients:
            response = await client.response()
            assert response.status == 200
            assert client.closed_by_peer
            await client.close()
        assert await balancer.wait_exit() == 0
        assert [e["by"] for e in balancer.events("child ended")] == ["exit 0"] * 3


async def test_sigterm_under_load_loses_no_request(tmp_path: Path) -> None:
    async with (
        StubTarget() as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])], processes=2) as balancer,
    ):
        load = Load(balancer.port, connections=16)
        async with load.running():
            await load.wait_answered(200)
            balancer.signal(signal.SIGTERM)
            assert await balancer.wait_exit() == 0
        # New connections are refused once the port is closed: that alone is no loss of the drain.
        assert set(load.failed) <= {"ConnectionRefusedError"}
        assert load.cut_short == 0


async def test_a_second_signal_ends_it_now(tmp_path: Path) -> None:
    async with (
        StubTarget(held(asyncio.Event())) as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])]) as balancer,
        await Client.connect(balancer.port) as client,
    ):
        await client.send(b"GET /cluster1 HTTP/1.1\r\nHost: test\r\n\r\n")
        await wait_until(lambda: target.pending == 1, "one pending")
        pids = list(balancer.pids)
        balancer.signal(signal.SIGINT)
        await wait_until(lambda: balancer.events("draining"), "the drain")
        while not balancer.events("second signal: stopping now"):
            balancer.signal(signal.SIGINT)  # the first half second belongs to the first press
            await asyncio.sleep(0.05)
        assert await balancer.wait_exit(5) == 1
        assert not any(map(proc.alive, pids))


async def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    async with (
        StubTarget() as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])], processes=2) as balancer,
    ):
        pids = list(balancer.pids)
        assert len(pids) == 3
        balancer.signal(signal.SIGKILL)
        await wait_until(lambda: not any(map(proc.alive, pids)), "the children's end")


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for setting in ("listen", "admin"):
            balancer = Balancer(tmp_path, [cluster("cluster1", ["127.0.0.1:9"])])
            balancer.log = tmp_path / f"{setting}.log"
            balancer.config[setting] = f"127.0.0.1:{port}"
            await balancer.start()
            assert await balancer.wait_exit() == 1
            assert balancer.said() == (
                f"{setting} 127.0.0.1:{port}: port {port} is taken by another process\n"
            )


async def test_a_second_balancer_does_not_share_the_port(tmp_path: Path) -> None:
    """SO_REUSEPORT would let it, and half of the clients would meet a stranger."""
    async with (
        StubTarget() as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])]) as first,
    ):
        second = Balancer(tmp_path, [cluster("cluster1", [target.address])])
        second.log = tmp_path / "second.log"
        second.config["listen"] = first.config["listen"]
        await second.start()
        assert await second.wait_exit() == 1
        assert "is taken by another process" in second.said()


async def test_check_and_wrong_configurations(tmp_path: Path) -> None:
    file = tmp_path / "balancer.yaml"

    async def run(*arguments: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.balancer", "--config", str(file), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    balancer = Balancer(tmp_path, [cluster("cluster1", ["127.0.0.1:9"])])
    balancer.write_config()
    assert await run("--check") == (0, f"{file}: ok\n", "")
    balancer.config |= {"listen": "nonsense", "processes": "many", "health": FAST_HEALTH}
    balancer.write_config()
    code, out, err = await run()
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 3
    assert "Traceback" not in err
    file.unlink()
    code, _, err = await run("--check")
    assert code == 2
    assert len(err.splitlines()) == 1


def _refused(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.2)
        return sock.connect_ex(("127.0.0.1", port)) != 0
