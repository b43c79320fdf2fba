"""Runs that were done before, in a file of one JSON line each, so that nobody does them again.

A long comparison can be broken off and gone on with, or done in slices: what is kept is whose
scenario, policy and seed are the same. It does not know of the code: after a change of a policy or
of the simulator, its lines (or the file) are to be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from hashlib import sha256
from json import JSONDecodeError, dumps, loads
from pathlib import Path
from typing import Any, Final

from loadtest.arena.compare import Figures
from loadtest.arena.scenario import Scenario

FIGURES: Final = {field.name for field in fields(Figures)}


class BadKeeping(ValueError):
    """A file of kept runs is not one; the message says where."""


def fingerprint(scenario: Scenario) -> str:
    """Of all that a run depends on; what the scenario is called and why it is there is no part."""
    return sha256(repr(replace(scenario, name="", why="")).encode()).hexdigest()[:16]


class Kept:
    """The runs of one file; without a path they are kept as long as this object."""

    def __init__(self, path: Path | None) -> None:
        """Raises BadKeeping."""
        self.added = 0  # requests of the runs that were added
        self._path = path
        self._runs: dict[tuple[str, str, int], Figures] = {}
        if path is None or not path.exists():
            return
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            try:
                self._take(loads(line))
            except (JSONDecodeError, KeyError, TypeError) as error:
                raise BadKeeping(f"{path}:{number}: not a kept run: {error}") from error

    def _take(self, run: dict[str, Any]) -> None:
        figures = Figures(**{name: run[name] for name in FIGURES})
        self._runs[run["of"], run["policy"], int(run["seed"])] = figures

    def get(self, scenario: Scenario, policy: str, seed: int) -> Figures | None:
        """None: it has to be run."""
        return self._runs.get((fingerprint(scenario), policy, seed))

    def all_of(self, scenario: Scenario, policies: Iterable[str], seeds: Sequence[int]) -> bool:
        """Whether nothing of it has to be run."""
        return all(self.get(scenario, p, seed) is not None for p in policies for seed in seeds)

    def add(self, scenario: Scenario, policy: str, seed: int, figures: Figures) -> None:
        """One more; in the file at once."""
        of = fingerprint(scenario)
        self._runs[of, policy, seed] = figures
        self.added += figures.requests
        if self._path is not None:
            line = {"scenario": scenario.name, "of": of, "policy": policy, "seed": seed}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(dumps(line | asdict(figures)) + "\n")
