"""A compose project of the test's own: other ports, another name, the repository's own files."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UP_TIMEOUT_S = 200  # nine containers on a machine that has other work


def docker(*words: str, timeout_s: float = 60, env: dict[str, str] | None = None) -> str:
    """What `docker WORDS` prints; AssertionError with its error output when it fails."""
    done = subprocess.run(
        ["docker", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **(env or {})},
        cwd=ROOT,
    )
    assert done.returncode == 0, f"docker {' '.join(words)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The containers of one project; `url` is the balancer's, `admin_url` its control API's."""

    project: str
    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def compose(self, *words: str) -> str:
        """Run `docker compose WORDS` for this project."""
        ports = {"BALANCER_PORT": str(self.port), "ADMIN_PORT": str(self.admin_port)}
        options = ("--progress", "quiet", "-p", self.project)
        return docker("compose", *options, *words, timeout_s=UP_TIMEOUT_S, env=ports)

    def up(self, **scale: int) -> None:
        """Start what is missing, `scale` replicas of a service (`worker_micro=6`); wait for it.

        The images are those that the tests have built; compose builds none.
        """
        scales = [f"--scale={name.replace('_', '-')}={count}" for name, count in scale.items()]
        self.compose("up", "--detach", "--no-build", "--no-recreate", "--wait", *scales)

    def down(self) -> None:
        """Remove the project's containers and networks."""
        self.compose("down", "--volumes", "--remove-orphans")

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """`docker inspect` of the containers, running or not."""
        label = "label=com.docker.compose."
        filters = [f"--filter={label}project={self.project}"]
        if service:
            filters.append(f"--filter={label}service={service}")
        ids = docker("ps", "--all", "--quiet", "--no-trunc", *filters).split()
        return list(json.loads(docker("inspect", *ids))) if ids else []

    def left(self) -> list[str]:
        """Names of all that the engine still holds of this project."""
        mine = f"--filter=label=com.docker.compose.project={self.project}"
        return [
            *docker("ps", "--all", "--format={{.Names}}", mine).split(),
            *docker("network", "ls", "--format={{.Name}}", mine).split(),
            *docker("volume", "ls", "--format={{.Name}}", mine).split(),
        ]


def instance_id(container: dict[str, Any]) -> str:
    """What the worker in a container calls itself: the container's host name."""
    return str(container["Config"]["Hostname"])
