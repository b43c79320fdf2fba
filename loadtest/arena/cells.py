"""The matrix: what machines x what befalls them x load x balancers x targets, each by its name.

A cell of the matrix is named by its five coordinates; everything else follows from them here. Work
is longer where there are more targets, so that a run of as many requests takes long enough for
something to happen in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from loadtest.arena.changes import Deploy, ScaleOut
from loadtest.arena.happenings import Antagonist, Credits, Failing, Happening, Pauses
from loadtest.arena.scenario import Group, Scenario
from loadtest.arena.work import Exponential

SPEEDS: Final = ("1:1", "1:2", "1:3", "16:1")
WHAT: Final = ("steady", "antagonist", "credits", "failing", "freezing", "scale-out", "deploy")
LOADS: Final = (0.5, 0.7, 0.9, 1.1)
BALANCERS: Final = (1, 4, 20)
TARGETS: Final = (8, 100, 1000)
NETWORK_S: Final = 0.00025  # one way, inside an availability zone
# How often balancers tell each other what is pending, by how many they are and before how many
# targets: what `python -m loadtest.news` measures at the rates of the cells, with a twentieth of a
# core spent on it; for a thousand targets and four balancers taken from its table.
NEWS_S: Final = {
    (4, 8): 0.007,
    (4, 100): 0.011,
    (4, 1000): 0.021,
    (20, 8): 0.011,
    (20, 100): 0.022,
    (20, 1000): 0.03,
}
SAMPLE_SHARE: Final = 0.02  # of many targets, how many fail or freeze where of 8 one does


@dataclass(frozen=True, slots=True)
class Size:
    """How long a run is with so many targets."""

    work_s: float
    requests: int
    warmup_s: float


SIZES: Final = {
    8: Size(0.02, 12_000, 4.0),
    100: Size(0.05, 14_000, 2.0),
    1000: Size(0.2, 20_000, 1.5),
}


def machines(speeds: str, targets: int) -> tuple[Group, ...]:
    """Two groups. 1:2 differ in cores, 1:3 in speed, 16:1 in both and in number: one is giant."""
    half = targets // 2
    if speeds == "1:1":
        return Group(count=half), Group(count=targets - half)
    if speeds == "1:2":
        return Group(count=half), Group(count=targets - half, cores=2)
    if speeds == "1:3":
        return Group(count=half), Group(count=targets - half, speed=3.0)
    if speeds == "16:1":
        giants = targets // 8
        return Group(count=targets - giants), Group(count=giants, cores=4, speed=4.0)
    raise ValueError(f"speeds {speeds!r}; there are {', '.join(SPEEDS)}")


def happening(what: str, targets: int, duration_s: float) -> tuple[Happening, ...]:
    """What `what` means in a run of `duration_s` after the warm-up."""
    some = 1.0 if targets < 1 / SAMPLE_SHARE else SAMPLE_SHARE
    made: dict[str, tuple[Happening, ...]] = {
        "steady": (),
        "antagonist": (Antagonist(count=0.25, factor=0.3, every_s=2.0),),
        "credits": (Credits(group=0, type="t2.large", balance_s=0.1 * duration_s),),
        "failing": (Failing(count=some, at_s=0.1 * duration_s),),
        "freezing": (Pauses(count=some, for_s=0.5, every_s=4.0),),
        "scale-out": (ScaleOut(at_s=0.25 * duration_s, share=0.5, cold_s=2.0),),
        "deploy": (Deploy(at_s=0.1 * duration_s, for_s=0.8 * duration_s, cold_s=1.0),),
    }
    if what not in made:
        raise ValueError(f"what {what!r}; there is {', '.join(WHAT)}")
    return made[what]


def cell(speeds: str, what: str, load: float, balancers: int, targets: int) -> Scenario:
    """One cell by its coordinates. Raises ValueError when there is no such."""
    size = SIZES.get(targets)
    if size is None:
        raise ValueError(f"targets {targets}; there are {', '.join(map(str, SIZES))}")
    if balancers not in BALANCERS:
        raise ValueError(f"balancers {balancers}; there are {', '.join(map(str, BALANCERS))}")
    bare = Scenario(
        name=f"{speeds} {what} {load:g}, {balancers} x {targets}",
        machines=machines(speeds, targets),
        load=load,
        work=Exponential(size.work_s),
        requests=size.requests,
        warmup_s=size.warmup_s if load < 1 else 1.0,
        balancers=balancers,
        news_s=NEWS_S.get((balancers, targets), 0.0),
        network_s=NETWORK_S,
    )
    if load >= 1:  # a horizon: how bad it gets is a matter of how long it lasts
        bare = replace(bare, requests=min(bare.requests, int(10.0 * bare.rate)))
    lasts_s = bare.requests / bare.rate
    return replace(bare, happenings=happening(what, targets, lasts_s))


def everything() -> Iterator[Scenario]:
    """The whole matrix."""
    for coordinates in product(SPEEDS, WHAT, LOADS, BALANCERS, TARGETS):
        yield cell(*coordinates)
