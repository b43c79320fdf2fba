"""`deploy.yaml`: the example is valid; mistakes come all at once with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.deploy.load import load, parse
from orchestrator.deploy.problems import SettingsError
from orchestrator.deploy.settings import PRESETS, Deployment

ROOT = Path(__file__).parents[3]
HEAD = "name: demo\nregion: eu-west-1\naccess: [0.0.0.0/0]\n"


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(text.encode())
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_loaded() -> None:
    deployment = load(ROOT / "deploy.example.yaml")
    assert deployment.ttl == 4 * 3600
    assert deployment.clusters[0].bounds.min == deployment.clusters[0].bounds.max == 4
    shown = (ROOT / "deploy.example.yaml").read_text()
    assert [key for key in Deployment.model_fields if f"{key}:" not in shown] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset: str) -> None:
    deployment = parse(f"{HEAD}preset: {preset}\n".encode())
    assert [cluster.name for cluster in deployment.clusters] == ["cluster1", "cluster2"]


def test_every_mistake_at_once_with_its_place() -> None:
    text = (
        "name: Demo\nregion: eu-west-1\nacces: []\naccess: [1.2.3.4/99]\nttl: soon\n"
        "clusters:\n  - {name: a, type: t2.mircro, count: 1}\n"
        "  - {name: b, type: t2.micro, scale: {min: 3, max: 2}}\n  - {name: c, type: t2.micro}\n"
    )
    found = problems(text)
    assert [line.split(":")[1] for line in found] == ["1", "3", "4", "5", "7", "8", "9"]
    assert "acces: unknown key; did you mean 'access'?" in found[1]
    assert "unknown instance type 't2.mircro'; did you mean 't2.micro'?" in found[4]
    assert "clusters[1].scale: min 3 is above max 2" in found[5]
    assert "either count or scale" in found[6]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("preset: pear\n", "did you mean 'pair'?"),
        ("preset: pair\nclusters: []\n", "keep one of them"),
        ("preset: pair\nfront: alb\nvpc: vpc-1\nsubnets: [subnet-1]\n", "two zones"),
        ("preset: pair\nsubnets: [subnet-1]\n", "without their vpc"),
        ("clusters: [{name: a, type: t2.micro, scale: {desired: 9}}]\n", "desired 9 is not from"),
        ("clusters: [{name: a, type: t2.micro, count: 1}, {name: a, type: t2.micro, count: 1}]\n",
         "two clusters are called 'a'"),
        ("preset: [", "not YAML"),
        ("preset: pair\nttl: 1m\n", "greater than or equal to 900"),
    ],
)  # fmt: skip
def test_mistakes(text: str, told: str) -> None:
    assert any(told in line for line in problems(HEAD + text))


@pytest.mark.parametrize("text", ["", "- 1\n", "just text"])
def test_not_a_mapping(text: str) -> None:
    assert "not a mapping" in problems(text)[0]


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(SettingsError, match=r"No such file or directory; copy deploy\.example"):
        load(Path("nowhere.yaml"))
