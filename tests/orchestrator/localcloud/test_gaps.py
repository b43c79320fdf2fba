"""What the emulator gets wrong, made good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from moto.ec2.models.subnets import Subnet

from orchestrator.localcloud.gaps import filled

ALONE_S = 0.2  # whoever could come in at the same time would have


def test_of_machines_that_start_at_once_one_takes_an_address_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The emulator's generator of addresses raises when two threads are in it."""
    together = Barrier(2)

    def take(_subnet: Any, _instance: Any) -> str:
        try:
            together.wait(ALONE_S)
        except BrokenBarrierError:
            return "alone"
        return "together"

    monkeypatch.setattr(Subnet, "get_available_subnet_ip", take)
    with filled(), ThreadPoolExecutor(2) as pool:
        kind: Any = Subnet  # abstract by name alone
        found = list(pool.map(lambda _: kind.get_available_subnet_ip(None, None), range(2)))
    assert found == ["alone", "alone"]
