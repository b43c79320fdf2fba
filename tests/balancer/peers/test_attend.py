"""Several balancers' peers on one loop, over real sockets and ledgers that the test writes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from services.balancer.config import Balancers, FileSource, TargetSource
from services.balancer.fleet.discover import Regions
from services.balancer.ledger import Ledger
from services.balancer.peers.attend import Peers
from services.balancer.peers.datagram import encode
from services.balancer.peers.tally import Heard
from services.balancer.peers.wire import Wire
from tests.balancer.fleet.conditions import wait_until
from tests.stand.balancer import free_ports

T0, T1 = "c/10.0.0.1:80", "c/10.0.0.2:80"


class Side:
    """One balancer: two processes, and whatever slots it gives."""

    def __init__(self, ledger: Ledger, group: asyncio.TaskGroup, *targets: str) -> None:
        self.ledger = ledger
        self.peers = Peers(ledger, group)
        for slot, target in enumerate(targets):
            self.peers.joined(target, slot)

    def configure(self, listen: str, *peers: str, file: Path | None = None) -> None:
        source = TargetSource(static=tuple(peers))
        if file is not None:
            source = TargetSource(file=FileSource(path=str(file), interval_s=0.01))
        self.balancers = Balancers(listen=listen, peers=(source,))
        self.peers.configure(self.balancers, Regions(Random(1)))

    def holds(self, slot: int, *pending: int) -> None:
        for row, count in enumerate(pending):
            with self.ledger.pending(row) as cells:
                cells[slot] = count

    def elsewhere(self, slots: int = 2) -> list[int]:
        with self.ledger.elsewhere() as cells, cells[:slots] as first:
            return first.tolist()


@asynccontextmanager
async def sides(*targets: tuple[str, ...]) -> AsyncIterator[list[Side]]:
    ledgers = [Ledger.create(rows=2) for _ in targets]
    async with asyncio.TaskGroup() as group:
        made = [Side(ledger, group, *own) for ledger, own in zip(ledgers, targets, strict=True)]
        yield made
        for side in made:
            await side.peers.close()
    for ledger in ledgers:
        ledger.close()


def udp_addresses(count: int) -> list[str]:
    """On loopback, where nobody listens now."""
    return [f"127.0.0.1:{port}" for port in free_ports(count, socket.SOCK_DGRAM)]


async def test_each_hears_what_the_others_have_pending() -> None:
    a, b, c = addresses = udp_addresses(3)
    async with sides((T0, T1), (T1, T0), (T0,)) as (one, two, three):
        for side, address in zip((one, two, three), addresses, strict=True):
            side.configure(address, a, b, c)  # itself among them
        one.holds(0, 2, 1)
        two.holds(0, 5)
        await wait_until(lambda: three.elsewhere(1) == [3])
        await wait_until(lambda: one.elsewhere() == [0, 5])
        await wait_until(lambda: two.elsewhere() == [0, 3])
        one.holds(0, 0, 1)
        await wait_until(lambda: (two.elsewhere(), three.elsewhere(1)) == ([0, 1], [1]))
        one.peers.left(T0, 0)
        two.peers.left(T0, 1)
        assert two.elsewhere() == [0, 0]
        teller = one.peers.teller
        assert teller is not None
        assert teller.heard[Heard.OWN] == 1  # and never again
        with one.ledger.elsewhere() as cells:
            assert cells[-1] == int(teller.pace.interval_s * 1e6) > 0
        assert teller.wire.failed == teller.wire.dropped == 0


async def test_a_reload_turns_it_off_and_on_and_elsewhere(tmp_path: Path) -> None:
    a, b, other = udp_addresses(3)
    names = tmp_path / "peers.yaml"
    names.write_text(f"[{a}, {b}]")
    async with sides((T0, T1), (T0, T1)) as (one, two):
        one.configure(a, file=names)
        two.configure(b, file=names)
        one.holds(0, 4)
        await wait_until(lambda: two.elsewhere() == [4, 0])
        two.peers.configure(Balancers(), Regions(Random(1)))
        assert two.elsewhere() == [0, 0]
        assert (two.peers.teller, two.peers.addresses, two.peers.watches) == (None, [], {})
        two.configure(b, file=names)
        await wait_until(lambda: two.elsewhere() == [4, 0])
        two.configure("", file=names)  # it knows the others, and tells nothing
        assert (two.peers.teller, two.elsewhere()) == (None, [0, 0])
        two.configure(b, file=names)
        await wait_until(lambda: two.elsewhere() == [4, 0])
        again = TargetSource(static=("10.255.255.1:9",))
        two.peers.configure(
            Balancers(listen=b, peers=(*two.balancers.peers, again)), Regions(Random(1))
        )
        assert two.elsewhere() == [4, 0]  # whom a source had named is heard on
        two.configure(b, file=names)
        one.configure(other, file=names)  # a port that two does not know, but a host that it does
        one.holds(1, 1)
        await wait_until(lambda: two.elsewhere() == [4, 1])
        names.write_text("[10.255.255.1:9]")
        await wait_until(lambda: two.elsewhere() == [0, 0])
        names.write_text("not: [a list")
        await wait_until(lambda: two.peers.watches[f"file {names}"].error is not None)
        assert [str(address) for address in two.peers.addresses] == ["10.255.255.1:9"]


async def test_a_port_that_is_taken_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (address,) = udp_addresses(1)
    holder = Wire.open(address)
    async with sides((T0,)) as (side,):
        side.configure(address, address)
        await wait_until(lambda: side.peers.error is not None)
        await asyncio.sleep(0)
        assert (side.peers.error, side.peers.teller) == ("Address already in use", None)
        holder.close()
        await wait_until(lambda: side.peers.teller is not None)
        assert side.peers.error is None
    said = [r.getMessage() for r in caplog.records if r.getMessage().startswith("peers:")]
    assert said == ["peers: no socket", "peers: listening"]


async def test_whatever_else_comes_is_counted_and_harms_nothing() -> None:
    (address,) = udp_addresses(1)
    host, port = address.split(":")
    async with sides((T0,)) as (side,):
        side.configure(address, "10.255.255.1:9")
        await wait_until(lambda: side.peers.teller is not None)
        teller = side.peers.teller
        assert teller is not None
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(encode(5, 1, [])[0], (host, int(port)))
            await wait_until(lambda: teller.heard[Heard.STRANGE] == 1)
            side.configure(address, "127.0.0.1:9")
            await wait_until(lambda: bool(side.peers.addresses))
            for data in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(9_000)):
                sock.sendto(data, (host, int(port)))
            await wait_until(lambda: teller.heard[Heard.MALFORMED] == 3)
        assert side.peers.tally.peers == {}


async def test_what_a_dead_control_plane_had_heard_is_void() -> None:
    ledger = Ledger.create(rows=1)
    with ledger.elsewhere() as cells:
        cells[3] = 9
    async with asyncio.TaskGroup() as group:
        peers = Peers(ledger, group)
        with ledger.elsewhere() as cells:
            assert cells[3] == 0
        await peers.close()
    ledger.close()


def test_either_family_is_spoken() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as four:
        four.bind(("127.0.0.1", 0))
        four.settimeout(5)
        wire = Wire.open("[::]:" + udp_addresses(1)[0].split(":")[1])
        try:
            wire.send(b"x", four.getsockname())
            data, place = four.recvfrom(10)
            assert data == b"x"
            four.sendto(b"y", ("127.0.0.1", place[1]))
            assert wire.receive() == (b"y", four.getsockname())
            assert wire.receive() is None
        finally:
            wire.close()


def test_what_cannot_be_sent_is_counted() -> None:
    wire = Wire.open("127.0.0.1:0")
    try:
        wire.send(b"x", ("::1", 9))
        assert (wire.failed, wire.sent, list(wire.errors)) == (1, 0, [("::1", 9)])
        wire.send(b"x", ("127.0.0.1", 9))
        assert (wire.failed, wire.sent, list(wire.errors)) == (1, 1, [("::1", 9)])
    finally:
        wire.close()
