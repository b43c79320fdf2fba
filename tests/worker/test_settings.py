"""The environment: every mistake named, all at once, and never a traceback."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys

import pytest

from services.worker.settings import (
    Settings,
    SettingsError,
    describe,
    machine_type,
    read_settings,
)
from tests.worker.conftest import ROOT


def run_worker(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.worker", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"WORK_MS": "  ", "UNRELATED": "x"}) == Settings()


def test_values_are_read_with_their_types() -> None:
    settings = read_settings({"WORK_MS": "2.5", "WORK_MODE": "model", "MAX_PENDING": "7"})
    assert (settings.work_ms, settings.work_mode, settings.max_pending) == (2.5, "model", 7)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"WORK_MS": "fast"}, "WORK_MS: expected a number, got 'fast'"),
        ({"WORK_MS": "nan"}, "WORK_MS: expected a number from 0 to 60000, got 'nan'"),
        ({"WORK_MS": "-1"}, "WORK_MS: expected a number from 0 to 60000, got '-1'"),
        ({"MAX_PENDING": "1.5"}, "MAX_PENDING: expected a whole number, got '1.5'"),
        ({"MAX_PENDING": "0"}, "MAX_PENDING: expected a number at least 1, got '0'"),
        ({"MACHINE_CREDITS": "inf"}, "MACHINE_CREDITS: expected a finite number, got 'inf'"),
        ({"WORK_MODE": "magic"}, "WORK_MODE: expected one of cpu, model, got 'magic'"),
        ({"MACHINE": "t2.micro"}, "MACHINE: a modelled machine needs WORK_MODE=model"),
        (
            {"GRACE_S": "3"},
            "GRACE_S: must not be below DRAIN_NOTICE_S (5), got 3",
        ),
    ],
)
def test_a_mistake_names_its_variable(environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    assert caught.value.problems == [problem]


def test_an_unknown_machine_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"MACHINE: expected one of t2.nano.*got 'm5.huge'"):
        read_settings({"WORK_MODE": "model", "MACHINE": "m5.huge"})


def test_a_type_can_be_overridden() -> None:
    kind = machine_type(
        read_settings({"WORK_MODE": "model", "MACHINE": "t2.large", "MACHINE_SPEED": "2"})
    )
    assert (kind.name, kind.vcpus, kind.speed, kind.earned) == ("t2.large", 2, 2.0, 0.6)
    flat = machine_type(read_settings({"WORK_MODE": "model", "MACHINE_VCPUS": "3"}))
    assert (flat.vcpus, flat.earned) == (3, 3.0)


def test_the_table_has_every_variable() -> None:
    table = describe()
    for field in dataclasses.fields(Settings):
        assert field.metadata["env"] in table


def test_all_mistakes_are_told_at_once_without_a_traceback() -> None:
    ended = run_worker(WORK_MS="x", KEEP_ALIVE_S="0", LOG_REQUESTS="maybe")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert [line.split(":")[1].strip() for line in ended.stderr.splitlines()] == [
        "WORK_MS",
        "KEEP_ALIVE_S",
        "LOG_REQUESTS",
    ]


def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_worker("--port", str(port), IMDS="0")
    assert ended.returncode == 1
    assert ended.stderr == f"worker: cannot listen on 127.0.0.1:{port}: Address already in use\n"


def test_help_prints_the_table() -> None:
    ended = run_worker("--help")
    assert ended.returncode == 0
    assert "WORK_MS" in ended.stdout
