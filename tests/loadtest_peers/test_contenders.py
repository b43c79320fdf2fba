"""Every proxy's configuration names its port and all targets, and the data names are unique."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.peers import contenders, scenario
from loadtest.peers.contenders import PROXIES, Layout, Proxy
from services.balancer.settings import load

LAYOUT = Layout(20_001, 20_002, (20_011, 20_012, 20_013, 20_014), Path("/nowhere"))


@pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.name)
def test_configuration_names_the_port_and_every_target(proxy: Proxy) -> None:
    launch = proxy.launch("/bin/proxy", LAYOUT)
    text = "".join(launch.files.values())
    assert launch.argv[0] == "/bin/proxy"
    assert [port for port in (LAYOUT.listen, *LAYOUT.targets) if str(port) not in text] == []


def test_our_configuration_is_accepted_by_the_balancer(tmp_path: Path) -> None:
    file = tmp_path / "balancer.yaml"
    file.write_text(contenders.OURS.launch("python", LAYOUT).files["balancer.yaml"])
    config = load(str(file), {})
    assert config.clusters[0].policy.name == "peak_ewma"
    assert config.processes == 1


def test_an_unknown_name_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="squid"):
        contenders.named(["nginx", "squid"])
    with pytest.raises(KeyError, match="huge"):
        scenario.named(["small", "huge"])


def test_a_browser_sends_fifteen_headers() -> None:
    names = [name for name, _ in scenario.BROWSER_HEADERS]
    assert len({"Host", *names}) == 15
