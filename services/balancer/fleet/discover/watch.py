"""Asks one source again and again. An error keeps what was known, and is there to be seen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from services.balancer.fleet.discover.source import DiscoveryError, Found, Source

RETRY_S: Final = 2.0  # after an error of a source that is otherwise asked once

_log = logging.getLogger(__name__)


class Watch:
    """One source of one cluster. `publish` gets every answer."""

    def __init__(self, cluster: str, source: Source, publish: Callable[[Found], None]) -> None:
        self.cluster = cluster
        self.source = source
        self.asked = False  # answered or failed at least once
        self.error: str | None = None
        self.found = 0
        self.answered_at: float | None = None  # wall clock
        self._publish = publish

    async def run(self) -> None:
        """Until cancelled, or for ever true."""
        while True:
            try:
                found = await self.source.look()
            except DiscoveryError as error:
                self._note(str(error))
                pause_s: float | None = self.source.interval_s or RETRY_S
            else:
                self._note(found.note)
                self.found = len(found.addresses)
                self.answered_at = time.time()
                self._publish(found)
                pause_s = self.source.interval_s
            self.asked = True
            if pause_s is None:
                return
            await asyncio.sleep(pause_s)

    def _note(self, error: str | None) -> None:
        """Log an error when it begins, changes and ends, not each round."""
        if error == self.error:
            return
        where = {"cluster": self.cluster, "source": self.source.name}
        if error is None:
            _log.info("discovery works again", extra=where)
        else:
            _log.warning("discovery has a problem", extra=where | {"reason": error})
        self.error = error
