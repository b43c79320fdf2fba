"""May a roll go on? What the balancers counted since it began, of all machines and of new ones."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from orchestrator.deploy.balancers import Target, Views
from orchestrator.deploy.members import BALANCER, Machine

MAX_ERROR_RATE: Final = 0.01
_LEAST: Final = 20  # requests; fewer say nothing


@dataclass(slots=True)
class _Counted:
    requests: int = 0
    errors: int = 0


@dataclass(slots=True)
class Gate:
    """Sums up what each look adds. A target's counters begin at 0 when it joins a balancer.

    `cluster` is empty for balancers: theirs are the requests of all.
    """

    cluster: str
    max_error_rate: float = MAX_ERROR_RATE
    _last: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    _begun: bool = False
    _all: _Counted = field(default_factory=_Counted)
    _new: _Counted = field(default_factory=_Counted)

    def look(self, views: Views, new: Collection[Machine]) -> str:
        """Why not to go on; empty when all is well. The first look counts nothing."""
        for balancer, view in views.items():
            for target in view.targets:
                if self.cluster and target.cluster != self.cluster:
                    continue
                requests, errors = self._since(balancer, target)
                is_new = any(
                    one.ident == balancer or target.is_of(one.ident, one.host) for one in new
                )
                for counted in (self._all, self._new) if is_new else (self._all,):
                    counted.requests += requests
                    counted.errors += errors
        self._begun = True
        for whose, counted in (("new machines", self._new), ("all machines", self._all)):
            rate = counted.errors / counted.requests if counted.requests else 0.0
            if counted.requests >= _LEAST and rate > self.max_error_rate:
                where = self.cluster or BALANCER
                return f"{whose} of {where}: {rate:.1%} of {counted.requests} failed"
        return ""

    def _since(self, balancer: str, target: Target) -> tuple[int, int]:
        key = (balancer, target.ident)
        now = (target.requests, target.errors)
        # What joins later began at 0; what was there before counts from here.
        before = self._last.get(key, (0, 0) if self._begun else now)
        if now < before:  # it left and came back
            before = (0, 0)
        self._last[key] = now
        return now[0] - before[0], max(0, now[1] - before[1])
