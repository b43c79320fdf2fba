"""`deploy.yaml`: the example is valid; mistakes come all at once with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.deploy.load import load, parse, with_ttl
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
        (
            "clusters:\n" + 2 * "- {name: a, type: t2.micro, count: 1}\n",
            "two clusters are called 'a'",
        ),
        ("preset: pair\naccess: [10.0.0.1/8]\n", "host bits set"),
        ("preset: pair\naccess: [10.0.0.0/8, 10.0.0.0/8]\n", "named twice"),
        ("preset: pair\nvpc: vpc-1\nsubnets: [subnet-1, subnet-1]\n", "subnet-1 is named twice"),
        ("preset: pair\nalb: {slow_start_s: 5}\n", "neither 0 nor from 30 to 900"),
        ("preset: pair\nalb: {slow_start_s: 901, algorithm: round_robin}\n", "30 to 900"),
        ("preset: pair\nalb: {slow_start_s: 30}\n", "knows no slow start"),
        ("preset: pair\nalb: {deregistration_delay_s: 3601}\n", "less than or equal to 3600"),
        ("preset: pair\nalb: {algorithm: fastest}\n", "'round_robin'"),
        ("preset: pair\nalb: {stickiness: true}\n", "unknown key"),
        (
            "front: alb\nclusters: [{name: abcdefghijklmnopqrstuvw, type: t2.micro, count: 1}]\n",
            "at most 32; choose shorter names",
        ),
        ("preset: pair\nimage_tag: {worker: 'a b'}\n", "image_tag.worker"),
        ("preset: pair\nimage_tag: {workers: a}\n", "did you mean 'worker'?"),
        ("preset: pair\nregion: Ireland\n", "does not have the form"),
        ("clusters: [{name: a, type: t2.micro, count: 101}]\n", "less than or equal to 100"),
        ("preset: [", "not YAML"),
        ("preset: pair\nttl: 1m\n", "greater than or equal to 900"),
    ],
)
def test_mistakes(text: str, told: str) -> None:
    assert any(told in line for line in problems(HEAD + text))


def test_a_time_to_live_on_the_command_line() -> None:
    deployment = parse(f"{HEAD}preset: pair\nttl: 4h\n".encode())
    assert with_ttl(deployment, None).ttl == 4 * 3600
    assert with_ttl(deployment, "30m").ttl == 1800
    for wrong in ("soon", "1m", "99d"):
        with pytest.raises(SettingsError, match="--ttl"):
            with_ttl(deployment, wrong)


@pytest.mark.parametrize("text", ["", "- 1\n", "just text"])
def test_not_a_mapping(text: str) -> None:
    assert "not a mapping" in problems(text)[0]


def test_a_missing_file_is_one_line() -> None:
    with pytest.raises(SettingsError, match=r"No such file or directory; copy deploy\.example"):
        load(Path("nowhere.yaml"))
