"""Full runs and differences, over a channel that may be full."""

from __future__ import annotations

from services.balancer.address import Address
from services.balancer.fleet.registry import Member
from services.balancer.fleet.snapshot import Publisher, full_run
from services.balancer.messages import SLICE, Membership, Message, ProbeResult, Probes
from services.balancer.relay import FleetPicture
from tests.balancer.fleet.conditions import wait_until


class Channel:
    """Takes `room` messages, then refuses."""

    def __init__(self, room: int = 1000) -> None:
        self.sent: list[Message] = []
        self.room = room
        self.slow = False

    def send(self, message: Message) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.sent.append(message)
        return True

    @property
    def memberships(self) -> list[Membership]:
        return [message for message in self.sent if isinstance(message, Membership)]


def members(count: int) -> dict[str, Member]:
    made = (
        Member(f"c/10.0.0.1:{n}", "c", Address("10.0.0.1", n), n, 0.0) for n in range(1, count + 1)
    )
    return {member.id: member for member in made}


def test_a_full_run_of_no_one_is_one_slice() -> None:
    assert full_run({}, 1) == [Membership(version=1, full=True, last=True)]


def test_slices_are_bounded_and_the_last_says_so() -> None:
    run = full_run(members(SLICE * 2 + 1), 3)
    assert [len(piece.upserts) for piece in run] == [SLICE, SLICE, 1]
    assert [piece.last for piece in run] == [False, False, True]
    assert len(full_run(members(SLICE), 3)) == 1


async def test_nothing_is_told_before_the_first_full_picture() -> None:
    fleet, channel = members(2), Channel()
    publisher = Publisher(channel, lambda: fleet)
    publisher.changed("c/10.0.0.1:1")
    publisher.flush()
    assert channel.sent == []
    publisher.full()
    await wait_until(lambda: len(channel.sent) == 1)
    assert channel.memberships[0].full
    publisher.close()


async def test_changes_are_coalesced_and_say_the_latest() -> None:
    fleet, channel = members(3), Channel()
    publisher = Publisher(channel, lambda: fleet)
    publisher.full()
    publisher.flush()
    fleet["c/10.0.0.1:1"].draining = True
    publisher.changed("c/10.0.0.1:1")
    publisher.changed("c/10.0.0.1:2")
    del fleet["c/10.0.0.1:2"]
    publisher.changed("c/10.0.0.1:1")
    await wait_until(lambda: len(channel.sent) == 2)
    told = channel.memberships[1]
    assert [picture.draining for picture in told.upserts] == [True]
    assert told.removes == ("c/10.0.0.1:2",)
    assert told.version > channel.memberships[0].version
    publisher.close()


async def test_a_channel_that_refuses_is_told_the_rest_later() -> None:
    fleet, channel = members(SLICE * 3), Channel(room=1)
    publisher = Publisher(channel, lambda: fleet)
    publisher.full()
    publisher.flush()
    fleet["c/10.0.0.1:1"].draining = True
    publisher.changed("c/10.0.0.1:1")
    del fleet[f"c/10.0.0.1:{SLICE * 3}"]
    publisher.changed(f"c/10.0.0.1:{SLICE * 3}")
    publisher.flush()
    assert len(channel.sent) == 1
    channel.room = 1000
    publisher.flush()
    picture = FleetPicture()  # what the supervisor makes of it
    for message in channel.memberships:
        picture.apply(message)
    assert picture.targets == {member.id: member.picture for member in fleet.values()}
    publisher.close()


async def test_probes_are_batched_and_dropped_when_slow() -> None:
    channel = Channel()
    publisher = Publisher(channel, dict)
    publisher.full()
    publisher.flush()
    for latency_s in (0.1, 0.2):
        publisher.probed(ProbeResult(id="c/x", latency_s=latency_s))
    await wait_until(lambda: len(channel.sent) == 2)
    assert channel.sent[1] == Probes(results=(ProbeResult(id="c/x", latency_s=0.2),))
    channel.slow = True
    publisher.probed(ProbeResult(id="c/x", latency_s=0.3))
    publisher._flush_probes()
    assert len(channel.sent) == 2
    publisher.close()
