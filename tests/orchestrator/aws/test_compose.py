"""The containers on a laptop and on AWS are the same topology: names, ports, paths, environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from orchestrator.deploy.boot import balancer_config
from orchestrator.deploy.desired import desire
from orchestrator.deploy.settings import PRESETS
from services import contract
from tests.orchestrator.aws.test_template import deployment, facts

COMPOSE = Path(__file__).parents[3] / "compose"
SERVICES: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
LAPTOP: dict[str, Any] = yaml.safe_load((COMPOSE / "balancer" / "balancer.yaml").read_text())
AWS: dict[str, Any] = yaml.safe_load(balancer_config(deployment()))
WORKERS = {name: one for name, one in SERVICES.items() if name != "balancer"}
# Where it is, and as whose its metrics go to CloudWatch.
ONLY_ON_AWS = {"AWS_REGION", "CLOUDWATCH_DEPLOYMENT"}


def user_data() -> dict[str, str]:
    """By the name of the launch template."""
    of = deployment()
    return {
        want.key.name: want.spec["user_data"]
        for want in desire(of, facts(of))
        if want.key.kind == "launch template"
    }


def test_clusters_with_as_many_workers() -> None:
    clusters = {one["environment"]["CLUSTER_NAME"]: one["scale"] for one in WORKERS.values()}
    assert clusters == {one["name"]: one["count"] for one in PRESETS["eight"]}
    labels = [one["labels"][contract.LABEL_CLUSTER] for one in WORKERS.values()]
    assert labels == list(clusters) == [cluster["name"] for cluster in AWS["clusters"]]


def test_routes_and_listeners() -> None:
    assert LAPTOP["routes"] == AWS["routes"]
    assert (LAPTOP["listen"], LAPTOP["admin"]) == (AWS["listen"], AWS["admin"])


def test_ports() -> None:
    laptop = [cluster["targets"][0]["dns"]["port"] for cluster in LAPTOP["clusters"]]
    aws = [cluster["targets"][0]["ec2"]["port"] for cluster in AWS["clusters"]]
    assert laptop == aws == [contract.WORKER_PORT] * 2
    inside = {int(port.rpartition(":")[2]) for port in SERVICES["balancer"]["ports"]}
    published = re.findall(r"--publish \S*?:(\d+)(?=[ '])", user_data()["balancer"])
    assert inside == {int(port) for port in published}


def test_environment_of_a_worker() -> None:
    # cat >.../env <<'--- end of file', then the lines, then the mark
    lines = user_data()["cluster1"].partition("/env <<")[2].split("--- end of file")[1]
    names = set(re.findall(r"^([A-Z_]+)=", lines, re.MULTILINE))
    for one in WORKERS.values():
        assert set(one["environment"]) - {"IMDS"} == names - ONLY_ON_AWS


def test_images() -> None:
    images = {one["image"].partition(":")[0] for one in WORKERS.values()}
    assert images == {contract.IMAGE_WORKER}
    assert SERVICES["balancer"]["image"].partition(":")[0] == contract.IMAGE_BALANCER
    assert f"/{contract.IMAGE_WORKER}@" in user_data()["cluster1"]
    assert f"/{contract.IMAGE_BALANCER}@" in user_data()["balancer"]
