"""What the first signal means, and what the second."""

from __future__ import annotations

import asyncio
import os
import signal

from orchestrator.local import interrupt
from orchestrator.local.interrupt import Interrupt


def test_the_works_own_exit_code() -> None:
    async def work(stop: Interrupt) -> int:
        return 3

    assert interrupt.run(work) == 3


def test_first_signal_cancels() -> None:
    async def work(stop: Interrupt) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            assert not stop.hurry.is_set()
        return 0

    assert interrupt.run(work) == 130


def test_second_signal_hurries_the_clean_up() -> None:
    async def work(stop: Interrupt) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(stop.hurry.wait(), timeout=5)
        return 0

    assert interrupt.run(work) == 128 + signal.SIGTERM


def test_gently_sets_the_event_and_lets_the_work_end() -> None:
    ended = []

    async def work(stop: Interrupt) -> int:
        with stop.gently() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(asked.wait(), timeout=5)
        ended.append("in its own way")
        return 0

    assert interrupt.run(work) == 130
    assert ended


def test_second_signal_is_not_gentle() -> None:
    async def work(stop: Interrupt) -> int:
        with stop.gently() as asked:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(asked.wait(), timeout=5)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(60)
        raise AssertionError("not reached")

    assert interrupt.run(work) == 130
