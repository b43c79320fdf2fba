"""A machine that falls to 30 % of its speed: how soon its share of the requests follows."""

from __future__ import annotations

from loadtest.arena.compare import ORACLE
from loadtest.arena.slowdown import ANSWERS, SECONDS, watched


def test_our_share_follows_a_fall_and_a_recovery() -> None:
    """After twenty answers most of the way down; three seconds after the recovery right again."""
    fallen, recovered = watched("steelyard", range(2))
    known_fallen, known_recovered = watched(ORACLE, range(2))
    assert ANSWERS[-1][0] == 20
    assert SECONDS[-1][0] == 3.0
    back = recovered[-1].value
    assert 0.8 < back / known_recovered[-1].value < 1.2
    low = sum(share.got for share in known_fallen) / sum(share.all for share in known_fallen)
    way = (back - fallen[-1].value) / (back - low)
    assert way > 0.7
