"""How each fault is done, for how long, and how it is undone. One at a time: a strike ends when the
balancer is whole again (all processes ready, all targets healthy), or the run says that it is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psutil

from loadtest.chaos.balancer import Balancer, ChaosError
from loadtest.chaos.plan import Fault, Kind
from loadtest.chaos.target import Mode
from loadtest.chaos.targets import Targets

WHOLE_S: Final = 30.0
SPARE_DESCRIPTORS: Final = 8  # left to a process whose descriptors run out
FLOOD: Final = 1_800  # connections that say nothing; more than all processes may have
RELOADS: Final = 5
BLACK_HOLE_S: Final = 3.0  # a stop that is shorter than the time-outs is only slow


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault as it was: from `began` to `whole`, seconds of the loop's clock.

    `held` are the client ports of connections that a killed data-plane process held.
    """

    fault: Fault
    began: float
    whole: float
    held: frozenset[int] = frozenset()
    problem: str = ""


class Faults:
    """Strikes at one stand. `hold_s` is how long a fault lasts before it is undone."""

    def __init__(self, balancer: Balancer, targets: Targets, hold_s: float) -> None:
        self._balancer = balancer
        self._targets = targets
        self._hold_s = hold_s
        self._held: frozenset[int] = frozenset()
        self._ways: Mapping[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.TARGET_KILL: self._target_kill,
            Kind.TARGET_STOP: self._target_stop,
            Kind.RESETS: self._misbehave,
            Kind.GARBAGE: self._misbehave,
            Kind.TRICKLE: self._misbehave,
            Kind.TARGET_RESTART: self._target_restart,
            Kind.DATAPLANE_KILL: self._dataplane_kill,
            Kind.CONTROL_KILL: self._control_kill,
            Kind.RELOAD: self._reload,
            Kind.DRAIN: self._drain,
            Kind.DESCRIPTORS: self._descriptors,
            Kind.UPGRADE: self._upgrade,
        }

    async def strike(self, fault: Fault) -> Strike:
        """Do it, hold it, undo it, wait until all is well."""
        loop = asyncio.get_running_loop()
        self._held = frozenset()
        began = loop.time()
        problem = ""
        try:
            await self._ways[fault.kind](fault)
            await self._balancer.wait_whole(WHOLE_S)
        except (ChaosError, TimeoutError) as error:
            problem = str(error) or "took too long"
        return Strike(fault, began, loop.time(), self._held, problem)

    async def _hold(self) -> None:
        await asyncio.sleep(self._hold_s)

    # -- targets -----------------------------------------------------------------------------------

    async def _target_kill(self, fault: Fault) -> None:
        self._targets.signal(fault.victim, signal.SIGKILL)
        await self._targets.wait_gone(fault.victim)
        await self._hold()
        await self._targets.start(fault.victim)

    async def _target_stop(self, fault: Fault) -> None:
        self._targets.signal(fault.victim, signal.SIGSTOP)
        try:
            await asyncio.sleep(max(self._hold_s, BLACK_HOLE_S))
        finally:
            self._targets.signal(fault.victim, signal.SIGCONT)

    async def _target_restart(self, fault: Fault) -> None:
        """As a deployment without a drain does it: the port is shut and soon open again."""
        self._targets.signal(fault.victim, signal.SIGTERM)
        await self._targets.wait_gone(fault.victim)
        await self._targets.start(fault.victim)
        await self._hold()

    async def _misbehave(self, fault: Fault) -> None:
        mode = {Kind.RESETS: Mode.RESETS, Kind.GARBAGE: Mode.GARBAGE, Kind.TRICKLE: Mode.TRICKLE}
        health_too = fault.variant % 2 == 1
        await self._targets.tell(fault.victim, mode[fault.kind], health_too=health_too)
        try:
            await self._hold()
        finally:
            await self._targets.tell(fault.victim, Mode.SOUND)

    # -- the balancer's own processes --------------------------------------------------------------

    def _process(self, role: str, fault: Fault) -> psutil.Process:
        found = self._balancer.tree().get(role, [])
        if not found:
            raise ChaosError(f"no {role} process")
        return found[fault.victim % len(found)]

    async def _dataplane_kill(self, fault: Fault) -> None:
        """Stopped for a moment first, so that what it holds when it dies is known exactly."""
        doomed = self._process("dataplane", fault)
        doomed.suspend()
        self._held = self._balancer.client_ports(doomed)
        doomed.kill()
        await self._hold()

    async def _control_kill(self, fault: Fault) -> None:
        doomed = self._process("control", fault)
        doomed.kill()
        await self._hold()

    async def _reload(self, fault: Fault) -> None:
        """Another policy, one target less, a wrong file, and back."""
        balancer = self._balancer
        right = balancer.config
        (cluster,) = right["clusters"]
        addresses = cluster["targets"][0]["static"]
        fewer = addresses[: fault.victim] + addresses[fault.victim + 1 :]
        others: tuple[dict[str, Any], ...] = (
            right | {"clusters": [cluster | {"policy": "round_robin"}]},
            right | {"clusters": [cluster | {"targets": [{"static": fewer}]}]},
            right | {"clusters": [cluster | {"policy": "no_such_policy"}]},
        )
        try:
            for number in range(RELOADS):
                balancer.write_config(others[(fault.variant + number) % len(others)])
                balancer.reload()
                await asyncio.sleep(self._hold_s / RELOADS)
        finally:
            balancer.write_config(right)
        await self._must(*await balancer.ask("/api/reload", "POST"))

    async def _drain(self, fault: Fault) -> None:
        address = f"127.0.0.1:{self._targets.ports[fault.victim]}"
        place = f"/api/targets/cluster1/{address}"
        await self._must(*await self._balancer.ask(f"{place}/drain?wait_s=5", "POST"))
        await self._hold()
        await self._must(*await self._balancer.ask(f"{place}/undrain", "POST"))

    async def _upgrade(self, fault: Fault) -> None:
        await self._balancer.upgrade(WHOLE_S)
        await self._hold()

    async def _must(self, status: int, answer: Any) -> None:
        if status != 200:
            raise ChaosError(f"the admin API answered {status}: {answer}")

    async def _descriptors(self, fault: Fault) -> None:
        """Silent clients beyond the limit; at an odd variant also fewer descriptors than in use."""
        victim = self._process("dataplane", fault)
        limits: tuple[int, int] | None = None
        if fault.variant % 2:
            limits = resource.prlimit(victim.pid, resource.RLIMIT_NOFILE)
            few = victim.num_fds() + SPARE_DESCRIPTORS
            resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, (few, limits[1]))
        try:
            async with _flood(self._balancer.port, FLOOD):
                await self._hold()
        finally:
            if limits is not None:
                resource.prlimit(victim.pid, resource.RLIMIT_NOFILE, limits)


@contextlib.asynccontextmanager
async def _flood(port: int, count: int) -> AsyncIterator[None]:
    """So many connections that never say anything."""
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []

    async def connect() -> None:
        with contextlib.suppress(OSError):  # refused is an answer too
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
            transports.append(transport)

    try:
        await asyncio.gather(*(connect() for _ in range(count)))
        yield
    finally:
        for transport in transports:
            transport.close()
