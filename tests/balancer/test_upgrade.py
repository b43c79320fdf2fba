"""What a successor is started with, and what it does with a will that it cannot read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec
import pytest

from services.balancer.announce import notify, remove_pid_file, serving, write_pid_file
from services.balancer.config import Config
from services.balancer.upgrade import (
    OPTION,
    Inheritance,
    TakeOverError,
    command,
    needs_restart,
    settings_of,
)


def will(data: bytes) -> int:
    fd = os.memfd_create("test-will")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def test_a_successor_is_started_as_we_were() -> None:
    argv = ["python3", "-m", "services.balancer", "--config", "b.yaml"]
    first = command("/venv/bin/python", argv, 7)
    assert first == ["/venv/bin/python", *argv[1:], OPTION, "7"]
    assert command("/venv/bin/python", first, 9) == ["/venv/bin/python", *argv[1:], OPTION, "9"]


def test_what_sockets_and_memory_were_made_for_stays() -> None:
    before = settings_of(Config(processes=2))
    assert needs_restart(before, Config(processes=2)) == ()
    (problem,) = needs_restart(before, Config(processes=3))
    assert problem.startswith("processes: 2 -> 3 needs a restart")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"listen": [1], "admin": "x"}'])
def test_nothing_to_take_over(data: bytes) -> None:
    with pytest.raises(TakeOverError, match="nothing to take over"):
        Inheritance(will(data))
    with pytest.raises(TakeOverError):
        Inheritance(987_654)


def test_a_picture_of_another_shape_is_left_aside_and_the_sockets_are_not() -> None:
    ours = socket.create_server(("127.0.0.1", 0))
    reading, writing = os.pipe()
    left = {
        "listen": [os.dup(ours.fileno())],
        "admin": os.dup(ours.fileno()),
        "ready": writing,
        "settings": {"processes": "1"},
        "picture": [{"another": "version's"}],
        "more": "that a later version says",
    }
    inherited = Inheritance(will(msgspec.json.encode(left)))
    assert inherited.picture == ()
    assert inherited.sockets.listen[0].getsockname() == ours.getsockname()
    inherited.take()
    inherited.take()
    assert os.read(reading, 10) == b"ready"
    assert os.read(reading, 10) == b""
    os.close(reading)
    inherited.sockets.close()
    with ours, socket.create_connection(ours.getsockname(), 5.0):
        pass  # shared: closing theirs drops no SYN of ours


def test_the_old_one_may_be_gone_already() -> None:
    ours = socket.create_server(("127.0.0.1", 0))
    reading, writing = os.pipe()
    left = {"listen": [], "admin": ours.detach(), "ready": writing, "settings": {}, "picture": []}
    inherited = Inheritance(will(msgspec.json.encode(left)))
    os.close(reading)
    inherited.take()
    assert inherited.taken
    inherited.sockets.close()


def test_the_pid_file_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "balancer.pid"
    write_pid_file(file, 10)
    write_pid_file(file, 11)
    remove_pid_file(file, 10)
    assert file.read_text() == "11\n"
    remove_pid_file(file, 11)
    remove_pid_file(file, 11)
    assert list(tmp_path.iterdir()) == []


def test_who_cannot_be_told_costs_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notify({}, "READY=1")
    serving({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, None)
    serving({}, tmp_path / "no" / "folder")
    assert [record.message for record in caplog.records] == ["not announced"] * 2
