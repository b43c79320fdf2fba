"""Who is a member, with which slot, through every way a source may answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.address import Address
from services.balancer.fleet.health import HealthState
from services.balancer.fleet.registry import Registry
from services.balancer.fleet.slots import Slots
from services.balancer.ledger import Ledger, TargetCell
from services.balancer.messages import Health, TargetPicture

A, B, C = (Address("10.0.0.1", port) for port in (1, 2, 3))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger.create(rows=2)
    yield ledger
    ledger.close()


class Story:
    """A registry with one cluster `c`, and what it said."""

    def __init__(self, ledger: Ledger, sources: tuple[str, ...] = ("s",), slots: int = 100) -> None:
        self.said: list[str] = []
        self.registry = Registry(
            Slots(ledger, slots=slots),
            joined=lambda member: self.said.append(f"+{member.address.port}"),
            changed=lambda member: self.said.append(f"~{member.address.port}"),
            left=lambda member: self.said.append(f"-{member.address.port}"),
        )
        self.registry.configure({"c": sources}, 0.0)

    def see(
        self,
        *addresses: Address,
        source: str = "s",
        trusted: bool = True,
        now: float = 0.0,
        weights: dict[Address, int] | None = None,
    ) -> set[int]:
        self.registry.see(
            "c", source, addresses, trusted=trusted, now=now, wall=now, weights=weights or {}
        )
        return self.ports

    def check(self, address: Address, health: Health) -> None:
        member = self.registry.members[f"c/{address}"]
        before = member.state.health
        member.state = HealthState(health)
        self.registry.checked(member, before, None, now=0.0, wall=0.0)

    def weight(self, address: Address) -> int:
        return self.registry.members[f"c/{address}"].picture.weight

    @property
    def ports(self) -> set[int]:
        return {member.address.port for member in self.registry.members.values()}

    def slot(self, address: Address) -> int:
        return self.registry.members[f"c/{address}"].slot


def picture(address: Address, slot: int, health: Health = Health.HEALTHY) -> TargetPicture:
    return TargetPicture(
        id=f"c/{address}",
        cluster="c",
        host=address.host,
        port=address.port,
        slot=slot,
        health=health,
        draining=True,
    )


def test_members_follow_the_source(ledger: Ledger) -> None:
    story = Story(ledger)
    assert story.see(A, B) == {1, 2}
    assert story.see(B, C) == {2, 3}
    assert story.said == ["+1", "~1", "+2", "~2", "+3", "~3", "-1"]


def test_a_target_of_two_sources_leaves_with_the_last(ledger: Ledger) -> None:
    story = Story(ledger, ("s", "t"))
    story.see(A)
    story.see(A, source="t")
    assert story.see() == {1}
    assert story.see(source="t") == set()


def test_an_untrusted_answer_takes_only_the_unhealthy(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A, B)
    story.registry.members[f"c/{A}"].state.observe(True, rise=1, fall=1)
    story.registry.members[f"c/{B}"].state.observe(False, rise=1, fall=1)
    assert story.see(trusted=False) == {1}


def test_an_answer_that_a_reload_has_overtaken_counts_for_nothing(ledger: Ledger) -> None:
    story = Story(ledger)
    assert story.see(A, source="gone") == set()


def test_drain_survives_discovery_and_ends_when_the_target_leaves(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A)
    assert story.registry.drain(f"c/{A}", True)
    story.see(A, B)
    assert story.registry.members[f"c/{A}"].picture.draining
    story.see(B)
    story.see(A)
    assert not story.registry.members[f"c/{A}"].draining
    assert not story.registry.drain("c/none", True)


def test_a_reload_makes_nobody_new(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A, B)
    before = story.slot(A)
    story.said.clear()
    story.registry.configure({"c": ("other",)}, 1.0)
    assert story.ports == {1, 2}
    story.see(A, C, source="other")
    assert story.ports == {1, 3}
    assert story.slot(A) == before
    assert story.said == ["+3", "~3", "-2"]


def test_a_cluster_that_leaves_takes_its_targets(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A)
    story.registry.configure({}, 1.0)
    assert story.ports == set()


def test_a_restarted_control_plane_knows_everyone_again(ledger: Ledger) -> None:
    story = Story(ledger)
    story.registry.restore([picture(A, 7), picture(B, 9, Health.UNHEALTHY)], 0.0)
    story.registry.configure({"c": ("s",)}, 0.0)
    assert story.ports == {1, 2}  # the source has not answered yet
    assert story.see(trusted=False) == {1, 2} - {2}  # unhealthy and unknown to DNS: gone
    assert story.see(A, C) == {1, 3}
    member = story.registry.members[f"c/{A}"]
    assert (member.slot, member.state.health, member.draining) == (7, Health.HEALTHY, True)
    assert member.sources == {"s"}


def test_more_targets_than_slots(ledger: Ledger) -> None:
    story = Story(ledger, slots=2)
    assert story.see(A, B, C) == {1, 2}
    assert story.registry.homeless == 1


def test_a_slot_rests_while_anything_is_pending(ledger: Ledger) -> None:
    slots = Slots(ledger, slots=1, grace_s=5.0)
    assert slots.take(0.0) == 0
    ledger.pending(1)[0] = 1
    ledger.target(1, 0)[TargetCell.REQUESTS] = 8
    slots.give_back(0, 0.0)
    assert slots.take(4.9) is None
    assert slots.take(6.0) is None  # still pending
    ledger.pending(1)[0] = 0
    assert slots.take(10.0) is None  # looked at again after another grace time
    assert slots.take(11.1) == 0
    assert not any(ledger.target_totals(0))


def test_counts_from_before_a_restart_are_nobodys(ledger: Ledger) -> None:
    ledger.target(0, 0)[TargetCell.REQUESTS] = 5
    ledger.pending(0)[1] = 1
    slots = Slots(ledger, slots=3)
    assert slots.take(0.0) == 0
    assert not any(ledger.target_totals(0))
    assert slots.take(0.0) == 2  # 1 has something pending


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from([A, B, C])), max_size=12))
def test_slots_are_unique_and_held_by_members_alone(answers: list[set[Address]]) -> None:
    ledger = Ledger.create(rows=1)
    try:
        story = Story(ledger)
        for now, answer in enumerate(answers):
            ports = story.see(*answer, now=now * 3.0)
            slots = [member.slot for member in story.registry.members.values()]
            assert ports == {address.port for address in answer}
            assert len(set(slots)) == len(slots)
    finally:
        ledger.close()


def test_the_healthy_stay_until_one_who_takes_their_place_is_healthy(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A, B)
    story.check(A, Health.HEALTHY)
    story.check(B, Health.UNHEALTHY)
    assert story.see(C) == {1, 3}, "the healthy one waits, the unhealthy one is of no use"
    assert story.see(C) == {1, 3}
    story.check(C, Health.HEALTHY)
    assert story.ports == {3}


def test_nobody_stays_for_those_who_were_checked_and_failed(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A)
    story.check(A, Health.HEALTHY)
    story.see(B, C)
    story.check(B, Health.UNHEALTHY)
    assert story.ports == {1, 2, 3}
    story.check(C, Health.UNHEALTHY)
    assert story.ports == {2, 3}


def test_an_empty_answer_takes_the_healthy_too(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A)
    story.check(A, Health.HEALTHY)
    assert story.see() == set()


def test_who_comes_back_while_leaving_is_a_member_again(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A)
    story.check(A, Health.HEALTHY)
    story.see(B)
    story.see(A, B)
    story.check(B, Health.HEALTHY)
    assert story.ports == {1, 2}
    assert "-1" not in story.said


def test_a_reload_to_other_sources_breaks_only_after_it_has_made(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A)
    story.check(A, Health.HEALTHY)
    story.registry.configure({"c": ["t"]}, 0.0)
    assert story.see(B, source="t") == {1, 2}
    story.check(B, Health.HEALTHY)
    assert story.ports == {2}


def test_a_weight_is_what_the_sources_say_and_follows_them(ledger: Ledger) -> None:
    story = Story(ledger, sources=("s", "t"))
    story.see(A, B, weights={A: 3})
    assert (story.weight(A), story.weight(B)) == (3, 1)
    story.see(A, source="t", weights={A: 5})
    assert story.weight(A) == 5
    story.said.clear()
    story.see(source="t")
    assert (story.weight(A), story.said) == (3, ["~1"])
    story.see(A, B)
    assert (story.weight(A), story.said) == (1, ["~1", "~1"])
    story.see(A, B)
    assert story.said == ["~1", "~1"]


def test_a_weight_set_by_hand_holds_against_the_sources_and_over_a_restart(ledger: Ledger) -> None:
    story = Story(ledger)
    story.see(A, weights={A: 3})
    assert story.registry.weigh(f"c/{A}", 7)
    story.see(A, weights={A: 4})
    assert story.weight(A) == 7
    pictures = [member.picture for member in story.registry.members.values()]
    again = Story(ledger, sources=())
    again.registry.restore(pictures, 0.0)
    again.registry.configure({"c": ("s",)}, 0.0)
    again.see(A, weights={A: 3})
    assert again.weight(A) == 7
    again.see(B)
    again.see(A, B, weights={A: 3})
    assert again.weight(A) == 3  # it had left
