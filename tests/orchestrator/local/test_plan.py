"""The fleet as frozen data."""

from __future__ import annotations

from pathlib import Path

import yaml

from orchestrator.local.plan import make_plan, usual_ports
from services.worker.machine import TYPES
from services.worker.settings import read_settings


def test_two_clusters_of_four_on_the_documented_ports() -> None:
    plan = make_plan(usual_ports(), Path("run"))
    assert plan.url == "http://127.0.0.1:8000"
    assert plan.admin_url == "http://127.0.0.1:9900"
    assert {c: [w.address for w in ws] for c, ws in plan.clusters.items()} == {
        "cluster1": [f"127.0.0.1:{port}" for port in range(9101, 9105)],
        "cluster2": [f"127.0.0.1:{port}" for port in range(9201, 9205)],
    }
    assert len({program.log for program in plan.programs}) == 9


def test_the_configuration_names_every_worker_once() -> None:
    plan = make_plan(usual_ports(), Path("run"))
    config = yaml.safe_load(plan.config_text)
    assert config["listen"] == plan.balancer.address
    assert {
        f"{cluster['name']}/{address}"
        for cluster in config["clusters"]
        for source in cluster["targets"]
        for address in source["static"]
    } == {worker.target_id for worker in plan.workers}
    assert [(r["path"], r.get("cluster")) for r in config["routes"]] == [
        ("/cluster1", "cluster1"),
        ("/cluster2", "cluster2"),
        ("/", None),
    ]


def test_a_worker_accepts_its_environment() -> None:
    for worker in make_plan(usual_ports(), Path("run")).workers:
        settings = read_settings(worker.env)
        assert settings.instance_id == worker.name
        assert settings.cluster == worker.cluster
        assert settings.machine in TYPES
        assert settings.imds == "0"


def test_the_notice_of_a_draining_worker_outlasts_the_balancers_checks() -> None:
    plan = make_plan(usual_ports(), Path("run"))
    settings = read_settings(plan.workers[0].env)
    health = yaml.safe_load(plan.config_text)["clusters"][0]["health"]
    fall = 2  # the default of `services.balancer.config.HealthCheck`
    assert settings.drain_notice_s > health["interval_s"] * fall
