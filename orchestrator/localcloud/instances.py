"""EC2 instances that are machines: born when the API makes one, gone when they end by themselves.

moto makes instances that run at once and for ever. Here one is `pending` until its container runs,
`shutting-down` until that is gone, and `terminated` when the container ended without being asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from moto.ec2.models.instances import Instance, InstanceBackend, StateReason

from orchestrator.engine import EngineError
from orchestrator.localcloud.world import Birth, World

_CODES: Final = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}
_FATE: Final = "steelyard_future"  # of the start or the end that is under way


@contextmanager
def real_instances(world: World) -> Iterator[None]:
    """While this lasts, moto's instances of the world's region are machines."""
    run, terminate = InstanceBackend.run_instances, Instance.terminate

    def run_instances(self: Any, image_id: str, count: int, *args: Any, **kwargs: Any) -> Any:
        if self.region_name != world.region:
            return run(self, image_id, count, *args, **kwargs)
        token = kwargs.get("client_token")
        if token and (made := _made_with(self, token)):
            return made
        reservation = run(self, image_id, count, *args, **kwargs)
        template = kwargs.get("launch_template")
        for instance in reservation.instances:
            if template:
                _as_the_template_says(self, instance, template)
            _born(world, instance)
        return reservation

    def terminated(self: Any) -> Any:
        before = type(self._state)(self._state.name, self._state.code)
        if self.region_name != world.region or before.name == "terminated":
            return terminate(self)
        if before.name != "shutting-down":
            _move(self, "shutting-down")
            _ending(world, self)
        return before

    def settled(self: Any) -> Any:
        """The end that moto knows."""
        return terminate(self)

    with (
        patch.object(InstanceBackend, "run_instances", run_instances),
        patch.object(Instance, "terminate", terminated),
        patch.object(Instance, "settle", settled, create=True),
    ):
        yield


def settle(world: World) -> None:
    """A step: bring what the API tells of instances to what the machines do."""
    instances = list(world.backend("ec2").all_instances())
    # Looked at before the machines are: a start that ends between the looks is not missing.
    started = {one.id for one in instances if (f := getattr(one, _FATE, None)) and f.done()}
    running = world.machines.running()
    for instance in instances:
        state = instance.state
        if state == "terminated":
            continue
        fate: Future[Any] | None = getattr(instance, _FATE, None)
        failed = fate.exception() if fate is not None and fate.done() else None
        if state == "pending" and instance.id in running:
            _set_address(instance, running[instance.id])
            _move(instance, "running")
        elif state == "pending" and failed is not None:
            world.report(f"{instance.id}: {failed}")
            _gone(world, instance, "Server.InternalError: the machine did not start")
        elif instance.id not in running and (
            state == "running" or (state == "pending" and instance.id in started)
        ):
            world.report(f"{instance.id} has ended by itself")
            world.pool.submit(world.machines.end, instance.id)  # what is left of it
            _gone(world, instance, "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
        elif state == "shutting-down" and fate is not None and fate.done():
            if isinstance(failed, EngineError):
                world.report(f"{instance.id}: {failed}; again")
                _ending(world, instance)
            else:
                world.addresses.pop(instance.id, None)
                instance.settle()


def by_address(world: World, address: str) -> Any | None:
    """The living instance with this private address, which a starting machine has already.

    Takes no lock and asks no engine: a boot gives the metadata service one second to answer.
    """
    for instance in list(world.backend("ec2").all_instances()):
        if world.addresses.get(instance.id) == address and instance.state != "terminated":
            return instance
    return None


def _born(world: World, instance: Any) -> None:
    _move(instance, "pending")
    birth = Birth(ident=instance.id, type=instance.instance_type)

    def start() -> None:
        world.addresses[birth.ident] = world.machines.start(birth)

    setattr(instance, _FATE, world.pool.submit(start))


def _ending(world: World, instance: Any) -> None:
    """A machine that is still being started ends after that, or nobody would end it."""
    before: Future[Any] | None = getattr(instance, _FATE, None)

    def end() -> None:
        if before is not None:
            wait([before])  # it was handed in earlier, so it has its thread
        world.machines.end(instance.id)

    setattr(instance, _FATE, world.pool.submit(end))


def _move(instance: Any, state: str) -> None:
    instance._state.name, instance._state.code = state, _CODES[state]


def _gone(world: World, instance: Any, why: str) -> None:
    world.addresses.pop(instance.id, None)
    instance.settle()
    instance.state_reason = StateReason(why, why.partition(":")[0])


def _set_address(instance: Any, address: str) -> None:
    nic = instance.nics[0]
    nic.private_ip_address = address
    for entry in nic.private_ip_addresses:
        if entry.get("Primary"):
            entry["PrivateIpAddress"] = address


def _made_with(backend: Any, token: str) -> Any | None:
    for reservation in backend.reservations.values():
        if any(one.client_token == token for one in reservation.instances):
            return reservation
    return None


def _as_the_template_says(backend: Any, instance: Any, template: dict[str, Any]) -> None:
    """What moto 5.2.5 leaves behind: profile, metadata options, spot, shutdown behaviour."""
    data = backend._get_template_from_args(template).data
    profile = data.get("IamInstanceProfile")
    if profile and not instance.iam_instance_profile:
        backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
    options = data.get("MetadataOptions", {})
    known = instance.metadata_options
    known.http_tokens = options.get("HttpTokens", known.http_tokens)
    known.http_put_response_hop_limit = int(
        options.get("HttpPutResponseHopLimit", known.http_put_response_hop_limit)
    )
    if data.get("InstanceMarketOptions"):
        instance.lifecycle = "spot"
    behaviour = data.get("InstanceInitiatedShutdownBehavior")
    instance.instance_initiated_shutdown_behavior = behaviour or "stop"
    if data.get("Monitoring"):
        instance.monitoring_state = "enabled"
