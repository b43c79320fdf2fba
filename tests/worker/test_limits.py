"""Bodies, heads and slow clients over the limit, on raw sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.worker.conftest import DEADLINE_S, StartWorker, WorkerProcess, wait_until

LIMIT = 100_000  # as in conftest


@pytest.fixture
def client(worker: WorkerProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", worker.port), DEADLINE_S) as connection:
        yield connection


def read_all(client: socket.socket) -> bytes:
    """Everything until the worker closes. A reset would be an error: the answer would be lost."""
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    return answer


def chunks(total: int) -> Iterator[bytes]:
    for _ in range(total // 10_000):
        yield b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("path", ["/seed", "/cluster1"])
def test_an_announced_body_over_the_limit_is_413(client: socket.socket, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: w\r\nContent-Length: 1000000\r\n\r\n"
    client.sendall(head.encode() + b"x" * 1_000_000)
    answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"endpoint-load-metrics" in answer


@pytest.mark.parametrize("path", ["/seed", "/cluster1", "/cluster1?work_ms=1"])
def test_a_chunked_body_over_the_limit_is_413(client: socket.socket, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: w\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.sendall(head.encode())
    for chunk in chunks(1_000_000):
        client.sendall(chunk)
    assert read_all(client).startswith(b"HTTP/1.1 413 ")


def test_one_who_waits_to_be_asked_is_told_before_he_sends(client: socket.socket) -> None:
    client.sendall(
        b"POST /cluster1 HTTP/1.1\r\nHost: w\r\nExpect: 100-continue\r\n"
        b"Content-Length: 1000000\r\n\r\n"
    )
    assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_at_the_limit_passes(worker: WorkerProcess) -> None:
    assert worker.request("POST", "/cluster1", b"x" * LIMIT).status == 200


def test_a_get_with_a_large_body_and_work_is_413(worker: WorkerProcess) -> None:
    reply = worker.request("GET", "/cluster1?work_ms=1", b"x" * (LIMIT + 1))
    assert reply.status == 413


def test_a_head_over_the_limit_is_431(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.1\r\nHost: w\r\nX-Long: " + b"x" * 30_000)
    assert client.recv(65536).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("beginning", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: w\r\n\r\nGET"])
def test_a_head_that_never_ends_is_closed(client: socket.socket, beginning: bytes) -> None:
    client.sendall(beginning)
    read_all(client)  # returns: the worker has closed


def test_what_is_no_http_is_400(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_too_many_pending_requests_are_refused(start_worker: StartWorker) -> None:
    worker = start_worker(MAX_PENDING="2", WORK_MODE="model")
    waiting = [worker.connect() for _ in range(2)]
    for connection in waiting:
        connection.request("GET", "/cluster1?work_ms=30000")
    wait_until(lambda: worker.get("/load").json()["pending"] == 2)
    refused = worker.get("/cluster1")
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert worker.get("/readyz").status == 200
    for connection in waiting:
        connection.close()
    wait_until(lambda: worker.get("/cluster1").status == 200)
