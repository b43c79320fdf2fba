"""Load balancers that answer: the configuration, and when it is told anew."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.localcloud.fronts import fronts
from tests.orchestrator.localcloud.cloud import Cloud
from tests.orchestrator.localcloud.test_targets import Front


class FakeProxies:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.configs: dict[str, str] = {}
        self.reloads = 0

    def start(self, name: str, config: str) -> str:
        self.configs[name] = config
        return "10.0.1.1"

    def reload(self, name: str, config: str) -> None:
        self.configs[name] = config
        self.reloads += 1

    def end(self, name: str) -> None:
        del self.configs[name]


def _with_rules(cloud: Cloud, front: Front) -> None:
    (balancer,) = cloud.call("elbv2", "describe_load_balancers")["LoadBalancers"]
    (listener,) = cloud.call(
        "elbv2", "describe_listeners", LoadBalancerArn=balancer["LoadBalancerArn"]
    )["Listeners"]
    cloud.call(
        "elbv2",
        "create_rule",
        ListenerArn=listener["ListenerArn"],
        Priority=10,
        Conditions=[
            {
                "Field": "path-pattern",
                "PathPatternConfig": {"Values": ["/cluster1", "/cluster1/*"]},
            }
        ],
        Actions=[{"Type": "forward", "TargetGroupArn": front.arn}],
    )
    fixed = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "not found"}
    cloud.call(
        "elbv2",
        "modify_listener",
        ListenerArn=listener["ListenerArn"],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": fixed}],
    )


def test_a_proxy_is_started_told_of_targets_and_ended(cloud: Cloud) -> None:
    proxies = FakeProxies()
    front = Front(cloud)
    cloud.steps = (*cloud.steps, fronts(proxies))
    cloud.make_group(TargetGroupARNs=[front.arn])
    cloud.after(10)
    (balancer,) = cloud.call("elbv2", "describe_load_balancers")["LoadBalancers"]
    assert balancer["DNSName"] == "10.0.1.1"
    (ident,) = cloud.states()
    assert f"server {ident} 10.0.0.1:8000" in proxies.configs["front"]
    before = proxies.reloads
    cloud.after(10)
    assert proxies.reloads == before
    cloud.desire(0)
    cloud.after()
    assert ident not in proxies.configs["front"]
    cloud.call("elbv2", "delete_load_balancer", LoadBalancerArn=balancer["LoadBalancerArn"])
    cloud.after()
    assert proxies.configs == {}


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy here to read it")
def test_haproxy_understands_the_configuration(cloud: Cloud, tmp_path: Path) -> None:
    proxies = FakeProxies()
    front = Front(cloud)
    _with_rules(cloud, front)
    cloud.steps = (*cloud.steps, fronts(proxies))
    cloud.make_group(TargetGroupARNs=[front.arn])
    cloud.after(10)
    config = proxies.configs["front"]
    assert "^/cluster1/.*$" in config
    assert "status 404" in config
    path = tmp_path / "haproxy.cfg"
    path.write_text(config)
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(path)], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 0, done.stderr + config
