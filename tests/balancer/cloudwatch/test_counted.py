"""From a client's request to the counts that are published: a data plane, its ledger, the tally."""

from __future__ import annotations

from services.balancer.address import Address
from services.balancer.cloudwatch.tally import Counts, Tally
from services.balancer.fleet.registry import Member
from tests.balancer.dataplane.stand import Stand, data_plane
from tests.stand.balancer import free_ports
from tests.stand.target import StubTarget, raw

POST = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


def tally_of(stand: Stand) -> tuple[Tally, list[Member]]:
    """A tally that begins now."""
    members = [
        Member(target.id, "c", Address(target.host, target.port), target.slot, 0.0)
        for target in stand.plane.clusters["c"].targets.values()
    ]
    tally = Tally(stand.plane.ledger)
    tally.sample(members)
    return tally, members


def new(stand: Stand, tally: Tally, members: list[Member]) -> tuple[Counts, Counts]:
    stand.plane.publish()
    tally.sample(members)
    clusters, whole = tally.take(["c"])
    return clusters["c"], whole


def brief(counts: Counts) -> tuple[int, int, int, int]:
    return counts.requests, counts.errors_4xx, counts.errors_5xx, counts.retries


async def test_retried_connects_are_no_errors() -> None:
    (nobody,) = free_ports(1)
    async with StubTarget() as target, data_plane(target, nobody) as stand:
        tally, members = tally_of(stand)
        wire = await stand.connect()
        for _ in range(40):
            assert (await wire.get())[0] == 200
        counts, whole = new(stand, tally, members)
        assert (counts.requests, counts.errors_5xx) == (40, 0)
        assert counts.retries > 0  # a target unheard of is tried
        assert sum(counts.latency) == 40
        assert brief(whole) == brief(counts)


async def test_what_no_target_answered_is_one_error() -> None:
    (nobody,) = free_ports(1)
    async with data_plane(nobody) as stand:
        tally, members = tally_of(stand)
        wire = await stand.connect()
        assert (await wire.get())[0] == 502
        counts, whole = new(stand, tally, members)
        assert brief(counts) == (1, 0, 1, 2)
        assert brief(whole) == (1, 0, 1, 2)


async def test_a_post_that_breaks_is_an_error_and_goes_out_once() -> None:
    async with StubTarget(raw(b"nonsense\r\n\r\n")) as target, data_plane(target) as stand:
        tally, members = tally_of(stand)
        wire = await stand.connect()
        await wire.send(POST)
        assert (await wire.answer())[0] == 502
        counts, _ = new(stand, tally, members)
        assert brief(counts) == (1, 0, 1, 0)
        assert target.count == 1


async def test_a_request_for_nobody_belongs_to_no_cluster() -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        tally, members = tally_of(stand)
        wire = await stand.connect()
        await wire.send(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await wire.answer())[0] == 404
        counts, whole = new(stand, tally, members)
        assert brief(counts) == (0, 0, 0, 0)
        assert brief(whole) == (1, 1, 0, 0)
