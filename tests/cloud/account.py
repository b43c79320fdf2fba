"""A user at a terminal: his deployment's file, his state folder, and what his commands answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3

from orchestrator.localcloud.attach import standing
from tests.stand.client import Load

REGION: Final = "eu-west-1"
CLUSTERS: Final = ("cluster1", "cluster2")
COMMAND_S: Final = 400.0
# About 90 requests a second to each cluster: over 5,000 in half a minute, and little of two cores.
_CONNECTIONS: Final = 8
_PAUSE_S: Final = 0.08


@dataclass
class User:
    """`folder` is his own: nothing outside it is read or written."""

    folder: Path
    settings: str
    said: list[str] = field(default_factory=list)  # every command with its output

    @property
    def file(self) -> Path:
        """deploy.yaml."""
        return self.folder / "deploy.yaml"

    @property
    def state(self) -> Path:
        """Journals, and where the local cloud is."""
        return self.folder / "state"

    async def types(self, *words: str, status: int = 0) -> str:
        """Run `steelyard WORDS`; its output, which must end with `status`."""
        environment = os.environ | {
            "CLOUD": "local",
            "STEELYARD_STATE": str(self.state),
            "COLUMNS": "200",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "orchestrator.cli", *words),
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                output = (await process.communicate())[0].decode()
        except TimeoutError:
            process.kill()
            output = (await process.communicate())[0].decode()
        self.said.append(f"$ steelyard {' '.join(words)}\n{output}")
        assert process.returncode == status, self.said[-1]
        assert "Traceback" not in output, output
        return output

    async def deploys(self, *words: str, status: int = 0) -> str:
        """The same for a command that reads deploy.yaml."""
        verb, *rest = words
        return await self.types(verb, "--file", str(self.file), *rest, status=status)

    async def sees(self) -> dict[str, Any]:
        """`steelyard status --json`."""
        return dict(json.loads(await self.deploys("status", "--json")))

    def client(self, service: str) -> Any:
        """boto3 on the local cloud, for what a command does not show."""
        known = standing(self.state)
        assert known is not None
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=known.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    @property
    def pid(self) -> int:
        """Of the local cloud's process."""
        known = standing(self.state)
        assert known is not None
        return known.pid

    def group(self, cluster: str) -> dict[str, Any]:
        """The cluster's Auto Scaling group, as the API has it."""
        groups = self.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return next(g for g in groups if g["AutoScalingGroupName"].endswith(f"-{cluster}"))

    def in_service(self, cluster: str) -> set[str]:
        """Instances of a cluster that the group counts."""
        members = self.group(cluster)["Instances"]
        return {m["InstanceId"] for m in members if m["LifecycleState"] == "InService"}

    def console(self, ident: str) -> str:
        """What a machine wrote while it booted."""
        return str(self.client("ec2").get_console_output(InstanceId=ident).get("Output", ""))


@contextlib.asynccontextmanager
async def load_on(address: str, connections: int = _CONNECTIONS) -> AsyncIterator[list[Load]]:
    """Clients that keep on asking both clusters while the block runs; none may be let down."""
    loads = [
        Load(80, f"/{name}", connections=connections, pause_s=_PAUSE_S, host=address)
        for name in CLUSTERS
    ]
    async with contextlib.AsyncExitStack() as stack:
        for load in loads:
            await stack.enter_async_context(load.running())
        yield loads
    for load in loads:
        assert (load.failed, load.cut_short) == ({}, 0), load.samples[:3]


async def until(look: Any, what: str, deadline_s: float = 120.0) -> None:
    """Until a look at the cloud is true; looked at once a second, in a thread."""

    async def patiently() -> bool:
        return bool(await asyncio.to_thread(look))

    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not await patiently():
        assert loop.time() < end, f"after {deadline_s:g} s still not: {what}"
        await asyncio.sleep(1)
