"""`host:port` as text and as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.address import Address, parse_target


@pytest.mark.parametrize("text", ["10.0.0.1:80", "[::1]:65535", "[2001:db8::1]:1"])
def test_reads_and_prints_the_same(text: str) -> None:
    assert str(parse_target(text)) == text


def test_one_address_has_one_text() -> None:
    assert parse_target("[2001:DB8:0::1]:80") == Address("2001:db8::1", 80)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:1",
        "1.2.3:4",
        "1.2.3.4",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "::1:80",
        "1.2.3.4:+1",
        "[fe80::1%eth0]:80",
        "1.2.3.4:٣",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|IP|brackets"):
        parse_target(text)


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_target(text)
    except ValueError:
        return
    assert parse_target(str(address)) == address
