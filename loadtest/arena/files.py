"""Scenario files: YAML -> scenarios. Every mistake is named with its file and place.

A file is a list of scenarios, or one of them. A scenario is one of

    {cell: [speeds, what, load, balancers, targets], why: ...}      a cell of the matrix
    {name: ..., why: ..., machines: [...], load: ..., ...}          the fields of `Scenario`
    {each: {...}, vary: {field: [...]}, why: ...}                   one for each value of a field

where what has kinds is a mapping with one key: `work: {pareto: {shape: 2.2}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from loadtest.arena.arrivals import Bursty, Diurnal, Poisson
from loadtest.arena.cells import cell
from loadtest.arena.changes import Crash, Deploy, ScaleOut
from loadtest.arena.happenings import Antagonist, Credits, Failing, Pauses, Slowdown
from loadtest.arena.scenario import Group, Hedge, Scenario
from loadtest.arena.work import Exponential, Fixed, LogNormal, Pareto, Sample

WORK: Final = {
    "exponential": Exponential,
    "log_normal": LogNormal,
    "pareto": Pareto,
    "fixed": Fixed,
    "sample": Sample,
}
ARRIVALS: Final = {"poisson": Poisson, "bursty": Bursty, "diurnal": Diurnal}
HAPPENINGS: Final = {
    "antagonist": Antagonist,
    "credits": Credits,
    "slowdown": Slowdown,
    "pauses": Pauses,
    "failing": Failing,
    "crash": Crash,
    "scale_out": ScaleOut,
    "deploy": Deploy,
}
PLAIN: Final = {
    "load": float,
    "requests": int,
    "warmup_s": float,
    "balancers": int,
    "processes": int,
    "subset": int,
    "news_s": float,
    "network_s": float,
    "probe_interval_s": float,
    "deadline_s": float,
    "retries": int,
    "ejection": bool,
    "allotment": float,
}


class BadScenario(ValueError):
    """A scenario file is wrong; the message says where and how."""


def read_scenarios(path: Path) -> list[Scenario]:
    """All scenarios of a file. Raises BadScenario."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadScenario(f"{path}: {error}") from error
    found = []
    for place, entry in enumerate(content if isinstance(content, list) else [content], start=1):
        try:
            found += _entry(entry, path.stem)
        except (ValueError, TypeError, KeyError) as error:
            words = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
            raise BadScenario(f"{path}: scenario {place}: {words}") from error
    return found


def _entry(entry: Any, stem: str) -> list[Scenario]:
    if not isinstance(entry, dict):
        raise TypeError(f"must be a mapping, is {entry!r}")
    why = str(entry.get("why", ""))
    if "cell" in entry:
        return [_changed(cell(*entry["cell"]), entry, why)]
    if "vary" not in entry:
        return [_scenario(entry)]
    ((field, values),) = entry["vary"].items()
    return [
        _scenario({"name": f"{stem}, {field} {v}", "why": why, **entry["each"], field: v})
        for v in values
    ]


def _changed(made: Scenario, entry: Mapping[str, Any], why: str) -> Scenario:
    """A cell of the matrix with other settings, which its name then says."""
    others = {key: value for key, value in entry.items() if key not in ("cell", "why", "name")}
    name = ", ".join((made.name, *(f"{key} {value}" for key, value in others.items())))
    return replace(made, **_fields(others), name=str(entry.get("name", name)), why=why)


def _scenario(entry: Mapping[str, Any]) -> Scenario:
    fields = _fields(entry)
    return Scenario(
        name=fields.pop("name"), machines=fields.pop("machines"), load=fields.pop("load"), **fields
    )


def _fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in entry.items():
        if key in ("name", "why"):
            fields[key] = str(value)
        elif key == "machines":
            fields[key] = tuple(_made(Group, each, key) for each in value)
        elif key == "work":
            fields[key] = _kind(WORK, value, key)
        elif key == "arrivals":
            fields[key] = _kind(ARRIVALS, value, key)
        elif key == "happenings":
            fields[key] = tuple(_kind(HAPPENINGS, each, key) for each in value)
        elif key == "hedge":
            fields[key] = _made(Hedge, value, key)
        elif key in PLAIN:
            fields[key] = _made(PLAIN[key], value, key)
        else:
            raise ValueError(f"no such setting: {key!r}")
    return fields


def _kind(kinds: Mapping[str, type], value: Any, place: str) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"{place}: one of {', '.join(kinds)}, with its settings")
    ((name, settings),) = value.items()
    if name not in kinds:
        raise ValueError(f"{place}: no {name!r}; there are {', '.join(kinds)}")
    return _made(kinds[name], settings or {}, f"{place}: {name}")


def _made(kind: type, value: Any, place: str) -> Any:
    if isinstance(value, dict):
        unknown = set(value) - set(getattr(kind, "__dataclass_fields__", value))
        if unknown:
            raise ValueError(f"{place}: no such setting: {', '.join(sorted(unknown))}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{place}: {error}") from error
