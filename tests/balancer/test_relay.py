"""The supervisor's picture and the feeds: whatever a child is told, it ends up with the picture."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import Config
from services.balancer.messages import (
    SLICE,
    Configure,
    Health,
    Membership,
    Message,
    Probes,
    Processes,
    TargetPicture,
)
from services.balancer.relay import MAX_QUEUED, Feed, FleetPicture


def picture(number: int, health: Health = Health.HEALTHY) -> TargetPicture:
    return TargetPicture(
        id=f"c/10.0.0.{number}:80",
        cluster="c",
        host=f"10.0.0.{number}",
        port=80,
        slot=number,
        health=health,
    )


def full(*numbers: int, last: bool = True) -> Membership:
    return Membership(version=1, full=True, last=last, upserts=tuple(map(picture, numbers)))


class StubChannel:
    """Takes what it has room for; `room` None means endless."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.room: int | None = None

    @property
    def slow(self) -> bool:
        return self.room == 0

    @slow.setter
    def slow(self, value: bool) -> None:
        self.room = 0 if value else None

    def send(self, message: Message) -> bool:
        if self.room == 0:
            return False
        if self.room is not None:
            self.room -= 1
        self.sent.append(message)
        return True


class StubPlane:
    """Applies Membership as a data plane must."""

    def __init__(self) -> None:
        self.targets: dict[str, tuple[int, TargetPicture]] = {}

    def apply(self, message: Message) -> None:
        if not isinstance(message, Membership):
            return
        for target in message.upserts:
            self.targets[target.id] = (message.version, target)
        for target_id in message.removes:
            self.targets.pop(target_id, None)
        if message.full and message.last:
            self.targets = {k: (v, t) for k, (v, t) in self.targets.items() if v == message.version}


def test_a_full_run_replaces_the_picture_only_when_complete() -> None:
    fleet = FleetPicture()
    assert not fleet.known
    assert fleet.apply(full(1, 2))
    assert not fleet.apply(full(3, last=False))
    assert set(fleet.targets) == {picture(1).id, picture(2).id}
    assert fleet.apply(full(4))
    assert set(fleet.targets) == {picture(3).id, picture(4).id}


def test_a_run_that_its_speaker_did_not_finish_is_void() -> None:
    fleet = FleetPicture()
    fleet.apply(full(1))
    fleet.apply(full(2, last=False))
    fleet.forget_run()
    fleet.apply(full(3))
    assert set(fleet.targets) == {picture(3).id}


def test_full_runs_are_cut_into_slices_of_one_new_version() -> None:
    fleet = FleetPicture()
    fleet.apply(full())
    (empty,) = fleet.full_run()
    assert empty.full
    assert empty.last
    fleet.apply(full(*range(2 * SLICE + 1)))
    run = list(fleet.full_run())
    assert [len(m.upserts) for m in run] == [SLICE, SLICE, 1]
    assert [m.last for m in run] == [False, False, True]
    assert {m.version for m in run} == {empty.version + 1}


def test_configuration_then_picture_then_processes() -> None:
    fleet, channel = FleetPicture(), StubChannel()
    fleet.apply(full(1))
    feed = Feed(channel, fleet)
    channel.slow = True
    feed.tell(Processes(processes=()))
    feed.full()
    feed.tell(Configure(config=Config(), version=1))
    feed.tell(Configure(config=Config(), version=2))
    assert channel.sent == []
    channel.slow = False
    feed.pump()
    kinds = [type(message) for message in channel.sent]
    assert kinds == [Configure, Membership, Processes]
    assert channel.sent[0] == Configure(config=Config(), version=2)


def test_a_slow_child_gets_no_probes_and_owes_a_bounded_queue() -> None:
    fleet, channel = FleetPicture(), StubChannel()
    fleet.apply(full(1))
    feed = Feed(channel, fleet)
    channel.slow = True
    for number in range(3 * MAX_QUEUED):
        change = Membership(
            version=fleet.next_version(), full=False, last=True, upserts=(picture(number % 200),)
        )
        fleet.apply(change)
        feed.membership(change)
        feed.probes(Probes(results=()))
    assert repr(feed) == "<Feed 0 queued, full picture due>"
    channel.slow = False
    feed.pump()
    assert all(isinstance(m, Membership) and m.full for m in channel.sent)
    assert sum(len(m.upserts) for m in channel.sent if isinstance(m, Membership)) == 200
    feed.probes(Probes(results=()))
    assert channel.sent[-1] == Probes(results=())


changes = st.one_of(
    st.tuples(st.just("upsert"), st.integers(0, 150), st.sampled_from(Health)),
    st.tuples(st.just("remove"), st.integers(0, 150), st.just(Health.UNKNOWN)),
    st.tuples(st.just("full"), st.integers(0, 150), st.just(Health.HEALTHY)),
    st.tuples(st.just("room"), st.integers(0, 4), st.just(Health.UNKNOWN)),
    st.tuples(st.just("restart"), st.just(0), st.just(Health.UNKNOWN)),
)


@given(st.lists(changes, max_size=60))
def test_every_child_ends_up_with_the_picture(steps: list[tuple[str, int, Health]]) -> None:
    fleet, channel = FleetPicture(), StubChannel()
    fleet.apply(full(1, 2, 3))
    feed = Feed(channel, fleet)
    feed.full()
    for kind, number, health in steps:
        if kind == "room":
            channel.room = number
            feed.pump()
        elif kind == "full":
            fleet.apply(full(*range(number)))
            feed.full()
        elif kind == "restart":  # what a refused slice and a new full picture come to
            feed.full()
        else:
            upserts = (picture(number, health),) if kind == "upsert" else ()
            removes = (picture(number).id,) if kind == "remove" else ()
            change = Membership(
                version=fleet.next_version(),
                full=False,
                last=True,
                upserts=upserts,
                removes=removes,
            )
            fleet.apply(change)
            feed.membership(change)
    channel.room = None
    feed.pump()
    plane = StubPlane()
    for message in channel.sent:
        plane.apply(message)
    assert {k: t for k, (_, t) in plane.targets.items()} == fleet.targets
