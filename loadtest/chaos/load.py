"""The steady load: an open arrival rate, whatever becomes of the requests before.

Four of five are GETs, one is a POST. Nothing is sent twice from here: what a client would repeat
is counted as lost, so that it is the balancer's doing when a request gets through.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Final

from loadtest.chaos.connection import Connection, Outcome, Record

POST_SHARE: Final = 0.2
SIZES: Final = (20, 20, 20, 3_000, 90_000)  # bytes of an answer
MOST_CONNECTIONS: Final = 700  # below the limit of one process, were they all to meet there
WARM_CONNECTIONS: Final = 40
DEADLINE_S: Final = 15.0  # what takes longer counts as hung
CONNECT_S: Final = 10.0  # a dead process's successor takes over its accept queue
SWEEP_S: Final = 0.25
BURST_S: Final = 0.05  # what a late generator makes up for at once; the rest it leaves out


class Load:
    """`task = create_task(load.run())`, later `load.stop()`; `records` is everything sent."""

    def __init__(self, port: int, rate: float, rng: Random) -> None:
        self.records: list[Record] = []
        self.late_s = 0.0  # time in which nothing was sent: the generator's own fault
        self.unasked: list[bytes] = []
        self._port = port
        self._rate = rate
        self._rng = rng
        self._idle: list[Connection] = []
        self._busy: dict[Connection, Record] = {}
        self._opening = 0
        self._stopping = asyncio.Event()
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until `stop`, then wait for what is out."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(self._open(None) for _ in range(WARM_CONNECTIONS)))
        sweeping = asyncio.create_task(self._sweep())
        due = loop.time()
        while not self._stopping.is_set():
            now = loop.time()
            if now - due > BURST_S:
                self.late_s += now - due - BURST_S
                due = now - BURST_S
            while due <= now:
                self._send(due)
                due += 1 / self._rate
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._stopping.wait()
        while self._busy or self._opening:
            self._done.clear()
            await self._done.wait()
        sweeping.cancel()
        for connection in self._idle:
            self._take_unasked(connection)
            connection.hang_up()
        self._idle.clear()

    def stop(self) -> None:
        """No more requests."""
        self._stopping.set()

    def _send(self, due: float) -> None:
        number = len(self.records)
        method = "POST" if self._rng.random() < POST_SHARE else "GET"
        record = Record(f"{method[0]}-{number}", method, self._rng.choice(SIZES), due)
        self.records.append(record)
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                self._busy[connection] = record
                connection.ask(record)
                return
            self._take_unasked(connection)
        if len(self._busy) + self._opening >= MOST_CONNECTIONS:
            self._finish(record, Outcome.UNSENT)
            return
        task = asyncio.create_task(self._open(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, record: Record | None) -> None:
        self._opening += 1
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._ended), "127.0.0.1", self._port
                )
        except (OSError, TimeoutError) as error:
            if record is not None:
                self._finish(record, Outcome.UNCONNECTED, type(error).__name__)
            return
        finally:
            self._opening -= 1
            self._done.set()
        if record is None:
            self._idle.append(connection)
        elif connection.open:
            self._busy[connection] = record
            connection.ask(record)
        else:
            record.fresh = True
            self._finish(record, Outcome.LOST)

    def _ended(self, connection: Connection, record: Record) -> None:
        record.ended = asyncio.get_running_loop().time()
        self._busy.pop(connection, None)
        self._done.set()
        if connection.open:
            self._idle.append(connection)
        else:
            connection.hang_up()
            self._take_unasked(connection)

    def _finish(self, record: Record, outcome: Outcome, detail: str = "") -> None:
        record.outcome, record.detail = outcome, detail
        record.ended = asyncio.get_running_loop().time()

    def _take_unasked(self, connection: Connection) -> None:
        if connection.unasked:
            self.unasked.append(connection.unasked)
            connection.unasked = b""

    async def _sweep(self) -> None:
        """Give up what takes too long; forget idle connections that the balancer closed."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for connection, record in list(self._busy.items()):
                if now - record.due > DEADLINE_S:
                    connection.give_up()
            for connection in self._idle:
                self._take_unasked(connection)
            self._idle = [connection for connection in self._idle if connection.open]
