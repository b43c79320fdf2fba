"""A user's own policy: the one that the docs show, and what can be wrong with one."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from random import Random

import pytest

from services.balancer import settings
from services.balancer.config import PolicySpec
from services.balancer.pick import build, problems
from tests.balancer.made import target

DOCS = Path(__file__).parents[3] / "docs" / "policies.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_policy", raising=False)
    return tmp_path


def shown(kind: str) -> str:
    """The block of docs/policies.md that tells of `my_policy`."""
    blocks = re.findall(rf"```{kind}\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    (block,) = [block for block in blocks if "my_policy" in block]
    return str(block)


def test_the_one_in_the_docs_works_as_it_says(folder: Path) -> None:
    code = shown("python")
    assert len(code.splitlines()) <= 22
    (folder / "my_policy.py").write_text(code)
    (folder / "b.yaml").write_text(
        "clusters:\n  - name: c\n"
        + shown("yaml").split("\n", 2)[2]
        + "    targets: [{static: 127.0.0.1:80}]\nroutes: [{path: /, cluster: c}]\n"
    )
    config = settings.load(folder / "b.yaml", {})
    spec = config.clusters[0].policy
    assert spec.name == "my_policy:Mine"
    rule = build(spec)
    full, free = target(0, pending=3), target(1, pending=2)
    assert all(rule.pick([full, free], 0.0, Random(n)) is free for n in range(20))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_policy:", "not of the form module:Class"),
        ("os; x:Y", "not of the form module:Class"),
        ("no_such_module:Mine", "there is no module 'no_such_module'"),
        ("my_policy:Nobody", "no class 'Nobody' with a method pick"),
        ("my_policy:NoPick", "no class 'NoPick' with a method pick"),
        ("my_policy:Fails", "cannot be made: RuntimeError: not today"),
    ],
)
def test_what_is_wrong_with_it_is_said(folder: Path, name: str, said: str) -> None:
    (folder / "my_policy.py").write_text(
        "class NoPick: pass\n"
        "class Fails:\n"
        "    def __init__(self): raise RuntimeError('not today')\n"
        "    def pick(self, candidates, now, rng): return candidates[0]\n"
    )
    (fault,) = problems(PolicySpec(name=name))
    assert said in fault


def test_a_module_that_breaks_and_parameters_that_it_does_not_take(folder: Path) -> None:
    (folder / "my_policy.py").write_text("1 / 0\n")
    (fault,) = problems(PolicySpec(name="my_policy:Mine"))
    assert "cannot be imported: ZeroDivisionError" in fault
    (folder / "my_policy.py").write_text(
        "class Mine:\n    def pick(self, candidates, now, rng): return candidates[0]\n"
    )
    sys.modules.pop("my_policy", None)
    (fault,) = problems(PolicySpec(name="my_policy:Mine", params={"x": 1}))
    assert "cannot be made: TypeError" in fault
