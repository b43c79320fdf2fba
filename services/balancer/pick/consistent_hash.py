"""The same key to the same target: a hash ring with bounded loads.

Karger et al., "Consistent hashing and random trees", 1997: targets stand at many points of a ring,
a key goes to the first target after its own point, and a target that leaves moves only its own
keys. Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2018: a target
that has more than `bound` times its fair share of what is pending is passed over for the next.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b, shake_128
from math import ceil
from random import Random
from struct import unpack
from typing import ClassVar, Final

from services.balancer.load import Load
from services.balancer.pick.p2c import draw_two
from services.balancer.pick.parameters import Parameter, number, text, whole
from services.balancer.pick.policy import T
from services.balancer.pick.ring import ARCS, Ring, arc_of
from services.balancer.target import Target

KEY_FROM: Final = "client"
BOUND: Final = 1.25  # the paper's own deployment; HAProxy's hash-balance-factor has 1.5 for it
POINTS: Final = 96  # per target and unit of weight: shares differ by about 1 / sqrt(96) = 10 %
_MOST_POINTS: Final = 8192  # of one target, whatever its weight
_POINT_BYTES: Final = 8
_KEY_FROM: Final = re.compile(r"client|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _key_from(value: str) -> str | None:
    if _KEY_FROM.fullmatch(value) is not None:
        return None
    return f"must be client, header:NAME or cookie:NAME, is {value!r}"


def _points(target: Target, weight: int, points: int) -> tuple[int, ...]:
    """Where a target stands: a function of its address alone, so every balancer has the same."""
    count = min(points * weight, _MOST_POINTS)
    name = f"{target.host}:{target.port}".encode()
    return unpack(f">{count}Q", shake_128(name).digest(_POINT_BYTES * count))


class Counted(Load):
    """Counts the requests that this process has pending at all targets together."""

    __slots__ = ("_policy",)

    def __init__(self, policy: ConsistentHash) -> None:
        super().__init__()
        self._policy = policy

    def fresh(self) -> Counted:
        """Of the same policy."""
        return Counted(self._policy)

    def begin(self, now: float) -> None:
        """One more."""
        self._policy.pending += 1

    def succeed(self, latency_s: float, now: float) -> None:
        """One less."""
        self._policy.pending -= 1
        super().succeed(latency_s, now)

    def fail(self, latency_s: float, now: float) -> None:
        """One less."""
        self._policy.pending -= 1
        super().fail(latency_s, now)

    def abandon(self, latency_s: float, now: float) -> None:
        """One less."""
        self._policy.pending -= 1
        super().abandon(latency_s, now)

    def void(self, latency_s: float, now: float) -> None:
        """One less."""
        self._policy.pending -= 1


class ConsistentHash:
    """The first target after the key's point that is not above its bound.

    A request without the key goes where fewer of two are pending.
    """

    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "key": text(_key_from),
        "bound": number(1.0, 100.0),  # times the fair share; large: never passed over
        "points": whole(8, 1024),  # per target and unit of weight
    }

    def __init__(self, key: str = KEY_FROM, bound: float = BOUND, points: int = POINTS) -> None:
        self.key_from = key
        self.pending = 0
        self._bound = bound
        self._per_target = points
        self._weights: dict[Target, int] = {}  # of all members, as they joined
        self._weight = 0
        self._ring = Ring()

    def load_of(self, target: Target) -> Counted:
        """What it goes by."""
        return Counted(self)

    def joined(self, target: Target) -> None:
        """It takes its places, and with them the keys that come after those before it."""
        weight = self._weights[target] = target.weight
        self._weight += weight
        self._ring.place(target, _points(target, weight, self._per_target))

    def left(self, target: Target) -> None:
        """Its keys go to their next."""
        weight = self._weights.pop(target)
        self._weight -= weight
        self._ring.remove(target, _points(target, weight, self._per_target))

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """A request that has no key: two at random, fewer pending. O(1)."""
        if len(candidates) == 1:
            return candidates[0]
        one, other = draw_two(candidates, rng)
        return other if other.pending < one.pending else one

    def pick_keyed(self, key: bytes, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(log n) while few targets are above their bound; O(n) among some of the eligible."""
        if not self._weights:  # nobody tells who is eligible
            return self._alone(candidates).pick_keyed(key, candidates, now, rng)
        among = None if len(candidates) == len(self._weights) else frozenset(candidates)
        return self._walk(key, among)  # type: ignore[return-value] # members are candidates

    def _walk(self, key: bytes, among: Collection[Target] | None) -> Target:
        ring = self._ring
        share = self._bound * (self.pending + 1) / self._weight
        point = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
        arc, place = arc_of(point), ring.after(point)
        first: Target | None = None
        for _ in range(ARCS + 1):  # all the way round, and to where it began
            points = ring.of_arc(arc)
            while place < len(points):
                target = ring.owner(arc, points[place])
                if among is None or target in among:
                    if target.own < ceil(share * self._weights[target]):
                        return target
                    first = first or target
                place += 1
            arc, place = (arc + 1) % ARCS, 0
        assert first is not None  # noqa: S101 - candidates are never empty, and all on the ring
        return first  # of some, when each is above its bound

    def _alone(self, candidates: Sequence[Target]) -> ConsistentHash:
        """One that was told of these and of no others."""
        made = ConsistentHash(self.key_from, self._bound, self._per_target)
        for candidate in candidates:
            made.joined(candidate)
        made.pending = sum(candidate.own for candidate in candidates)
        return made
