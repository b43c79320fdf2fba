"""The supervisor over children that only listen: what it tells them, and after which death."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.balancer.children import MAX_DELAY_S, describe_exit, restart_delay_s
from services.balancer.config import Config, Limits
from services.balancer.ledger import Ledger, ProcessCell
from services.balancer.messages import (
    Membership,
    Message,
    ProbeResult,
    Probes,
    ReloadRequest,
    TargetPicture,
    encode,
)
from services.balancer.sockets import bind_sockets
from services.balancer.supervisor import Supervisor
from tests.stand import proc
from tests.stand.balancer import cluster, free_ports
from tests.stand.proc import PATIENCE_S, wait_until

PICTURE = TargetPicture(
    id="cluster1/127.0.0.1:9", cluster="cluster1", host="127.0.0.1", port=9, slot=0, draining=True
)
FULL = Membership(version=77, full=True, last=True, upserts=(PICTURE,))


class Run:
    """A running stub supervisor and the diaries of its children."""

    def __init__(self, folder: Path, process: asyncio.subprocess.Process) -> None:
        self.folder = folder
        self.process = process
        self.log = folder / "log"

    @property
    def children(self) -> dict[str, int]:
        """Process ids of the living by name."""
        found = {}
        for pid, line in proc.children(self.process.pid).items():
            words = line.split()
            row = words[words.index("--row") + 1] if "--row" in words else None
            found["control" if row is None else f"dataplane-{row}"] = pid
        return found

    def heard(self, name: str, pid: int | None = None) -> list[dict[str, Any]]:
        """What a child wrote down, oldest first."""
        pid = pid or self.children.get(name)
        path = self.folder / f"heard-{name}-{pid}.jsonl"
        return list(map(json.loads, path.read_text().splitlines())) if path.exists() else []

    def kinds(self, name: str, pid: int | None = None) -> list[str]:
        return [message["type"] for message in self.heard(name, pid)]

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(x) for x in self.log.read_text().splitlines() if x.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def say(self, *messages: Message) -> None:
        """What the control plane says, now and after each of its restarts."""
        (self.folder / "say").write_bytes(b"".join(map(encode, messages)))
        os.kill(self.children["control"], signal.SIGUSR1)

    async def wait_kinds(self, name: str, *kinds: str) -> None:
        await wait_until(lambda: set(kinds) <= set(self.kinds(name)), f"{kinds} at {name}")

    async def wait_configured(self, name: str, times: int) -> None:
        await wait_until(
            lambda: self.kinds(name).count("configure") == times, f"{times} configurations"
        )

    async def wait_successor(self, name: str, pid: int) -> None:
        await wait_until(lambda: self.children.get(name, pid) != pid, f"a new {name}")

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def supervised(
    folder: Path,
    processes: int = 2,
    *,
    command: tuple[str, ...] = ("-m", "tests.balancer.stub_supervisor"),
    **env: str,
) -> AsyncIterator[Run]:
    listen, admin = free_ports(2)
    config = {
        "listen": f"127.0.0.1:{listen}",
        "admin": f"127.0.0.1:{admin}",
        "processes": processes,
        "clusters": [cluster("cluster1", ["127.0.0.1:9"])],
        "routes": [{"path": "/", "cluster": "cluster1"}],
        "timeouts": {"drain_s": 1.0, "linger_s": 0.5},
    }
    file = folder / "balancer.yaml"
    file.write_text(json.dumps(config))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command, str(file)),
            stdout=log,
            stderr=log,
            env=os.environ | {"STUB_DIR": str(folder)} | env,
        )
    run = Run(folder, process)
    try:
        yield run
    finally:
        left = list(run.children.values())
        if process.returncode is None:
            process.kill()
        await process.wait()
        await wait_until(lambda: not any(map(proc.alive, left)), "the children's end")


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    async with supervised(tmp_path) as run:
        await run.wait_kinds("control", "configure", "processes")
        await run.wait_kinds("dataplane-0", "configure")
        await run.wait_kinds("dataplane-1", "configure")
        yield run


async def test_first_words(run: Run) -> None:
    assert run.kinds("control")[0] == "configure"
    assert "membership" not in run.kinds("control")  # nothing is known yet
    assert run.kinds("dataplane-0") == ["configure"]


async def test_the_picture_reaches_everyone_also_those_who_come_later(run: Run) -> None:
    run.say(FULL, Probes(results=(ProbeResult(id=PICTURE.id, latency_s=0.5),)))
    for name in ("dataplane-0", "dataplane-1"):
        await run.wait_kinds(name, "membership", "probes")
    first = run.heard("dataplane-0")[1]
    assert first["upserts"][0]["id"] == PICTURE.id
    assert first["version"] != FULL.version  # versions are the supervisor's own

    old = run.children
    os.kill(old["dataplane-1"], signal.SIGKILL)
    await run.wait_successor("dataplane-1", old["dataplane-1"])
    await run.wait_kinds("dataplane-1", "configure", "membership")

    os.kill(old["control"], signal.SIGKILL)
    await run.wait_successor("control", old["control"])
    await run.wait_kinds("control", "configure", "membership", "processes")
    words = run.heard("control")
    assert [w["type"] for w in words[:3]] == ["configure", "membership", "processes"]
    assert words[1]["upserts"][0]["draining"] is True
    assert run.children["dataplane-0"] == old["dataplane-0"]


async def test_a_dead_data_plane_leaves_nothing_pending_and_is_reported(run: Run) -> None:
    fd = int(run.log.read_text().split()[0])
    with open(f"/proc/{run.process.pid}/fd/{fd}", "r+b") as memory:  # noqa: ASYNC230 - a descriptor, not a file
        ledger = Ledger(os.dup(memory.fileno()), 2)
    await wait_until(lambda: ledger.pending_total(7) == 10, "both rows written")
    for row in range(2):  # a slot that no stub writes again
        ledger.pending(row)[8] = 3
        ledger.process(row)[ProcessCell.REQUESTS] = 100
    doomed = run.children["dataplane-1"]
    os.kill(doomed, signal.SIGKILL)
    await wait_until(lambda: run.events("child ended"), "the death")
    await wait_until(lambda: ledger.pending(1)[8] == 0, "the zeroed row")
    assert ledger.pending(0)[8] == 3
    assert [ledger.process(row)[ProcessCell.REQUESTS] for row in range(2)] == [100, 100]
    await wait_until(
        lambda: any(
            p["row"] == 1 and p["restarts"] == 1 and p["pid"] not in (0, doomed)
            for word in run.heard("control")
            if word["type"] == "processes"
            for p in word["processes"]
        ),
        "word of the successor",
    )
    zeroed = [
        word["processes"][1]["pid"] for word in run.heard("control") if word["type"] == "processes"
    ]
    assert 0 in zeroed
    ledger.elsewhere()[8] = 5  # as a control plane hears it from other balancers
    os.kill(run.children["control"], signal.SIGKILL)
    await wait_until(lambda: ledger.elsewhere()[8] == 0, "nothing pending elsewhere")
    ledger.close()


async def test_reload_takes_what_is_right_and_refuses_what_is_wrong(run: Run) -> None:
    file = run.folder / "balancer.yaml"
    config = json.loads(file.read_text())
    config["timeouts"]["drain_s"] = 1.5
    file.write_text(json.dumps(config))
    run.process.send_signal(signal.SIGHUP)
    for name in run.children:
        await run.wait_configured(name, 2)
        newest = [w for w in run.heard(name) if w["type"] == "configure"][-1]
        assert (newest["version"], newest["config"]["timeouts"]["drain_s"]) == (2, 1.5)

    file.write_text(json.dumps(config | {"processes": 5}))
    run.say(ReloadRequest(id=9))
    await run.wait_kinds("control", "reloaded")
    (answer,) = (w for w in run.heard("control") if w["type"] == "reloaded")
    assert (answer["id"], answer["version"]) == (9, 2)
    assert answer["problems"] == ["processes: 2 -> 5 needs a restart; nothing was changed"]

    file.write_text("nonsense: [")
    run.process.send_signal(signal.SIGHUP)
    await wait_until(
        lambda: len(run.events("reload refused, the old configuration stays")) >= 2, "the refusal"
    )
    assert run.kinds("dataplane-0").count("configure") == 2


async def test_drain_goes_to_data_planes_before_the_control_plane(run: Run) -> None:
    pids = run.children
    run.process.send_signal(signal.SIGTERM)
    assert await run.exit_code() == 0
    for name, pid in pids.items():
        assert run.kinds(name, pid)[-2:] == ["drain", "exit"]
    ended = [event["child"] for event in run.events("child ended")]
    assert ended[-1] == "control"
    # The control plane was told of the others' end before it was told to go.
    last = [w for w in run.heard("control", pids["control"]) if w["type"] == "processes"][-1]
    assert [p["pid"] for p in last["processes"]] == [0, 0]


async def test_a_child_that_does_not_drain_is_killed_at_the_deadline(run: Run) -> None:
    os.kill(run.children["dataplane-0"], signal.SIGSTOP)
    run.process.send_signal(signal.SIGTERM)
    assert await run.exit_code() == 0
    assert {(e["child"], e["by"]) for e in run.events("child ended")} == {
        ("dataplane-0", "SIGKILL"),
        ("dataplane-1", "exit 0"),
        ("control", "exit 0"),
    }


async def test_a_crash_loop_slows_down_and_hurts_nobody_else(tmp_path: Path) -> None:
    async with supervised(tmp_path, STUB_CRASH="dataplane-1") as run:
        waiting = "child keeps dying, waiting before the next try"
        await wait_until(lambda: len(run.events(waiting)) >= 3, "four deaths", 20)
        waits = [event["delay_s"] for event in run.events(waiting)]
        assert waits[:3] == [0.1, 0.2, 0.4]
        assert {e["by"] for e in run.events("child ended")} == {"exit 3"}
        assert {"control", "dataplane-0"} <= set(run.children)
        run.process.send_signal(signal.SIGTERM)
        assert await run.exit_code() == 0


@asynccontextmanager
async def adopted(folder: Path, life: str) -> AsyncIterator[Run]:
    """With an orphan that does `life`: the supervisor is made a subreaper, to PID 1's effect."""
    adopt = (
        "import ctypes, os, runpy, time\n"
        "ctypes.CDLL(None).prctl(36, 1)\n"  # PR_SET_CHILD_SUBREAPER
        "if os.fork() == 0:\n"
        "    orphan = os.fork()\n"
        f"    {life} if orphan == 0 else print(orphan, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "runpy.run_module('tests.balancer.stub_supervisor', run_name='__main__', alter_sys=True)\n"
    )
    async with supervised(folder, 1, command=("-c", adopt)) as run:
        yield run


