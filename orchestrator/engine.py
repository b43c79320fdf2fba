"""The Docker engine: how it is reached, and how its failures are told.

Nothing else in the package opens a client. Whatever the engine answers in error becomes an
`EngineError`: one line that says what failed, and one that says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

# A step of a build may be silent for as long as pip downloads; a push for as long as one layer.
SILENCE_TIMEOUT_S: Final = 600


class EngineError(Exception):
    """What the engine could not do. `str()` is one line; `suggestion` is a second, or empty."""

    def __init__(self, message: str, suggestion: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.suggestion = suggestion


@contextmanager
def translated(doing: str, suggestion: str = "") -> Iterator[None]:
    """Turn what the SDK and its HTTP client raise into an `EngineError` that says `doing`."""
    try:
        yield
    except APIError as error:
        raise EngineError(f"{doing}: {error.explanation or error}", suggestion) from error
    except (DockerException, RequestException) as error:
        raise EngineError(f"{doing}: {error}", suggestion) from error


@contextmanager
def connected() -> Iterator[docker.DockerClient]:
    """A client of the engine that `DOCKER_HOST` names, else of the local one.

    Errors:
        EngineError: no engine answers.
    """
    try:
        client = docker.from_env(timeout=SILENCE_TIMEOUT_S)  # asks for the engine's version
    except (DockerException, RequestException) as error:
        raise EngineError(
            f"no Docker engine answers: {innermost(error)}",
            "start Docker, or name an engine with DOCKER_HOST",
        ) from error
    try:
        yield client
    finally:
        client.close()


def innermost(error: BaseException) -> str:
    """The first cause of an error that several libraries have wrapped, in its own words."""
    while True:
        inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        inner = inner or error.__cause__ or error.__context__
        if inner is None or inner is error:
            return str(error)
        error = inner


class StreamFailed(Exception):
    """What the engine wrote into a stream of progress instead of an answer in error."""


def checked(events: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The events of a build, pull or push, up to a failure; the SDK does not raise those.

    The stream is read to its end before the failure is raised: only then is its connection closed.

    Errors:
        StreamFailed: the stream carried a failure, in the engine's words.
    """
    failure = ""
    for event in events:
        detail = event.get("errorDetail") or {}
        if failure or "error" in event:
            failure = failure or str(detail.get("message") or event["error"])
        else:
            yield event
    if failure:
        raise StreamFailed(failure)
