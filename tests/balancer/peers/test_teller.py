"""One teller's rounds, in time that the test makes pass."""

from __future__ import annotations

from services.balancer.peers.news import News
from services.balancer.peers.pace import IDLE_S
from services.balancer.peers.tally import Tally
from services.balancer.peers.teller import Teller
from services.balancer.peers.wire import Wire


def test_a_request_that_stays_pending_keeps_nobody_awake() -> None:
    """It is told again every second, to others and so by others, and nothing has changed."""
    wire, passed = Wire.open("127.0.0.1:0"), [100.0]
    pending = memoryview(bytearray(16 * 8)).cast("q")
    news = News([pending])
    clock, cpu = lambda: passed[0], lambda: 0.0
    teller = Teller(wire, news, Tally([0] * 17, own=1), 1, clock=clock, cpu=cpu)
    news.place(5, 0)
    pending[0] = 1
    try:
        for _ in range(2_000):
            passed[0] += teller.pace.pause_s
            teller.round()
        assert teller.pace.pause_s == IDLE_S
        pending[0] = 2
        teller.round()
        assert teller.pace.pause_s == teller.pace.interval_s < IDLE_S
    finally:
        wire.close()
