"""The access log of real processes: one file for all of them, moved away under load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.stand.balancer import Balancer, cluster
from tests.stand.client import Load
from tests.stand.proc import wait_until
from tests.stand.target import StubTarget


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


async def test_two_processes_share_a_log_and_a_reload_moves_both_on(tmp_path: Path) -> None:
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    async with (
        StubTarget() as target,
        Balancer(
            tmp_path,
            [cluster("cluster1", [target.address])],
            processes=2,
            access_log="access.log",  # beside the configuration
        ) as balancer,
    ):
        first = await Load(balancer.port, total=200, connections=8).run()
        await wait_until(lambda: len(lines(log)) == first.answered, "a line for each answer")
        assert {line["target"] for line in lines(log)} == {target.address}
        log.rename(moved)
        await balancer.reload()
        second = await Load(balancer.port, total=100, connections=8).run()
        await wait_until(
            lambda: len(lines(log)) + len(lines(moved)) == first.answered + second.answered,
            "every line in one of the two",
        )
        assert lines(log), "the path is opened anew"
        assert not first.failed
        assert not second.failed
