"""What is heard, forgotten and refused, on a clock of the test's own."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.peers.datagram import encode, key_of
from services.balancer.peers.news import REPEAT_S, News
from services.balancer.peers.tally import FORGET_S, MAX_PEERS, Heard, Tally

OWN = 1
A, B = ("10.0.0.1", 9901), ("10.0.0.2", 9901)
KEYS = [key_of(f"c/10.1.0.{number}:80") for number in range(4)]


def tally() -> tuple[Tally, list[int]]:
    cells = [0] * len(KEYS)
    made = Tally(cells, OWN)
    made.welcome(["10.0.0.1", "10.0.0.2"])
    for slot, key in enumerate(KEYS):
        made.place(key, slot)
    return made, cells


def said(sender: int, sequence: int, *entries: tuple[int, int]) -> bytes:
    """By slot."""
    (data,) = encode(sender, sequence, [(KEYS[slot], count) for slot, count in entries])
    return data


def test_counts_of_all_peers_add_up() -> None:
    made, cells = tally()
    assert made.hear(A, said(7, 1, (0, 3), (1, 1)), 0.0) is Heard.NEW
    assert made.hear(B, said(8, 1, (0, 2)), 0.0) is Heard.NEW
    assert cells == [5, 1, 0, 0]
    assert made.hear(A, said(7, 2, (0, 1)), 0.1) is Heard.TAKEN
    assert cells == [3, 1, 0, 0]
    assert made.hear(A, said(7, 3, (0, 0), (1, 0)), 0.1) is Heard.TAKEN
    assert cells == [2, 0, 0, 0]


def test_overtaken_and_doubled_datagrams_are_dropped() -> None:
    made, cells = tally()
    made.hear(A, said(7, 5, (0, 3)), 0.0)
    assert made.hear(A, said(7, 4, (0, 9)), 0.0) is Heard.OVERTAKEN
    assert made.hear(A, said(7, 5, (0, 9)), 0.0) is Heard.OVERTAKEN
    assert cells == [3, 0, 0, 0]


def test_who_starts_anew_has_nothing_of_before() -> None:
    made, cells = tally()
    made.hear(A, said(7, 5, (0, 3), (1, 4)), 0.0)
    assert made.hear(A, said(9, 1, (1, 1)), 0.0) is Heard.NEW
    assert cells == [0, 1, 0, 0]


def test_who_moves_to_another_port_is_not_two() -> None:
    made, cells = tally()
    made.hear(A, said(7, 5, (0, 3), (1, 4)), 0.0)
    assert made.hear((A[0], 9), said(7, 6, (1, 1)), 0.0) is Heard.NEW
    assert (cells, list(made.peers)) == ([0, 1, 0, 0], [(A[0], 9)])


def test_own_words_count_for_nothing() -> None:
    made, cells = tally()
    assert made.hear(A, said(OWN, 5, (0, 3)), 0.0) is Heard.OWN
    assert (cells, made.own_places) == ([0] * 4, {A})
    assert made.hear(("172.17.0.1", 40_000), said(OWN, 6, (0, 3)), 0.0) is Heard.OWN
    assert (cells, made.own_places) == ([0] * 4, {A})


def test_strangers_and_nonsense_are_refused() -> None:
    made, cells = tally()
    assert made.hear(("10.0.0.9", 9901), said(7, 5, (0, 3)), 0.0) is Heard.STRANGE
    assert made.hear(A, b"GET / HTTP/1.1\r\n\r\n", 0.0) is Heard.MALFORMED
    assert made.hear(("10.0.0.9", 9901), b"GET / HTTP/1.1\r\n\r\n", 0.0) is Heard.STRANGE
    assert (cells, made.peers) == ([0] * 4, {})


def test_more_peers_than_anybody_has_are_refused() -> None:
    made, _ = tally()
    for port in range(MAX_PEERS):
        assert made.hear((A[0], port), said(7 + port, 5), 0.0) is Heard.NEW
    assert made.hear(B, said(2, 5), 0.0) is Heard.STRANGE
    assert made.hear((A[0], 0), said(3, 1), 0.0) is Heard.NEW  # one that was there starts anew


def test_targets_that_are_not_here_are_ignored_until_they_are() -> None:
    made, cells = tally()
    made.remove(KEYS[0])
    made.hear(A, said(7, 1, (0, 3), (1, 1)), 0.0)
    assert cells == [0, 1, 0, 0]
    made.place(KEYS[0], 3)
    made.hear(A, said(7, 2, (0, 3)), 0.0)
    assert cells == [0, 1, 0, 3]


def test_a_target_that_leaves_takes_its_entries_along() -> None:
    made, cells = tally()
    made.hear(A, said(7, 1, (0, 3)), 0.0)
    made.remove(KEYS[0])
    assert cells == [0] * 4
    made.place(key_of("c/10.9.9.9:80"), 0)  # another gets the slot
    made.expire(FORGET_S)
    assert cells == [0] * 4


def test_what_is_not_told_again_is_forgotten() -> None:
    made, cells = tally()
    made.hear(A, said(7, 1, (0, 3), (1, 1)), 0.0)
    made.hear(A, said(7, 2, (1, 1)), 2.0)
    assert made.expire(FORGET_S - 0.01) == []
    assert cells == [3, 1, 0, 0]
    assert made.expire(FORGET_S) == []
    assert cells == [0, 1, 0, 0]
    assert made.expire(2.0 + FORGET_S) == [A]
    assert (cells, made.peers) == ([0] * 4, {})


def test_who_is_no_peer_any_more_counts_no_more() -> None:
    made, cells = tally()
    made.hear(A, said(7, 1, (0, 3)), 0.0)
    made.hear(B, said(8, 1, (0, 1)), 0.0)
    assert made.welcome(["10.0.0.2"]) == [A]
    assert cells == [1, 0, 0, 0]
    made.clear()
    assert cells == [0] * 4


SLOTS = 64


def rows(processes: int) -> list[memoryview]:
    return [memoryview(bytearray(8 * SLOTS)).cast("q") for _ in range(processes)]


def news(count: int, processes: int = 1) -> tuple[News, list[memoryview]]:
    made = rows(processes)
    teller = News(made)
    for slot in range(count):
        teller.place(KEYS[slot], slot)
    return teller, made


def test_changes_are_told_at_once_and_the_rest_once_a_second() -> None:
    teller, (row, other) = news(3, processes=2)
    assert teller.due(0.0) == []  # it is there
    assert teller.due(0.1) is None
    row[1], other[1] = 2, 3
    assert teller.due(0.2) == [(KEYS[1], 5)]
    row[1], other[1] = 3, 2
    assert teller.due(0.3) is None  # the sum is the same
    row[0] = 1
    assert teller.due(0.4) == [(KEYS[0], 1)]
    row[0] = 0
    assert teller.due(0.5) == [(KEYS[0], 0)]
    assert teller.due(REPEAT_S) == [(KEYS[0], 0), (KEYS[1], 5)]
    assert teller.due(2 * REPEAT_S) == [(KEYS[1], 5)]
    teller.repeat()
    assert teller.due(2 * REPEAT_S + 0.1) == [(KEYS[1], 5)]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, SLOTS - 1), st.integers(0, 3)), max_size=80
    ),
    st.integers(1, 3),
)
def test_what_was_told_is_what_there_is(
    changes: list[tuple[int, int, int]], processes: int
) -> None:
    made = rows(processes)
    teller = News(made)
    told = dict.fromkeys(range(100, 100 + SLOTS), 0)
    for key in told:
        teller.place(key, key - 100)
    now = 0.0
    for row, slot, count in changes:
        made[row % processes][slot] = count
        if slot % 3:
            now += 0.07
            entries = teller.due(now)
            told.update(entries or ())
            assert entries is None or len(entries) == len(dict(entries))
    told.update(teller.due(now) or ())
    assert list(told.values()) == [sum(row[slot] for row in made) for slot in range(SLOTS)]


def test_nobody_is_told_of_a_target_that_has_left() -> None:
    teller, (row,) = news(3)
    row[1] = 2
    teller.due(0.0)
    teller.remove(1)
    row[1] = 1  # it still has one of ours
    assert teller.due(0.1) is None
    assert teller.due(5.0) == []
    row[1] = 4
    teller.due(5.1)
    teller.place(KEYS[3], 1)  # another gets the slot
    assert teller.due(5.2) == [(KEYS[3], 4)]


class Network:
    """Two balancers tell a third over a network that loses, doubles and delays."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.tally, self.cells = tally()
        self.tellers = {A: news(4, processes=2), B: news(4)}
        self.sequence = dict.fromkeys(self.tellers, 0)
        self.sender = {A: 7, B: 8}
        self.wire: list[tuple[tuple[str, int], bytes]] = []
        self.now = 0.0

    def tell(self) -> None:
        for place, (teller, _) in self.tellers.items():
            entries = teller.due(self.now)
            if entries is None:
                continue
            for data in encode(self.sender[place], self.sequence[place], entries):
                self.sequence[place] += 1
                self.wire.append((place, data))

    def deliver(self) -> None:
        place, data = self.wire.pop(0)
        self.tally.hear(place, data, self.now)

    def step(self, trouble: str) -> None:
        if trouble == "restart":
            place = self.rng.choice([A, B])
            self.sender[place] += 10
            self.sequence[place] = 0
            fresh = News(self.tellers[place][1])
            for slot, key in enumerate(KEYS):
                fresh.place(key, slot)
            self.tellers[place] = fresh, self.tellers[place][1]
        elif trouble == "change":
            for _, made in self.tellers.values():
                self.rng.choice(made)[self.rng.randrange(4)] = self.rng.randrange(3)
        elif trouble == "shuffle":
            self.rng.shuffle(self.wire)
        elif trouble == "lose":
            del self.wire[: self.rng.randrange(3)]
        elif trouble == "double":
            self.wire += self.wire[:2]
        elif trouble == "deliver":
            for _ in range(min(len(self.wire), 3)):
                self.deliver()
        elif trouble == "leave":
            self.tally.remove(KEYS[2])
        elif trouble == "join":
            self.tally.place(KEYS[2], 2)

    def truth(self) -> list[int]:
        return [
            sum(row[slot] for _, made in self.tellers.values() for row in made) for slot in range(4)
        ]


