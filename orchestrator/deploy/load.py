"""Read `deploy.yaml`: every mistake at once, each with its line and a suggestion."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestrator.deploy.problems import Problem, SettingsError, nearest
from orchestrator.deploy.settings import (
    PRESETS,
    Alarms,
    Alb,
    Balancer,
    Budget,
    Cluster,
    Deployment,
    Duration,
    Scale,
    Ssh,
    Tags,
)

MAX_BYTES: Final = 256 * 1024
Place = tuple[str | int, ...]
_MODELS: Final[dict[str, type[BaseModel]]] = {
    "alarms": Alarms,
    "alb": Alb,
    "balancer": Balancer,
    "budget": Budget,
    "clusters": Cluster,
    "image_tag": Tags,
    "scale": Scale,
    "ssh": Ssh,
}


def load(path: Path) -> Deployment:
    """The deployment that the file describes.

    Errors:
        SettingsError: the file cannot be read, or something in it is wrong.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        hint = "copy deploy.example.yaml" if isinstance(error, FileNotFoundError) else ""
        raise SettingsError(
            [Problem(str(path), 1, 1, "", error.strerror or str(error), hint)]
        ) from error
    return parse(text, str(path))


def with_ttl(deployment: Deployment, ttl: str | None) -> Deployment:
    """The same with the time to live of the command line, where one is given.

    Errors:
        SettingsError: it is no duration, or out of bounds.
    """
    if ttl is None:
        return deployment
    try:
        seconds = TypeAdapter(Duration).validate_python(ttl)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SettingsError([Problem("--ttl", 1, 1, ttl, message)]) from error
    return deployment.model_copy(update={"ttl": seconds})


def parse(text: bytes, file: str = "deploy.yaml") -> Deployment:
    """The same from text. `preset: NAME` stands for that preset's clusters."""
    if len(text) > MAX_BYTES:
        raise SettingsError([Problem(file, 1, 1, "", f"larger than {MAX_BYTES} bytes")])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not YAML: {error.problem or error}"
        raise SettingsError([Problem(file, line, column, "", message)]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        message = f"not YAML: {' '.join(str(error).split())}"
        raise SettingsError([Problem(file, 1, 1, "", message)]) from error
    if not isinstance(data, dict):
        raise SettingsError([Problem(file, 1, 1, "", "not a mapping", "begin with name: ...")])
    problems: list[Problem] = []
    _expand_preset(data, root, file, problems)
    try:
        deployment = Deployment.model_validate(data)
    except ValidationError as error:
        details = error.errors()
        problems += [_problem(d, root, file) for d in details if not _follows(d, details)]
    else:
        if not problems:
            return deployment
    raise SettingsError(problems)


def _expand_preset(data: dict[Any, Any], root: Any, file: str, problems: list[Problem]) -> None:
    name = data.pop("preset", None)
    if name is None:
        return
    spot = _spot(root, ("preset",))
    if "clusters" in data:
        problems.append(
            Problem(file, *spot, "preset", "given together with clusters", "keep one of them")
        )
    elif str(name) in PRESETS:
        data["clusters"] = PRESETS[str(name)]
    else:
        problems.append(
            Problem(file, *spot, "preset", f"unknown preset {name!r}", nearest(str(name), PRESETS))
        )
        data["clusters"] = PRESETS["pair"]  # so that the rest is looked at, too


def _follows(detail: Any, details: list[Any]) -> bool:
    """A list is too short only because its entries are wrong, which is told already."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(d["loc"]) > len(place) and d["loc"][: len(place)] == place for d in details
    )


def _problem(detail: Any, root: Any, file: str) -> Problem:
    place: Place = tuple(detail["loc"])
    line, column = _spot(root, place)
    message = detail["msg"].removeprefix("Value error, ")
    suggestion = ""
    if detail["type"] == "extra_forbidden":
        model = next((_MODELS[p] for p in reversed(place[:-1]) if p in _MODELS), Deployment)
        known = [*model.model_fields, *(["preset"] if model is Deployment else [])]
        message, suggestion = "unknown key", nearest(str(place[-1]), known)
    elif "pattern" in detail.get("ctx", {}):
        message = f"{detail['input']!r} does not have the form {detail['ctx']['pattern']}"
    message, _, more = message.partition("; ")
    return Problem(file, line, column, _dotted(place), message, suggestion or more)


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _spot(node: Any, place: Place) -> tuple[int, int]:
    """Line and column of the deepest part of `place` that the file has."""
    mark = node.start_mark
    for part in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    mark, found = key.start_mark, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part]
            mark = found.start_mark
        if found is None:
            break
        node = found
    return mark.line + 1, mark.column + 1
