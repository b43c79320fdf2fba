"""What each balancer knows of its targets, and draining them: its admin API, through SSM."""

from __future__ import annotations

import base64
import binascii
import json
import shlex
import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.remote import known, run, run_well
from services.contract import ADMIN_PORT

_PROGRAM: Final = Path(__file__).with_name("on_host.py")
_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Target:
    """One target as one balancer sees it; the counts are since it joined there."""

    cluster: str
    ident: str
    instance: str | None
    address: str  # host:port
    state: str  # healthy, unhealthy, unknown, draining
    pending: int
    requests: int
    errors: int  # 5xx and attempts without a usable answer
    steady_s: float  # since its health last changed

    def is_of(self, instance: str, host: str) -> bool:
        """Whether it is this machine."""
        return self.instance == instance or self.address.rpartition(":")[0] == host


@dataclass(frozen=True, slots=True)
class View:
    """One balancer's picture."""

    ready: bool
    targets: tuple[Target, ...]
    clusters: tuple[str, ...]
    unknown: tuple[str, ...] = ()  # targets of the order that it does not know

    def find(self, instance: str, host: str) -> Target | None:
        """A machine as this balancer sees it."""
        return next((t for t in self.targets if t.is_of(instance, host)), None)


Views = Mapping[str, View]  # by the balancer's instance


class Balancers:
    """The balancers of a deployment: all are asked in one command."""

    def __init__(self, aws: Aws, idents: Collection[str], patience: Patience) -> None:
        self._aws = aws
        self.idents = tuple(sorted(idents))
        self._patience = patience

    def look(self) -> Views:
        """Every balancer's picture. Raises CloudError."""
        return self._order()

    def look_at_answering(self) -> Views:
        """The pictures of those that answer: others boot, or have ended. Raises CloudError."""
        reached = known(self._aws, self.idents) if self.idents else set()
        if not reached:
            return {}
        ended = run(
            self._aws,
            reached,
            script({}),
            self._patience,
            timeout_s=_TIMEOUT_S,
            about="balancer's admin API",
        )
        return {
            ident: understood(ident, ran.output) for ident, ran in ended.items() if ran.status == 0
        }

    def drain(self, targets: Iterable[str]) -> Views:
        """No new requests to these targets, by id; the pictures after it. Raises CloudError."""
        return self._order(drain=sorted(set(targets)))

    def undrain(self, targets: Iterable[str]) -> Views:
        """Take it back. Raises CloudError."""
        return self._order(undrain=sorted(set(targets)))

    def _order(self, **orders: list[str]) -> Views:
        if not self.idents:
            raise CloudError("balancers", "none runs", "steelyard up; then steelyard status")
        outputs = run_well(
            self._aws,
            self.idents,
            script(orders),
            self._patience,
            timeout_s=_TIMEOUT_S,
            about="balancer's admin API",
        )
        return {ident: understood(ident, output) for ident, output in outputs.items()}


def script(orders: Mapping[str, Any]) -> str:
    """What runs on a balancer's host."""
    told = json.dumps({"port": ADMIN_PORT, **orders})
    return f"python3 - {shlex.quote(told)} <<'PROGRAM'\n{_PROGRAM.read_text()}\nPROGRAM\n"


def understood(ident: str, output: str) -> View:
    """The picture in what `on_host` wrote. Raises CloudError when it is cut short."""
    try:
        told = json.loads(zlib.decompress(base64.b64decode(output.strip(), validate=True)))
    except (binascii.Error, zlib.error, ValueError) as error:
        raise CloudError(f"balancer {ident}", f"its answer is not whole: {error}") from error
    return View(
        ready=told["ready"],
        targets=tuple(Target(*one) for one in told["targets"]),
        clusters=tuple(told["clusters"]),
        unknown=tuple(told["unknown"]),
    )
