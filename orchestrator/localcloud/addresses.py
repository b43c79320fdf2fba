"""Elastic addresses that answer: from the upper part of the cloud's own network."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.ec2.models.elastic_ip_addresses import ElasticAddressBackend

from orchestrator.localcloud.world import World


@contextmanager
def real_addresses(world: World, pool: ipaddress.IPv4Network) -> Iterator[None]:
    """While this lasts, an associated address is its machine's, and reachable from this host."""
    allocate = ElasticAddressBackend.allocate_address
    associate = ElasticAddressBackend.associate_address
    disassociate = ElasticAddressBackend.disassociate_address

    def allocate_address(self: Any, domain: str, address: Any = None, tags: Any = None) -> Any:
        if self.region_name == world.region and address is None:
            taken = {one.public_ip for one in self.addresses}
            address = next(str(one) for one in pool.hosts() if str(one) not in taken)
        return allocate(self, domain, address, tags)

    def associate_address(
        self: Any, instance: Any = None, eni: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        before = _holders(self)
        made: Any = associate(self, instance, eni, *args, **kwargs)
        if self.region_name == world.region:
            holder = before.get(made.public_ip)
            if holder is not None and holder.id != made.instance_id:
                world.machines.take_address(holder.id, made.public_ip)
            if made.instance is not None:
                world.machines.give_address(made.instance.id, made.public_ip)
        return made

    def disassociate_address(self: Any, *args: Any, **kwargs: Any) -> None:
        before = _holders(self)
        disassociate(self, *args, **kwargs)
        for one in self.addresses:
            holder = before[one.public_ip]
            if holder is not None and one.instance is None and self.region_name == world.region:
                world.machines.take_address(holder.id, one.public_ip)

    with (
        patch.object(ElasticAddressBackend, "allocate_address", allocate_address),
        patch.object(ElasticAddressBackend, "associate_address", associate_address),
        patch.object(ElasticAddressBackend, "disassociate_address", disassociate_address),
    ):
        yield


def _holders(backend: Any) -> dict[str, Any]:
    """Instances by the Elastic address that they have now."""
    return {one.public_ip: one.instance for one in backend.addresses}
