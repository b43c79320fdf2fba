"""Where each cluster's counts stand in the ledger: a column, kept as long as the cluster is there.

Processes put a reload in force one after the other. Were a column the cluster's place in the file,
a file in another order would for that moment mix the counts of two clusters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.balancer.ledger import CLUSTERS


def assign(before: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    """A column for each of at most CLUSTERS names. Who had one keeps it; a new one gets one that
    nobody had, as long as there is any.
    """
    columns = {name: before.get(name, -1) for name in names}
    taken, had = set(columns.values()), set(before.values())
    free = (column for column in range(CLUSTERS) if column not in taken)
    fresh = iter(sorted(free, key=lambda column: (column in had, column)))
    return {name: next(fresh) if column < 0 else column for name, column in columns.items()}
