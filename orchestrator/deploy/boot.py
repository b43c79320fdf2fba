"""User data: the settings of one machine in front of `boot.sh`, which is the same for all.

EC2 takes 16 KiB at most; an emulator takes more, so the limit is held here.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator.aws.errors import CloudError
from orchestrator.deploy.settings import Deployment
from services.contract import (
    ADMIN_PORT,
    BALANCER_PORT,
    PEERS_PORT,
    TAG_CLUSTER,
    TAG_DEPLOYMENT,
    WORKER_PORT,
)

MAX_BYTES: Final = 16 * 1024  # before base64. Source: EC2 user guide, "User data considerations"
CONFIG_FOLDER: Final = "/etc/steelyard"
_END: Final = "--- end of file"  # a line that no file has
_BODY: Final = Path(__file__).with_name("boot.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What one kind of machine runs: an image by digest, its environment, its files, its ports."""

    region: str
    image: str
    log_group: str
    environment: Mapping[str, str]
    publish: tuple[str, ...]  # docker run --publish
    files: Mapping[str, str]  # in CONFIG_FOLDER
    host: Mapping[str, str]  # those that watch over the container, in the same folder
    end_after_s: int | None


def render(boot: Boot) -> str:
    """The user data as text.

    Errors:
        CloudError: larger than EC2 takes.
    """
    env = "".join(f"{name}={value}\n" for name, value in sorted(boot.environment.items()))
    lines = [
        "#!/bin/bash",
        f"REGION={shlex.quote(boot.region)}",
        f"REGISTRY={shlex.quote(boot.image.partition('/')[0])}",
        f"IMAGE={shlex.quote(boot.image)}",
        f"LOG_GROUP={shlex.quote(boot.log_group)}",
        f"PUBLISH={shlex.quote(' '.join(f'--publish {p}' for p in boot.publish))}",
        f"END_AFTER_MIN={(boot.end_after_s or 0) // 60}",
        f"mkdir -p {CONFIG_FOLDER}",
    ]
    for name, text in sorted({"env": env, **boot.host, **boot.files}.items()):
        # As it stands, so that whoever looks at the user data can read it.
        lines.append(f"cat >{CONFIG_FOLDER}/{name} <<'{_END}'\n{text.rstrip()}\n{_END}")
    script = "\n".join(lines) + "\n" + _BODY.read_text()
    size = len(script.encode())
    if size > MAX_BYTES:
        raise CloudError("user data", f"{size} bytes, EC2 takes {MAX_BYTES}", "name fewer clusters")
    return script


def balancer_config(deployment: Deployment, group: str | None = None) -> str:
    """The balancer's own file: the clusters found by tag, a route each, `/` answered by itself.

    Balancers of a `group` tell each other what they have pending.
    """
    clusters: list[dict[str, Any]] = []
    routes: list[dict[str, Any]] = []
    for cluster in deployment.clusters:
        tags = {TAG_DEPLOYMENT: deployment.name, TAG_CLUSTER: cluster.name}
        found = {"ec2": {"tags": tags, "port": WORKER_PORT}}
        clusters.append({"name": cluster.name, "targets": [found]})
        routes.append({"path": f"/{cluster.name}", "cluster": cluster.name})
    routes.append({"path": "/", "exact": True, "respond": {"status": 200, "text": "steelyard\n"}})
    config: dict[str, Any] = {
        "listen": f"0.0.0.0:{BALANCER_PORT}",
        "admin": f"0.0.0.0:{ADMIN_PORT}",  # published on the instance's loopback only
        "clusters": clusters,
        "routes": routes,
        "cloudwatch": {"deployment": deployment.name, "region": deployment.region},
    }
    if group is not None:
        peers = [{"ec2": {"group": group, "port": PEERS_PORT}}]
        config["balancers"] = {"listen": f"0.0.0.0:{PEERS_PORT}", "peers": peers}
    return yaml.safe_dump(config, sort_keys=False)