TROUBLE = st.sampled_from(
    [*["change", "deliver"] * 2, "lose", "double", "shuffle", "restart", "leave", "join"]
)


@settings(deadline=None)
@given(st.integers(0, 2**32), st.lists(TROUBLE, max_size=60))
def test_after_three_quiet_seconds_all_is_true_again(seed: int, troubles: list[str]) -> None:
    network = Network(seed)
    for trouble in troubles:
        network.now += 0.05
        network.tell()
        network.step(trouble)
        network.tally.expire(network.now)
        assert min(network.cells) >= 0
    network.step("join")
    while network.wire:  # what is still under way
        network.deliver()
    for _ in range(62):
        network.now += 0.05
        network.tell()
        while network.wire:
            network.deliver()
        network.tally.expire(network.now)
    assert network.cells == network.truth()
    network.now += FORGET_S
    assert sorted(network.tally.expire(network.now)) == [A, B]
    assert network.cells == [0] * 4


@pytest.mark.parametrize("processes", [1, 3])
def test_untouched_rows_are_not_read_beyond_the_last_slot(processes: int) -> None:
    made = rows(processes)
    teller = News(made)
    teller.place(KEYS[0], 5)
    for row in made:
        row[50] = 7  # nobody's slot
    assert teller.due(0.0) == []
    teller.place(KEYS[1], 50)  # such a thing is cleared before; here it is told
    assert teller.due(0.1) == [(KEYS[1], 7 * processes)]
