"""Which machines each balancer uses, where that is a part of them: the balancer's own `subset`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.balancer.address import Address
from services.balancer.config import Balancers
from services.balancer.subset import subset

PORT: Final = 80


class Arcs:
    """By balancer, the machines on its arc of the ring. Who drains has left the ring."""

    def __init__(self, size: int, balancers: int, machines: Iterable[int]) -> None:
        """`machines` are there at the start."""
        self._size = size
        self._balancers = [Balancers(count=balancers, index=index) for index in range(balancers)]
        self._ring = {_address(machine): machine for machine in machines}
        self.of = self._cut()

    def change(self, machine: int, *, there: bool) -> None:
        """It has come, or gone; saying so twice does no harm."""
        address = _address(machine)
        if there == (address in self._ring):
            return
        if there:
            self._ring[address] = machine
        else:
            del self._ring[address]
        self.of = self._cut()

    def _cut(self) -> list[frozenset[int]]:
        return [
            frozenset(self._ring[each] for each in subset(self._ring, self._size, balancer))
            for balancer in self._balancers
        ]


def _address(machine: int) -> Address:
    return Address(f"10.{machine >> 16}.{machine >> 8 & 255}.{machine & 255}", PORT)