async def orphan_of(run: Run) -> int:
    """Its process id: the first line."""
    await wait_until(lambda: "\n" in run.log.read_text(), "the orphan")
    return int(run.log.read_text().split("\n", 1)[0])


def is_there(pid: int) -> bool:
    """Running, or dead and not collected."""
    return Path(f"/proc/{pid}").exists()


async def test_orphans_are_reaped(tmp_path: Path) -> None:
    async with adopted(tmp_path, "time.sleep(120)") as run:
        orphan = await orphan_of(run)
        await run.wait_kinds("control", "processes")
        assert is_there(orphan)
        os.kill(orphan, signal.SIGKILL)
        await wait_until(lambda: not is_there(orphan), "the orphan's end")
        assert run.events("child ended") == []
        run.process.send_signal(signal.SIGTERM)
        assert await run.exit_code() == 0


async def test_an_orphan_that_died_before_the_supervisor_listened_is_reaped(tmp_path: Path) -> None:
    async with adopted(tmp_path, "os._exit(0)") as run:
        orphan = await orphan_of(run)
        await run.wait_kinds("control", "processes")
        await wait_until(lambda: not is_there(orphan), "the orphan's end")
        assert run.events("child ended") == []
        run.process.send_signal(signal.SIGTERM)
        assert await run.exit_code() == 0


def test_restart_delay() -> None:
    delays = [restart_delay_s(deaths) for deaths in range(1, 9)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, MAX_DELAY_S]
    assert restart_delay_s(10_000) == MAX_DELAY_S


def test_describe_exit() -> None:
    assert describe_exit(3) == "exit 3"
    assert describe_exit(-9) == "SIGKILL"
    assert describe_exit(-63) == "signal 63"


@pytest.mark.parametrize(
    ("connections", "level"),
    [(Limits().connections, logging.INFO), (Limits().connections - 1, logging.WARNING)],
)
def test_lowering_a_limit_is_a_warning_where_somebody_asked_for_it(
    caplog: pytest.LogCaptureFixture, connections: int, level: int
) -> None:
    config = Config(
        listen="127.0.0.1:0", admin="127.0.0.1:0", limits=Limits(connections=connections)
    )
    sockets, ledger = bind_sockets(config.listen, config.admin, 1), Ledger.create(rows=1)
    try:
        with caplog.at_level(logging.INFO):
            Supervisor(config, lambda: config, sockets, ledger, open_files=1024)
    finally:
        sockets.close()
        ledger.close()
    assert [(each.levelno, "lowered" in each.message) for each in caplog.records] == [(level, True)]
