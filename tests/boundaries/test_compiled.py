"""What `make compile` compiles: a module of the data plane is either hot or left for a reason."""

from __future__ import annotations

from orchestrator.compiled import BALANCER, HOT, PLAIN, ROOT, hot_modules


def test_every_module_of_the_data_plane_is_compiled_or_left_for_a_reason() -> None:
    there = {path.stem for path in (ROOT / BALANCER / "dataplane").glob("*.py")}
    hot = {path.stem for path in HOT if path.parent.name == "dataplane"}
    assert (hot | set(PLAIN), hot & set(PLAIN)) == (there, set())


def test_what_is_to_be_compiled_is_there_once() -> None:
    modules = hot_modules()
    assert [path for path in modules if not (ROOT / path).is_file()] == []
    assert len(set(modules)) == len(modules)
