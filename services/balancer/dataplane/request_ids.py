"""Names for requests: unique in the fleet for all that matters."""

from __future__ import annotations

from typing import Final

_SUFFIXES: Final = [b"%02x" % low for low in range(256)]


class RequestIds:
    """64 random bits for the process (`seed`), then a count."""

    __slots__ = ("_high", "_low", "_prefix", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._high = 0
        self._low = 0
        self._prefix = b"%016x-%x" % (seed, 0)

    def take(self) -> bytes:
        """The next one."""
        low = self._low
        if low == len(_SUFFIXES):
            self._high += 1
            self._prefix = b"%016x-%x" % (self._seed, self._high)
            low = 0
        self._low = low + 1
        return self._prefix + _SUFFIXES[low]
