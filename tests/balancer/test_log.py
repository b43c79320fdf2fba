"""Log lines: one JSON object each, or plain text at a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from services.balancer.log import start_logging


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_json_lines() -> None:
    stream = io.StringIO()
    start_logging("dataplane-0", stream=stream)
    log = logging.getLogger("services.balancer.test")
    log.warning("target ejected", extra={"target": "a\nb", "for_s": 3})
    log.debug("not this")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("broken")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert list(first)[:5] == ["time", "level", "process", "pid", "event"]
    assert first["time"].endswith("Z")
    assert (first["level"], first["process"]) == ("warning", "dataplane-0")
    assert (first["event"], first["target"], first["for_s"]) == ("target ejected", "a\nb", 3)
    assert second["exception"].endswith("ValueError: why")


def test_plain_lines_at_a_terminal() -> None:
    stream = Terminal()
    start_logging("control", stream=stream)
    logging.getLogger("x").info("target %s", "healthy", extra={"target": "t"})
    assert stream.getvalue()[8:] == " control    info     target healthy  target=t\n"


def test_the_second_copy_of_a_message_is_not_a_field() -> None:
    """uvicorn's, with colours."""
    stream = io.StringIO()
    start_logging("control", stream=stream)
    logging.getLogger("uvicorn").info("up", extra={"color_message": "\x1b[1mup"})
    assert "color_message" not in json.loads(stream.getvalue())


def test_chatty_libraries_are_quiet() -> None:
    stream = io.StringIO()
    start_logging("control", stream=stream)
    logging.getLogger("asyncio").info("HTTP Request")
    assert stream.getvalue() == ""
