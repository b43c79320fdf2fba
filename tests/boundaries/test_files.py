"""How files are kept: short, named for what is in them, introduced by a docstring."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.boundaries.sources import ROOT, sources, within

MOST_LINES: Final = 400
VAGUE: Final = {
    *("util", "utils", "helper", "helpers", "manager", "managers", "common"),
    *("misc", "shared", "base", "core", "types"),
}
OWN: Final = ("services", "orchestrator", "loadtest")


def test_files_are_short() -> None:
    assert {s.module: s.lines for s in sources() if s.lines > MOST_LINES} == {}


def test_names_say_what_is_inside() -> None:
    assert [s for s in sources() if VAGUE & set(re.split(r"[._]", s.module))] == []


def test_every_module_says_what_it_is() -> None:
    missing = [
        s for s in within(*OWN) if s.lines and not ast.get_docstring(ast.parse(s.path.read_text()))
    ]
    assert missing == []


def test_silenced_rules_bear_their_reason() -> None:
    """`# noqa: X - why` and `# type: ignore[x] # why`; a bare one silences too much."""
    bare = re.compile(r"#\s*noqa(?!: [A-Z]+\d+(, ?[A-Z]+\d+)* ?\S)|#\s*type:\s*ignore(?!\[)")
    wrong = []
    for source in within(*OWN):
        for number, line in enumerate(source.path.read_text().splitlines(), start=1):
            reasoned = re.search(r"# noqa: [A-Z0-9, ]+ - \S|# noqa: [A-Z0-9, ]+ # \S", line)
            if bare.search(line) or ("# noqa" in line and not reasoned):
                wrong.append(f"{source.path.relative_to(ROOT)}:{number}")
    assert wrong == []
