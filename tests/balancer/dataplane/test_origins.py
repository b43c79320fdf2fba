"""Connections counted by where they come from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.dataplane.origins import Origins


def test_an_address_has_so_many_and_another_has_its_own() -> None:
    origins = Origins()
    assert [origins.admit("192.0.2.1", 2) for _ in range(3)] == ["192.0.2.1", "192.0.2.1", None]
    assert origins.admit("192.0.2.2", 2) == "192.0.2.2"
    origins.dismiss("192.0.2.1")
    assert origins.admit("192.0.2.1", 2) == "192.0.2.1"


def test_a_network_of_ipv6_is_one_origin() -> None:
    origins = Origins()
    assert origins.admit("2001:db8::1", 1) is not None
    assert origins.admit("2001:db8::ffff:1", 1) is None
    assert origins.admit("2001:db8:0:1::1", 1) is not None
    assert origins.admit("fe80::1%eth0", 1) is not None
    assert origins.admit("fe80::2%eth1", 1) is None


def test_ipv4_by_an_ipv6_socket_is_ipv4() -> None:
    origins = Origins()
    assert origins.admit("::ffff:192.0.2.1", 1) == "192.0.2.1"
    assert origins.admit("::ffff:192.0.2.2", 1) == "192.0.2.2"
    assert origins.admit("192.0.2.1", 1) is None


def test_what_comes_by_a_trusted_proxy_is_not_counted() -> None:
    origins = Origins()
    assert [origins.admit("", 1) for _ in range(3)] == [""] * 3
    origins.dismiss("")
    assert len(origins) == 0


_STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=20)


@given(_STEPS, st.integers(1, 3))
def test_what_left_is_forgotten(steps: list[tuple[str, bool]], most: int) -> None:
    origins, held = Origins(), []
    for peer, comes in steps:
        if comes and (origin := origins.admit(peer, most)) is not None:
            held.append(origin)
        elif held:
            origins.dismiss(held.pop())
        assert len(origins) == len(set(held))
        assert all(held.count(origin) <= most for origin in held)
    while held:
        origins.dismiss(held.pop())
    assert len(origins) == 0
