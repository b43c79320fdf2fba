"""The part of a cluster's targets that one of several balancers uses. Pure.

Every balancer with every target is balancers x targets connections, checks and probes, and each
balancer then sees of each target too little to know it. So a balancer takes an arc of the ring on
which the targets stand in the order of their hashes (Twitter's deterministic aperture, 2019;
Google's deterministic subsetting, "Site Reliability Engineering", 20, has the same aim). The arcs
are cut so that every target is on the same number of them, and nobody asks anybody:

    targets n, balancers B, wanted size s: every target is used by m = ceil(s B / n) balancers,
    balancer i has the places from floor(i n / B) to floor((i + m) n / B)

A target that joins or leaves moves the places behind it by one, so every balancer exchanges two
targets or three; unless m changes with n, when all arcs grow or shrink by n / B places. Another
number of balancers cuts the ring anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from services.balancer.address import Address
from services.balancer.config import Balancers


def subset(addresses: Iterable[Address], size: int, balancers: Balancers) -> list[Address]:
    """At least `size` of the addresses, and less than n / B more; all with `size` 0.

    The same for the same addresses in whatever order.
    """
    ring = sorted(addresses, key=_place)
    count = len(ring)
    if not size or size >= count or balancers.count == 1:
        return ring
    covered = -(-size * balancers.count // count)
    first = balancers.index * count // balancers.count
    last = (balancers.index + covered) * count // balancers.count
    return [ring[place % count] for place in range(first, min(last, first + count))]


def _place(address: Address) -> bytes:
    """Where it stands: by chance, but everywhere the same."""
    return blake2b(str(address).encode(), digest_size=16).digest()
