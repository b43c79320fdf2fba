"""Compose, the Dockerfiles and the balancer's file speak the words of services/contract.py."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import images
from services import contract

ROOT = Path(__file__).resolve().parents[2]
WORKERS = {"worker-micro": contract.CLUSTER_MICRO, "worker-large": contract.CLUSTER_LARGE}


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load("compose/compose.yaml")


def dockerfile(room: str) -> dict[str, str]:
    """The instructions of the final stage, by name; a repeated one keeps its last words."""
    text = (ROOT / f"services/{room}/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    final = text.rpartition("\nFROM ")[2]
    lines = (line.partition(" ") for line in final.splitlines() if re.match("[A-Z]+ ", line))
    return {name: words.strip() for name, _, words in lines}


def test_the_root_file_includes_the_fleet(compose: dict[str, Any]) -> None:
    root = load("compose.yaml")
    assert root == {"name": compose["name"], "include": ["compose/compose.yaml"]}


@pytest.mark.parametrize(("service", "cluster"), WORKERS.items())
def test_a_worker_knows_its_cluster(compose: dict[str, Any], service: str, cluster: str) -> None:
    worker = compose["services"][service]
    assert worker["environment"][contract.ENV_CLUSTER_NAME] == cluster
    assert contract.ENV_WORK_MS in worker["environment"]
    assert contract.ENV_INSTANCE_ID not in worker["environment"]  # it would be all replicas' own
    assert worker["labels"] == {contract.LABEL_CLUSTER: cluster}
    assert worker["image"] == f"{contract.IMAGE_WORKER}:latest"
    assert worker["scale"] == 4


def test_the_clusters_are_unequal(compose: dict[str, Any]) -> None:
    micro, large = (compose["services"][name] for name in WORKERS)
    assert micro["cpus"] < large["cpus"]
    assert int(micro["mem_limit"].removesuffix("m")) < int(large["mem_limit"].removesuffix("m"))


def test_the_balancer_is_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    balancer = compose["services"]["balancer"]
    assert balancer["image"] == f"{contract.IMAGE_BALANCER}:latest"
    assert balancer["ports"] == [
        f"127.0.0.1:${{BALANCER_PORT:-8000}}:{contract.BALANCER_PORT}",
        f"127.0.0.1:${{ADMIN_PORT:-9900}}:{contract.ADMIN_PORT}",
    ]
    assert compose["networks"]["workers"] == {"internal": True}
    assert "ports" not in compose["services"]["worker-micro"]


def test_every_service_is_confined_and_looked_after(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["restart"] == "unless-stopped"
        arguments = {images.ENV_BASE: "${PYTHON_IMAGE:-python:3.13-slim}"}
        if service["image"].startswith(contract.IMAGE_BALANCER):
            arguments[images.ENV_COMPILED] = "${COMPILED:-no}"
        assert service["build"]["args"] == arguments
        assert {"stop_grace_period", "cpus", "mem_limit", "healthcheck"} <= set(service)


def test_the_balancer_finds_the_workers_by_their_service_names(compose: dict[str, Any]) -> None:
    config = load("compose/balancer/balancer.yaml")
    found = {c["name"]: c["targets"] for c in config["clusters"]}
    assert found == {
        cluster: [{"dns": {"name": service, "port": contract.WORKER_PORT}}]
        for service, cluster in WORKERS.items()
    }
    assert config["listen"] == f"0.0.0.0:{contract.BALANCER_PORT}"
    assert config["admin"] == f"0.0.0.0:{contract.ADMIN_PORT}"
    assert {(r["path"], r["cluster"]) for r in config["routes"] if "cluster" in r} == {
        (f"/{cluster}", cluster) for cluster in WORKERS.values()
    }
    assert set(compose["services"]) == {*WORKERS, "balancer"}


def test_the_workers_image_listens_and_is_checked_where_the_contract_says() -> None:
    said = dockerfile("worker")
    assert json.loads(said["ENTRYPOINT"])[-1] == said["EXPOSE"] == str(contract.WORKER_PORT)
    assert f"GET {contract.HEALTH_PATH} " in said["HEALTHCHECK"]
    assert f"('127.0.0.1',{contract.WORKER_PORT})" in said["HEALTHCHECK"]


def test_the_balancers_image_listens_and_is_checked_where_the_contract_says() -> None:
    said = dockerfile("balancer")
    assert said["EXPOSE"] == f"{contract.BALANCER_PORT} {contract.ADMIN_PORT}"
    assert f"GET {contract.READY_PATH} " in said["HEALTHCHECK"]
    assert f"('127.0.0.1',{contract.ADMIN_PORT})" in said["HEALTHCHECK"]


@pytest.mark.parametrize("room", images.ROOMS)
def test_all_stages_share_one_base(room: str) -> None:
    text = (ROOT / f"services/{room}/Dockerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"${PYTHON_IMAGE}"}
    assert f"ARG PYTHON_IMAGE={images.DEFAULT_BASE}\n" in text
