"""The minute's round: look at the ledger, cut a minute, send what waits.

Sampling and cutting never wait for CloudWatch. One call is out at a time; while calls fail, the
pause doubles. A call whose answer was lost may have arrived: then its counts are there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from services.balancer.cloudwatch.api import CloudWatchError, NoCredentials
from services.balancer.cloudwatch.data import SHARES_A_CALL, Datum, metric_data
from services.balancer.cloudwatch.outbox import Minute, Outbox

MAX_PAUSE_S: Final = 600.0  # between two tries while they fail, and without credentials

Send = Callable[[list[Datum]], Awaitable[None]]

_log = logging.getLogger(__name__)


class Pace:
    """When to try again: an interval, twice as long after each failure, by chance a little less."""

    def __init__(self, interval_s: float, rng: Random) -> None:
        self._interval_s = interval_s
        self._rng = rng
        self._failures = 0
        self._until = 0.0

    def due(self, now: float) -> bool:
        """The pause is over."""
        return now >= self._until

    def failed(self, now: float) -> float:
        """Returns the pause, seconds."""
        longest_s = min(self._interval_s * 2.0**self._failures, MAX_PAUSE_S)
        self._failures = min(self._failures + 1, 30)  # 2**30 is beyond any pause
        pause_s = longest_s * self._rng.uniform(0.5, 1.0)
        self._until = now + pause_s
        return pause_s

    def rest(self, now: float) -> None:
        """The longest pause at once."""
        self._until = now + MAX_PAUSE_S

    def worked(self) -> bool:
        """Whether it had failed before."""
        before, self._failures, self._until = self._failures, 0, 0.0
        return before > 0


class Publisher:
    """What is cut goes to the outbox; `flush` sends it, `round` when it is time to.

    Resource handling: none of its own. `clock` is monotonic seconds, the argument of `cut` is what
    one minute says.
    """

    def __init__(
        self,
        send: Send,
        *,
        deployment: str,
        interval_s: float,
        rng: Random,
        clock: Callable[[], float],
    ) -> None:
        self.outbox = Outbox()
        self.published = 0  # calls that were taken
        self._send = send
        self._deployment = deployment
        self._clock = clock
        self._pace = Pace(interval_s, rng)
        self._sending = asyncio.Lock()
        self._off = False  # without credentials
        self._said = ""

    async def round(self, minute: Minute) -> None:
        """A minute is over."""
        now = self._clock()
        if self._off and not self._pace.due(now):
            return
        self.outbox.add(minute)
        if self._pace.due(now) and not self._sending.locked():
            await self.flush()

    async def flush(self) -> None:
        """Send all that waits, oldest first, until it is empty or a call fails."""
        async with self._sending:
            while (minute := self.outbox.take(SHARES_A_CALL)) is not None:
                if not await self._try(minute):
                    return

    async def close(self, last: Minute, deadline_s: float) -> None:
        """The last minute: sent within the time given, or lost."""
        if self._off:
            return
        self.outbox.add(last)
        with contextlib.suppress(TimeoutError):  # said below
            async with asyncio.timeout(deadline_s):
                await self.flush()
        if self.outbox:
            _log.warning("CloudWatch was not told the last", extra={"minutes": len(self.outbox)})

    async def _try(self, minute: Minute) -> bool:
        try:
            await self._send(metric_data(minute, self._deployment))
        except asyncio.CancelledError:
            self.outbox.give_back(minute)
            raise
        except NoCredentials as error:
            if not self._off:
                _log.info("CloudWatch is off", extra={"reason": str(error)})
            self._off = True
            self.outbox.clear()
            self._pace.rest(self._clock())
            return False
        except CloudWatchError as error:
            if not error.again:
                _log.error("CloudWatch refused a minute", extra={"reason": str(error)})
                return True  # the next one may be better
            self.outbox.give_back(minute)
            pause_s = self._pace.failed(self._clock())
            self._say(str(error), pause_s)
            return False
        self.published += 1
        self._off = False
        if self._pace.worked():
            _log.info("CloudWatch takes data again")
            self._said = ""
        return True

    def _say(self, reason: str, pause_s: float) -> None:
        """Once for each reason in a row of failures."""
        if reason != self._said:
            self._said = reason
            _log.warning(
                "CloudWatch does not answer, counts wait",
                extra={"reason": reason, "again_in_s": round(pause_s, 1)},
            )
