"""Who waits for a place: in order, bounded in number and time, each told once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.balancer.config import Queue
from services.balancer.room import Room

SIZE, WAIT_S = 3, 10.0


class Request:
    """One that waits; `places` is what is free, shared by all of them."""

    def __init__(self, machine: RoomMachine, number: int) -> None:
        self.machine = machine
        self.number = number
        self.since = machine.now
        self.fate = ""

    def place(self) -> None:
        """As an exchange does it."""
        assert not self.fate, "it was told before"
        if self.machine.free:
            self.machine.free -= 1
            self.fate = "placed"
        elif not self.machine.room.join(self, self.machine.now):
            self.fate = "refused"

    def waited_too_long(self) -> None:
        """Told once."""
        assert not self.fate
        self.fate = "late"


class RoomMachine(RuleBasedStateMachine):
    """Requests come, places become free, time passes, clients leave."""

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(rules=Queue(size=SIZE, wait_s=WAIT_S))
        self.now = 0.0
        self.free = 1
        self.requests: list[Request] = []

    @property
    def waiting(self) -> list[Request]:
        return [request for request in self.requests if not request.fate]

    @rule()
    def comes(self) -> None:
        before = len(self.waiting)
        request = Request(self, len(self.requests))
        self.requests.append(request)
        request.place()
        assert (request.fate == "refused") is (before >= SIZE and self.free == 0), request.fate

    @rule(places=st.integers(1, 3))
    def places_become_free(self, places: int) -> None:
        before = self.waiting
        self.free += places
        self.room.serve()
        placed = [request for request in before if request.fate == "placed"]
        assert placed == before[: len(placed)], "first come, first served"
        assert self.free == 0 or not self.waiting

    @rule(seconds=st.floats(0.0, 12.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        late = sum(self.now >= request.since + WAIT_S for request in self.waiting)
        self.room.serve()
        assert self.room.expire(self.now) == late

    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        if self.waiting:
            gone = data.draw(st.sampled_from(self.waiting))
            gone.fate = "gone"
            self.room.leave(gone)

    @invariant()
    def the_line_is_who_was_told_nothing_in_order(self) -> None:
        assert [entry[1] for entry in self.room.waiting] == self.waiting
        assert len(self.waiting) <= SIZE
        assert not (self.free and self.waiting)


TestRoom = RoomMachine.TestCase
TestRoom.settings = settings(max_examples=50, stateful_step_count=30)


def test_the_limit_is_of_all_processes() -> None:
    other = [2]
    room = Room(limit=5)
    room.others = (other,)
    room.own = 2
    assert repr(room) == "<Room 2 pending, 0 waiting>"
    states = []
    for other[0] in (2, 3, 4):
        states.append(room.full)
    room.limit = 0
    assert [*states, room.full] == [False, True, True, False]
