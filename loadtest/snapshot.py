"""How a data-plane process takes in a picture of ten thousand targets: how fast, how evenly.

    python -m loadtest.snapshot --json

A real process's code with a real channel, ledger and listening socket; only the supervisor is a
thread that sends what a supervisor would. Every callback of the loop is timed by the thread's own
CPU clock (asyncio's loop for that, as uvloop cannot be looked into; the callbacks are the same).
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from contextvars import Context
from dataclasses import asdict, dataclass
from random import Random
from typing import Annotated, Any, Final

import typer

from services.balancer.config import ClusterConfig, Config, PolicySpec, RouteConfig
from services.balancer.dataplane.process import Process, calm_collector
from services.balancer.ledger import Ledger
from services.balancer.messages import Configure, Health, TargetPicture, encode
from services.balancer.relay import FleetPicture

COUNT: Final = 10_000
SETTLE_S: Final = 0.6  # afterwards, in which counts are published and everyone is looked at
TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.002


@dataclass(slots=True)
class Taken:
    """Seconds until a picture was in force, and CPU milliseconds of the longest callback."""

    seconds: float
    longest_ms: float


class _Timed(asyncio.SelectorEventLoop):
    """Remembers its longest callback since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self.longest_s = 0.0

    def _timed(self, callback: Callable[..., Any]) -> Callable[..., None]:
        def run(*args: Any) -> None:
            start = time.thread_time()
            try:
                callback(*args)
            finally:
                self.longest_s = max(self.longest_s, time.thread_time() - start)

        return run

    def call_soon(  # type: ignore[override] # any arguments, as they come
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return super().call_soon(self._timed(callback), *args, context=context)

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return super().call_at(when, self._timed(callback), *args, context=context)

    def _add_reader(self, fd: int, callback: Callable[..., Any], *args: Any) -> Any:
        return super()._add_reader(fd, self._timed(callback), *args)  # type: ignore[misc] # not public

    def longest_ms(self) -> float:
        longest_ms, self.longest_s = self.longest_s * 1e3, 0.0
        return longest_ms


class _Supervisor:
    """Says what one would, and watches what comes of it. Runs in a thread of its own."""

    def __init__(self, process: Process, loop: _Timed, policy: str, count: int) -> None:
        self._process = process
        self._loop = loop
        self._count = count
        self._picture = FleetPicture()
        self._config = Config(
            clusters=(ClusterConfig(name="c", targets=(), policy=PolicySpec(name=policy)),),
            routes=(RouteConfig(path="/", cluster="c"),),
        )
        self.taken: dict[str, Taken] = {}

    def speak(self, channel: socket.socket) -> None:
        """All of it; the process ends with the channel."""
        try:
            channel.sendall(encode(Configure(config=self._config, version=1, columns={"c": 0})))
            self._wait(lambda: self._process.plane is not None)
            self._loop.longest_ms()
            self._show(channel, "the first", 0)
            self._show(channel, "the same again", 0)
            self._show(channel, "half of them others", self._count // 2)
        finally:
            channel.close()

    def _show(self, channel: socket.socket, name: str, start: int) -> None:
        last = self._compose(start)
        data = b"".join(encode(message) for message in self._picture.full_run())
        version = self._picture.next_version() - 1
        begun = time.perf_counter()
        channel.sendall(data)
        self._wait(lambda: self._in_force(last, version))
        seconds = time.perf_counter() - begun
        time.sleep(SETTLE_S)  # what follows from the picture is part of what it costs
        self.taken[name] = Taken(seconds, self._loop.longest_ms())

    def _in_force(self, last: str, version: int) -> bool:
        plane = self._process.plane
        targets = plane.clusters["c"].targets if plane is not None else {}
        target = targets.get(last)
        return target is not None and target.version == version and len(targets) == self._count

    def _compose(self, start: int) -> str:
        pictures = []
        for n in range(start, start + self._count):
            host = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
            pictures.append(
                TargetPicture(
                    id=f"c/{host}:80",
                    cluster="c",
                    host=host,
                    port=80,
                    slot=n,
                    health=Health.HEALTHY,
                )
            )
        self._picture.inherit(pictures)
        return pictures[-1].id

    def _wait(self, true: Callable[[], bool]) -> None:
        until = time.monotonic() + TIMEOUT_S
        while not true():
            if time.monotonic() > until:
                raise TimeoutError("the picture was not taken in")
            time.sleep(POLL_S)  # another thread has the loop


async def _serve(policy: str, count: int) -> dict[str, Taken]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, _Timed)  # noqa: S101 - made below
    ours, theirs = socket.socketpair()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        process = Process(ledger=Ledger.create(1), row=0, listener=listener, rng=Random(1))
        supervisor = _Supervisor(process, loop, policy, count)
        thread = threading.Thread(target=supervisor.speak, args=(theirs,))
        thread.start()
        await process.run(ours.detach())
        thread.join()
    return supervisor.taken


def take_in(policy: str, count: int = COUNT) -> dict[str, Taken]:
    """By which picture it was; once in a process, whose collector is then as it begins."""
    calm_collector()
    with asyncio.Runner(loop_factory=_Timed) as runner:
        return runner.run(_serve(policy, count))


def main(
    *,
    json_: Annotated[bool, typer.Option("--json", help="as JSON")] = False,
    policy: Annotated[str, typer.Option(help="its targets have to be told of")] = "steelyard",
    count: Annotated[int, typer.Option(min=1, help="of targets")] = COUNT,
) -> None:
    """How a data-plane process takes in a picture of many targets."""
    taken = take_in(policy, count)
    if json_:
        print(json.dumps({name: asdict(one) for name, one in taken.items()}))
        return
    for name, one in taken.items():
        print(f"{name:16} {one.seconds:6.2f} s {one.longest_ms:7.2f} ms")


if __name__ == "__main__":
    typer.run(main)
