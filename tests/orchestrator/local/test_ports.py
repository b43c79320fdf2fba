"""Which ports the fleet takes."""

from __future__ import annotations

import socket
from collections.abc import Set as AbstractSet

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.local.plan import usual_ports
from orchestrator.local.ports import Move, PortTaken, choose_ports, is_free

USUAL = {"balancer": 8000, "admin": 8001, "worker": 9101}


def test_usual_ports_where_all_are_free() -> None:
    choice = choose_ports(USUAL, fixed={}, free=lambda port: True)
    assert choice.ports == USUAL
    assert choice.moves == ()


def test_a_taken_port_moves_up_and_past_the_others() -> None:
    choice = choose_ports(USUAL, fixed={}, free=lambda port: port != 8000)
    assert choice.ports == {"balancer": 8002, "admin": 8001, "worker": 9101}
    assert choice.moves == (Move("balancer", 8000, 8002),)


def test_what_the_user_asked_for_comes_first() -> None:
    choice = choose_ports(USUAL, fixed={"balancer": 9101}, free=lambda port: True)
    assert choice.ports == {"balancer": 9101, "admin": 8001, "worker": 9102}


def test_a_taken_port_that_the_user_asked_for_is_an_error() -> None:
    with pytest.raises(PortTaken, match="port 8000 for balancer is taken"):
        choose_ports(USUAL, fixed={"balancer": 8000}, free=lambda port: port != 8000)


def test_a_port_asked_for_twice_is_an_error() -> None:
    with pytest.raises(PortTaken, match="port 9000 is asked for twice"):
        choose_ports(USUAL, fixed={"balancer": 9000, "admin": 9000}, free=lambda port: True)


def test_no_port_at_all_is_an_error() -> None:
    with pytest.raises(PortTaken, match="no free port for balancer"):
        choose_ports(USUAL, fixed={}, free=lambda port: False)


@given(
    taken=st.sets(st.sampled_from([*range(7990, 8020), *range(9095, 9115), *range(9195, 9210)])),
    fixed=st.dictionaries(st.sampled_from(["balancer", "admin"]), st.integers(9100, 9110)),
)
def test_ports_are_free_and_differ(taken: AbstractSet[int], fixed: dict[str, int]) -> None:
    usual = usual_ports()
    try:
        choice = choose_ports(usual, fixed=fixed, free=lambda port: port not in taken)
    except PortTaken:
        assert taken & set(fixed.values()) or len(set(fixed.values())) < len(fixed)
        return
    ports = list(choice.ports.values())
    assert list(choice.ports) == list(usual)
    assert len(set(ports)) == len(ports)
    assert not taken & set(ports)
    assert choice.ports == dict(usual) | fixed | {m.name: m.port for m in choice.moves}


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - that is the case
def test_a_listener_makes_a_port_taken(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_shared_listener_makes_a_port_taken() -> None:
    """A balancer binds with SO_REUSEPORT: a second one must not share its port by mistake."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as server:
        assert not is_free(server.getsockname()[1])


def test_a_connection_in_time_wait_is_no_obstacle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = server.accept()
        served.close()  # who closes first keeps the port in TIME_WAIT
        client.close()
    assert is_free(port)
