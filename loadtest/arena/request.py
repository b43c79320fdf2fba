"""A request from its arrival at a balancer to its answer, and each time it was sent somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtest.arena.machine import Machine


class Request:
    """What a client wants: `work_s` is core-seconds at speed 1. Ends once: answered or failed."""

    __slots__ = ("arrived", "attempt", "ended", "measured", "second", "tried", "tries", "work_s")

    def __init__(self, arrived: float, work_s: float, *, measured: bool) -> None:
        self.arrived = arrived
        self.work_s = work_s
        self.measured = measured  # not of the warm-up
        self.ended = False
        self.tries = 0  # beyond the first
        self.tried: tuple[Any, ...] = ()
        self.attempt: Attempt | None = None  # the one that is out
        self.second: Attempt | None = None  # out as well: it was hedged


class Attempt:
    """A request on its way to, at, or back from one machine.

    `view` is the data-plane process that sent it and `target` what that process calls the machine;
    both None when an oracle did.
    """

    __slots__ = (
        "at_work",
        "came",
        "gone",
        "machine",
        "met",
        "report",
        "request",
        "running",
        "sent",
        "target",
        "view",
        "work_s",
    )

    def __init__(
        self, request: Request, machine: Machine, sent: float, view: Any = None, target: Any = None
    ) -> None:
        self.request = request
        self.work_s = request.work_s
        self.machine = machine
        self.sent = sent
        self.view = view
        self.target = target
        self.came = 0.0
        self.at_work = False  # it is in the machine's hands
        self.met = 0  # pending at the machine when it came
        self.report: tuple[float, float | None, float] | None = None
        self.running = False
        self.gone = False  # given up: the balancer does not listen any more
