"""From a file and the environment to a Config, or to every reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.balancer.config import Config
from services.balancer.settings import consistency, environment, rules, schema, shorthand
from services.balancer.settings.document import MAX_BYTES, read
from services.balancer.settings.problems import ConfigError, Problem, Spot


def load(path: str | Path, env: Mapping[str, str]) -> Config:
    """Read and validate the file at `path` with the variables of `env` laid over it.

    Raises ConfigError with every problem, one for a file that cannot be read included.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(Spot(str(path)), "", f"cannot be read: {reason}")
        raise ConfigError([problem]) from error
    return parse(text, env, file=str(path), folder=path.resolve().parent)


def parse(text: bytes, env: Mapping[str, str], *, file: str, folder: Path) -> Config:
    """Validate `text`; `file` names it in problems, `folder` is where relative paths start."""
    document = read(text, file)
    unreadable = bool(document.problems) and not isinstance(document.data, dict)
    if document.data is None and not unreadable:
        document.data = {}
    environment.overlay(document, env)
    if not isinstance(document.data, dict):
        if not unreadable:
            document.report((), "must be a mapping", "begin with `listen: 127.0.0.1:8000`")
        raise ConfigError(document.problems)
    shorthand.expand(document, folder, env)
    config = schema.check(document)
    misfits = {(problem.spot, problem.place) for problem in document.problems}
    before = len(document.problems)
    rules.check(document)
    consistency.check(document)
    # One value, one complaint: what has the wrong type needs no second opinion.
    document.problems[before:] = [
        problem
        for problem in document.problems[before:]
        if (problem.spot, problem.place) not in misfits
    ]
    if document.problems or config is None:
        raise ConfigError(document.problems)
    return config
