"""Metadata over HTTP: nothing without a token."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from orchestrator.localcloud.imds import Imds, look_up

TREE = {"meta-data": {"instance-id": "i-1", "placement": {"region": "eu-west-1"}}, "user-data": ""}
AGE = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


@pytest.fixture
def known() -> set[str]:
    return {"127.0.0.1"}


@pytest.fixture
def asked(known: set[str]) -> Iterator[httpx.Client]:
    imds = Imds("127.0.0.1", 0, lambda address: TREE if address in known else None)
    with httpx.Client(base_url=f"http://127.0.0.1:{imds.port}", timeout=5) as client:
        yield client
    imds.close()


def _token(asked: httpx.Client) -> dict[str, str]:
    return {TOKEN: asked.put("/latest/api/token", headers={AGE: "60"}).raise_for_status().text}


def test_a_token_first(asked: httpx.Client) -> None:
    path = "/latest/meta-data/instance-id"
    assert asked.get(path).status_code == 401
    assert asked.get(path, headers={TOKEN: "guessed"}).status_code == 401
    answer = asked.get(path, headers=_token(asked))
    assert (answer.status_code, answer.text) == (200, "i-1")


@pytest.mark.parametrize("age", ["", "0", "21601", "soon"])
def test_a_token_has_an_age(asked: httpx.Client, age: str) -> None:
    assert asked.put("/latest/api/token", headers={AGE: age}).status_code == 400


def test_no_token_through_a_proxy(asked: httpx.Client) -> None:
    """Source: EC2 user guide, "Use IMDSv2": PUT with X-Forwarded-For is refused."""
    headers = {AGE: "60", "X-Forwarded-For": "10.0.0.1"}
    assert asked.put("/latest/api/token", headers=headers).status_code == 403


def test_nobody_is_known_at_another_address(asked: httpx.Client, known: set[str]) -> None:
    token = _token(asked)
    known.clear()
    assert asked.get("/latest/meta-data/", headers=token).status_code == 404


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/latest/", "meta-data/\nuser-data"),
        ("/latest/meta-data/", "instance-id\nplacement/"),
        ("/2021-03-23/meta-data/placement/region", "eu-west-1"),
        ("/latest/user-data", ""),
        ("/latest/meta-data/instance-id/more", None),
        ("/latest/meta-data/public-ipv4", None),
        ("/1999-01-01/meta-data/", None),
    ],
)
def test_paths(path: str, text: str | None) -> None:
    assert look_up(TREE, path) == text
