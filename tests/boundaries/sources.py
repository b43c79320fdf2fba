"""The repository's Python files and what each imports, read from the syntax, nothing executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("services", "orchestrator", "loadtest", "tests")


@dataclass(frozen=True)
class Source:
    """One module. `imports` are dotted names; `from a import b` counts as `a` and `a.b`.

    What stands under `if TYPE_CHECKING:` is left out: it never runs.
    """

    path: Path
    module: str
    lines: int
    imports: frozenset[str]

    def __repr__(self) -> str:
        return self.module

    def uses(self, *packages: str) -> set[str]:
        """Its imports from any of these packages or modules."""
        return {
            name
            for name in self.imports
            if any(name == package or name.startswith(f"{package}.") for package in packages)
        }


@cache
def sources() -> tuple[Source, ...]:
    """Every module of the rooms."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text()
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            package = parts[:-1]
            imports = frozenset(_imports(ast.parse(text), package))
            found.append(Source(path, module, text.count("\n"), imports))
    return tuple(found)


def within(*packages: str) -> list[Source]:
    """The modules of these packages; each must exist, or a rule would guard nothing."""
    found: list[Source] = []
    for package in packages:
        here = [s for s in sources() if s.module == package or s.module.startswith(f"{package}.")]
        if not here:
            raise LookupError(f"no module {package}")
        found += here
    return found


def _imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        for node in tree.orelse:
            yield from _imports(node, package)
        return
    if isinstance(tree, ast.Import):
        yield from (alias.name for alias in tree.names)
    elif isinstance(tree, ast.ImportFrom):
        above = package[: len(package) - tree.level + 1] if tree.level else ()
        base = ".".join([*above, *([tree.module] if tree.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in tree.names)
    for child in ast.iter_child_nodes(tree):
        yield from _imports(child, package)
