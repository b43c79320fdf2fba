"""A few thousand seeded inputs in every run of the suite; the rest is `make fuzz`."""

from __future__ import annotations

import pytest

from services.balancer.dataplane import forward
from tests.fuzz import differential, inside
from tests.fuzz.readers import ReadingError


@pytest.mark.parametrize("block", range(3))
def test_nobody_frames_a_message_otherwise(block: int) -> None:
    counts = differential.run_block(1, block)
    assert counts["requests accepted"] >= 150, "too few were good enough to be compared"
    assert counts["responses accepted"] >= 50


def test_a_request_that_ends_elsewhere_is_found() -> None:
    raw = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    (good,) = inside.Inside().forward(raw, 20)
    assert good.end == len(raw)
    assert differential.check_request(raw, good) == "none"
    for bad in (good.sent[:-1], good.sent + b"!", good.sent.replace(b"hello", b"hullo")):
        with pytest.raises((differential.Difference, ReadingError)):
            differential.check_request(raw, inside.Forwarded(good.end, bad))


def test_bytes_left_on_a_kept_connection_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a response taken for clean whatever follows: a later client would get it."""
    end = forward.TargetConnection._end
    monkeypatch.setattr(
        forward.TargetConnection,
        "_end",
        lambda self, exchange, clean: end(self, exchange, clean=True),
    )
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!"
    relayed = inside.Inside().relay(b"POST", wire, 0, ends=False)
    assert relayed is not None
    with pytest.raises(differential.Difference, match="rest on a kept connection"):
        differential.check_response(b"POST", wire, relayed, ends=False)
