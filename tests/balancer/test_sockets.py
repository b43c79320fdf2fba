"""Listening sockets and the open-file limit."""

from __future__ import annotations

import resource
import socket

import pytest

from services.balancer.config import Limits
from services.balancer.sockets import SPARE_FILES, SocketError, bind_sockets, fit_limits


def connect(port: int, timeout_s: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout_s)


def test_every_process_has_a_queue_of_its_own_on_one_port() -> None:
    sockets = bind_sockets("127.0.0.1:0", "127.0.0.1:0", 3)
    try:
        ports = {sock.getsockname()[1] for sock in sockets.listen}
        assert len(sockets.listen) == 3
        assert len(ports) == 1
        (port,) = ports
        clients = [connect(port) for _ in range(30)]
        counts = []
        for sock in sockets.listen:
            count = 0
            try:
                while True:
                    sock.accept()[0].close()
                    count += 1
            except BlockingIOError:
                counts.append(count)
        assert sum(counts) == 30
        assert all(counts)
        for client in clients:
            client.close()
    finally:
        sockets.close()


def test_a_taken_port_names_setting_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for listen, admin in ((f"127.0.0.1:{port}", "127.0.0.1:0"), ("127.0.0.1:0", f":{port}")):
            setting = "listen" if listen.endswith(str(port)) else "admin"
            with pytest.raises(SocketError, match=rf"^{setting} .*: port {port} is taken"):
                bind_sockets(listen, admin, 2)


def test_a_port_shared_by_others_counts_as_taken() -> None:
    sockets = bind_sockets("127.0.0.1:0", "127.0.0.1:0", 2)
    try:
        host, port = sockets.listen[0].getsockname()
        with pytest.raises(SocketError, match="is taken"):
            bind_sockets(f"{host}:{port}", "127.0.0.1:0", 2)
    finally:
        sockets.close()


@pytest.mark.parametrize(
    ("address", "reason"),
    [("203.0.113.1:80", "no such address"), ("no.such.host.invalid:80", ".")],
)
def test_an_address_that_is_not_ours(address: str, reason: str) -> None:
    with pytest.raises(SocketError, match=f"^listen {address}: .*{reason}"):
        bind_sockets(address, "127.0.0.1:0", 1)


def test_closing_lets_queues_dry_up_without_a_reset() -> None:
    sockets = bind_sockets("127.0.0.1:0", "127.0.0.1:0", 1)
    copy = sockets.listen[0].dup()  # as a child has it
    port = copy.getsockname()[1]
    with copy:
        early = connect(port)
        sockets.close_listen()
        with pytest.raises(TimeoutError):
            connect(port, 0.2)
        accepted, _ = copy.accept()
        early.sendall(b"still here")
        accepted.setblocking(True)
        assert accepted.recv(100) == b"still here"
        accepted.close()
        early.close()
        with pytest.raises(BlockingIOError):
            copy.accept()
    with pytest.raises(ConnectionRefusedError):
        connect(port, 0.2)
    sockets.close()


def test_limits_fit_the_open_files() -> None:
    limits = Limits(connections=1000)
    assert fit_limits(limits, 2000 + SPARE_FILES) is limits
    assert fit_limits(limits, resource.RLIM_INFINITY) is limits
    assert fit_limits(limits, 1000 + SPARE_FILES).connections == 500
    assert fit_limits(limits, 10).connections == 1
