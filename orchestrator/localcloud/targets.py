"""The health of load balancers' targets, by real checks from the local cloud's own process.

    initial -> healthy <-> unhealthy, and draining once deregistered, until the delay is over

The first good answer makes a target healthy; after that, thresholds count. Source: Elastic Load
Balancing user guide, "Target group health checks" and "Deregistration delay".
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

import httpx
from moto.elbv2.exceptions import TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus

from orchestrator.localcloud.world import World

Probe = Callable[[Any, str, int, float], bool]
_CHECKS: Final = "steelyard_checks"
_REASONS: Final = {
    "initial": ("Elb.RegistrationInProgress", "Target registration is in progress"),
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "unused": ("Target.NotInUse", "Target group is not configured to receive traffic"),
}


@dataclass(slots=True)
class Check:
    """What is known of one target; times are cloud time."""

    port: int
    state: str = "initial"
    streak: int = 0  # answers in a row that speak against `state`
    next_s: float = 0.0
    gone_s: float | None = None  # when its draining ends
    answer: Future[bool] | None = None


def checks_of(target_group: Any) -> dict[str, Check]:
    """Those of a moto `FakeTargetGroup`, by target id."""
    known: dict[str, Check] | None = getattr(target_group, _CHECKS, None)
    if known is None:
        known = {}
        setattr(target_group, _CHECKS, known)
    return known


def after_answer(check: Check, good: bool, needs_good: int, needs_bad: int) -> None:
    """What one more answer makes of a target's state."""
    if check.state == "initial" and good:
        check.state, check.streak = "healthy", 0
    elif good == (check.state != "unhealthy"):
        check.streak = 0
    else:
        check.streak += 1
        if check.streak >= (needs_good if good else needs_bad):
            check.state, check.streak = ("healthy" if good else "unhealthy"), 0


def ask(target_group: Any, address: str, port: int, timeout_s: float) -> bool:
    """One health check over the network, as the target group has it."""
    if target_group.health_check_protocol not in ("HTTP", "HTTPS"):
        try:
            with socket.create_connection((address, port), timeout_s):
                return True
        except OSError:
            return False
    url = f"http://{address}:{port}{target_group.health_check_path or '/'}"
    try:
        status = httpx.get(url, timeout=timeout_s).status_code
    except httpx.HTTPError:
        return False
    return _matches(status, str(target_group.matcher.get("HttpCode", "200")))


def _matches(status: int, codes: str) -> bool:
    for part in codes.split(","):
        low, _, high = part.partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False


def check_targets(world: World, probe: Probe = ask) -> None:
    """A step: what is due is asked, what was answered is counted, what has drained is forgotten."""
    now_s = world.clock.now()
    addresses = {
        one.id: one.private_ip_address for one in world.backend("ec2").all_running_instances()
    }
    for target_group in world.backend("elbv2").target_groups.values():
        checks = checks_of(target_group)
        for ident, target in target_group.targets.items():
            check = checks.get(ident)
            if check is None or check.gone_s is not None:
                checks[ident] = check = Check(int(target["Port"] or target_group.port))
            _ask_when_due(world, target_group, check, addresses.get(ident, ident), probe)
        for ident, check in list(checks.items()):
            if ident in target_group.targets:
                continue
            if check.gone_s is None:
                delay = target_group.attributes["deregistration_delay.timeout_seconds"]
                check.gone_s, check.state = now_s + float(delay), "draining"
            # A machine that is gone has nothing left to finish.
            if now_s >= check.gone_s or (ident.startswith("i-") and ident not in addresses):
                del checks[ident]


def _ask_when_due(
    world: World, target_group: Any, check: Check, address: str, probe: Probe
) -> None:
    now_s = world.clock.now()
    if check.answer is not None and check.answer.done():
        good = check.answer.exception() is None and check.answer.result()
        needs = (target_group.healthy_threshold_count, target_group.unhealthy_threshold_count)
        after_answer(check, good, int(needs[0]), int(needs[1]))
        check.answer = None
    if check.answer is None and now_s >= check.next_s:
        check.next_s = now_s + float(target_group.health_check_interval_seconds)
        port = target_group.health_check_port
        port = check.port if port in (None, "traffic-port") else int(port)
        timeout_s = float(target_group.health_check_timeout_seconds)
        check.answer = world.pool.submit(probe, target_group, address, port, timeout_s)


@contextmanager
def real_target_health(world: World) -> Iterator[None]:
    """While this lasts, DescribeTargetHealth tells what the checks found."""
    plain = ELBv2Backend.describe_target_health

    def describe_target_health(
        self: Any, target_group_arn: str, targets: list[dict[str, Any]]
    ) -> list[FakeHealthStatus]:
        if self.region_name != world.region:
            return plain(self, target_group_arn, targets)
        target_group = self.target_groups.get(target_group_arn)
        if target_group is None:
            raise TargetGroupNotFoundError()
        checks = checks_of(target_group)
        asked = [one["Id"] for one in targets or []]
        known = {**dict.fromkeys(checks), **dict.fromkeys(target_group.targets)}
        used = target_group.arn in used_target_groups(self)
        return [_status(target_group, ident, used=used) for ident in asked or known]

    with patch.object(ELBv2Backend, "describe_target_health", describe_target_health):
        yield


def _status(target_group: Any, ident: str, *, used: bool) -> FakeHealthStatus:
    check = checks_of(target_group).get(ident)
    registered = ident in target_group.targets
    if not registered and check is None:
        reason, told = "Target.NotRegistered", "Target is not registered to the target group"
        return FakeHealthStatus(ident, target_group.port, None, "unused", reason, told)
    if not registered:
        state = "draining"
    elif not used:
        state = "unused"
    else:
        state = check.state if check is not None and check.gone_s is None else "initial"
    port = check.port if check is not None else target_group.targets[ident]["Port"]
    return FakeHealthStatus(ident, str(port), str(port), state, *_REASONS.get(state, (None, None)))


def used_target_groups(backend: Any) -> set[str]:
    """ARNs of those that a listener or one of its rules forwards to."""
    return {
        arn
        for balancer in backend.load_balancers.values()
        for listener in balancer.listeners.values()
        for rule in listener.rules.values()
        for action in rule.actions
        for arn, _ in forwards(action)
    }


def forwards(action: Any) -> list[tuple[str, int]]:
    """ARN and weight of each target group that a moto `FakeAction` forwards to."""
    several = action.data.get("ForwardConfig", {}).get("TargetGroups", [])
    if several:
        return [(one["TargetGroupArn"], int(one.get("Weight", 1))) for one in several]
    arn = action.data.get("TargetGroupArn")
    return [(arn, 1)] if arn else []
