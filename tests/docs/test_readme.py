"""The README and the pages that it leads to: commands that exist, links that lead somewhere.

`.ci/readme` runs the commands for real.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.commands import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def listed(which: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "readme", which, "--list"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text()
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def test_the_commands_are_found() -> None:
    plain, docker = listed("plain"), listed("docker")
    assert plain[:2] == ["make demo", "make local"]
    assert docker[0].startswith("docker compose up")
    assert all(line in (ROOT / "README.md").read_text() for line in plain + docker)


def test_every_command_is_one_that_we_have() -> None:
    for command in listed("plain") + listed("docker"):
        program, *arguments = re.sub(r"^([A-Z_]+=\S+ )+", "", command).split()
        assert program in {"make", "curl", "docker", "cp", ".venv/bin/steelyard"}, command
        if program == "make":
            assert arguments[0] in make_targets(), command
        elif program == "cp":
            assert (ROOT / arguments[0]).exists(), command
        elif program == ".venv/bin/steelyard":
            assert CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0, command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in link and not link.startswith("#"):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_commands_in_prose_exist(page: Path) -> None:
    for target in re.findall(r"`make ([a-z][a-z-]*)", page.read_text()):
        assert target in make_targets(), f"{page.name}: make {target}"


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text()
    for path in folder.glob("[0-9]*.md"):
        number, title = path.read_text().splitlines()[0].removeprefix("# ").split(" ", 1)
        assert path.name.startswith(number)
        assert f"[{number}]({path.name}) | {title} |" in index
