"""What the configuration says of the weight of a source's targets, put on its answers."""

from __future__ import annotations

from services.balancer.fleet.discover.source import Found, Source


class Weighed:
    """Each target weighs `weight`, unless the source itself knows better."""

    def __init__(self, source: Source, weight: int) -> None:
        self._source = source
        self._weight = weight
        self.name = source.name
        self.interval_s = source.interval_s

    async def look(self) -> Found:
        """As the source; raises what it raises."""
        found = await self._source.look()
        given = dict.fromkeys(found.addresses, self._weight)
        return found._replace(weights={**given, **found.weights})
