"""Who decides: K balancers of M processes, each with its own view, or an oracle.

A view holds the very objects of a data-plane process: its `Cluster` with its `Target`s, its policy,
its own source of chance. Processes of one balancer read each other's pending counts as they do in
shared memory, only from lists; balancers know of each other by load reports and, when they tell
each other, by `news`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, Protocol

from msgspec.structs import replace

from loadtest.arena.arcs import Arcs
from loadtest.arena.machine import Machine, Mode
from loadtest.arena.news import News
from loadtest.arena.request import Attempt, Request
from services.balancer.cluster import Cluster
from services.balancer.config import PolicySpec
from services.balancer.load import SEEN_CELLS, Load
from services.balancer.messages import Health, TargetPicture
from services.balancer.pick.policy import Policy
from services.balancer.pick.weighted_round_robin import WeightedRoundRobin
from services.balancer.target import Target

PROBE_WORK_S: Final = 0.001  # what a probe asks of a machine: it waits for cores as requests do
ROOM: Final = 1 << 30  # no limit of pending requests


class Front(Protocol):
    """Whoever places requests on machines."""

    hears_latency: bool  # whether load reports need the latency at pending

    def place(self, request: Request, now: float) -> Attempt | None:
        """Choose a machine; None when there is none to choose, or none yet."""
        ...

    def ended(self, attempt: Attempt, how: str, now: float) -> None:
        """`how`: "answered", "failed" (the target's fault), or "abandoned" (the client left)."""
        ...

    def see(
        self,
        machine: Machine,
        health: Health,
        *,
        draining: bool,
        now: float,
        balancer: int | None = None,
    ) -> None:
        """What the control plane of one balancer, or of all, says of a machine has changed."""
        ...

    def probe(self, machines: Sequence[Machine], network_s: float, now: float) -> None:
        """The control plane's round of probes."""
        ...


class View:
    """One data-plane process."""

    __slots__ = ("balancer", "cluster", "curious", "elsewhere", "rng", "row", "rows", "seen")

    def __init__(
        self,
        policy: Policy,
        rng: Random,
        row: list[int],
        rows: tuple[list[int], ...],
        balancer: int,
        *,
        elsewhere: list[int] | None = None,
        seen: tuple[list[int], ...] = (),
    ) -> None:
        self.rng = rng
        self.row = row
        self.rows = rows
        self.balancer = balancer
        self.elsewhere = elsewhere
        self.seen = seen
        self.cluster: Cluster[Target] = Cluster("arena", policy, self._make, PolicySpec())
        self.curious: Callable[..., Sequence[Target]] | None = getattr(policy, "wants_probes", None)

    def _make(self, picture: TargetPicture) -> Target:
        return Target(
            picture,
            limit=ROOM,
            own_row=self.row,
            siblings=self.rows,
            elsewhere=self.elsewhere,
            seen=self.seen,
        )


class Balancers:
    """All data-plane processes of all balancers. `probe(view, target, now)` sends a probe.

    `told`: they tell each other their pending counts, once somebody has started `news`. `subset`:
    how many machines each of them uses at least, 0 for all.
    """

    def __init__(
        self,
        make_policy: Callable[[], Policy],
        machines: Sequence[Machine],
        *,
        at_start: Sequence[Machine],
        weights: Sequence[int],
        balancers: int,
        processes: int,
        chance: Callable[[str], Random],
        probe: Callable[[View, Target, float], None],
        ejection: bool = False,
        told: bool = False,
        subset: int = 0,
    ) -> None:
        self._ejection = ejection
        there = [machine.index for machine in at_start]
        self._arcs = Arcs(subset, balancers, there) if subset else None
        self._pictures: list[dict[int, TargetPicture]] = [{} for _ in range(balancers)]
        self._machines = machines
        self._which = chance("which process")
        self._probe = probe
        self._version = 0
        self.views: list[View] = []
        rows = [[[0] * len(machines) for _ in range(processes)] for _ in range(balancers)]
        self.news = News(rows) if told and balancers > 1 else None
        for balancer, own in enumerate(rows):
            elsewhere = self.news.heard[balancer] if self.news is not None else None
            seen = [[0] * (SEEN_CELLS * len(machines)) for _ in own]
            for process in range(processes):
                others = [other for other in range(processes) if other != process]
                self.views.append(
                    View(
                        make_policy(),
                        chance(f"policy {balancer}.{process}"),
                        own[process],
                        tuple(own[other] for other in others),
                        balancer,
                        elsewhere=elsewhere,
                        seen=tuple(seen[each] for each in (process, *others)) if others else (),
                    )
                )
        weighs = isinstance(self.views[0].cluster.policy, WeightedRoundRobin)
        self._weights = weights if weighs else [1] * len(machines)
        for machine in at_start:
            self.see(machine, Health.HEALTHY, draining=False, now=0.0)
        first = next(iter(self.views[0].cluster.targets.values()))
        kind = type(first.load)
        self.hears_latency = kind.wants_latency and kind.reported is not Load.reported

    def place(self, request: Request, now: float) -> Attempt | None:
        views = self.views
        view = views[int(self._which.random() * len(views))] if len(views) > 1 else views[0]
        return self._place_by(view, request, request.tried, now)

    def has_another(self, first: Attempt, *, idle: bool) -> bool:
        """Whether there is another target for the request of `first`; `idle`: an idle one."""
        cluster: Cluster[Target] = first.view.cluster
        tried = (*first.request.tried, first.target)
        if idle:
            return any(not each.pending and each not in tried for each in cluster.candidates)
        return cluster.another_than(tried)

    def place_again(self, first: Attempt, now: float) -> Attempt | None:
        """By the process that waits for `first`, on another target."""
        request = first.request
        return self._place_by(first.view, request, (*request.tried, first.target), now)

    def _place_by(
        self, view: View, request: Request, tried: tuple[Target, ...], now: float
    ) -> Attempt | None:
        cluster = view.cluster
        target = cluster.pick(now, view.rng, tried)
        if target is None:
            return None
        attempt = Attempt(request, self._machines[target.slot], now, view, target)
        if view.curious is not None:
            for wanted in view.curious(cluster.candidates, now, view.rng):
                self._probe(view, wanted, now)
        return attempt

    def ended(self, attempt: Attempt, how: str, now: float) -> None:
        target: Target = attempt.target
        target.release()
        load = target.load
        if how == "answered":
            if attempt.report is not None:
                load.reported(*attempt.report, now)
            load.succeed(now - attempt.sent, now)
            target.failed_in_row = 0
        elif how == "failed":
            load.fail(now - attempt.sent, now)
            if self._ejection:
                target.failed(now, unreachable=attempt.machine.mode is Mode.REFUSING)
        else:
            load.abandon(now - attempt.sent, now)

    def see(
        self,
        machine: Machine,
        health: Health,
        *,
        draining: bool,
        now: float,
        balancer: int | None = None,
    ) -> None:
        """As the control plane of one balancer, or of all, sees it."""
        self._version += 1
        views = [v for v in self.views if balancer is None or v.balancer == balancer]
        picture = self._picture(machine, health, draining=draining)
        if self._arcs is None:
            for view in views:
                view.cluster.upsert(picture, self._version)
            return
        for view in views:
            self._pictures[view.balancer][machine.index] = picture
        before = self._arcs.of
        self._arcs.change(machine.index, there=not draining)
        for view in self.views:
            arc, old = self._arcs.of[view.balancer], before[view.balancer]
            changed = {machine.index} if view in views else set()
            self._follow(view, gone=old - arc, there=(arc - old) | (arc & changed))

    def _follow(self, view: View, *, gone: frozenset[int], there: frozenset[int]) -> None:
        """Who has left its arc, who has come or is another now; of those it has discovered."""
        pictures = self._pictures[view.balancer]
        for index in sorted(gone & pictures.keys()):
            view.cluster.upsert(replace(pictures[index], draining=True), self._version)
        for index in sorted(there & pictures.keys()):
            view.cluster.upsert(pictures[index], self._version)

    def _picture(self, machine: Machine, health: Health, *, draining: bool) -> TargetPicture:
        return TargetPicture(
            id=f"arena/10.0.0.0:{machine.index}",
            cluster="arena",
            host="10.0.0.0",
            port=machine.index,
            slot=machine.index,
            weight=self._weights[machine.index],
            health=health,
            draining=draining,
        )

    def probe(self, machines: Sequence[Machine], network_s: float, now: float) -> None:
        if self._ejection:
            for view in self.views:
                view.cluster.ejector.tick(now)
        for machine in machines:
            answer = probe_answer(machine, network_s, now)
            target_id = f"arena/10.0.0.0:{machine.index}"
            for view in self.views:
                target = view.cluster.targets.get(target_id)
                if target is not None:
                    target.load.probed(*answer, now)


def probe_answer(machine: Machine, network_s: float, now: float) -> tuple[Any, Any, Any]:
    """Latency (s), pending, CPU (0..1) as a probe finds them; all None when it fails."""
    if machine.mode in (Mode.REFUSING, Mode.HOLE) or machine.speed <= 0.0:
        return None, None, None
    share = max(1.0, (machine.pending + 1) / machine.cores)
    latency_s = 2 * network_s + PROBE_WORK_S * share / machine.speed
    return latency_s, float(machine.pending), machine.cpu(now)
