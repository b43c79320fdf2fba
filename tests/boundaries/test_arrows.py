"""Who may import whom. The rules are the ones of the design's chapter "The house"."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Final

import pytest

from tests.boundaries.sources import Source, sources, within

B: Final = "services.balancer"
IO: Final = (
    *("asyncio", "socket", "selectors", "select", "ssl", "uvloop", "httpx", "httptools"),
    *("requests", "urllib", "http", "subprocess", "threading", "multiprocessing", "signal"),
    *("os", "pathlib", "io", "logging", "mmap", "time", "datetime"),
)
HEAVY: Final = (
    *("fastapi", "starlette", "uvicorn", "httpx", "pydantic", "yaml"),
    *("boto3", "botocore", "docker"),
)
PURE: Final = (
    *(f"{B}.pick", f"{B}.load", f"{B}.target", f"{B}.cluster", f"{B}.roster", f"{B}.config"),
    *(f"{B}.ejection", f"{B}.budget", f"{B}.room", f"{B}.ramp", f"{B}.subset"),
    *(f"{B}.dataplane.route", f"{B}.dataplane.http1", f"{B}.dataplane.chunked"),
    *(f"{B}.dataplane.retry", f"{B}.dataplane.key", f"{B}.dataplane.report"),
    *(f"{B}.dataplane.forwarding", f"{B}.peers.datagram", f"{B}.peers.news", f"{B}.peers.tally"),
    f"{B}.peers.pace",
)

# (who, may not import whom, because)
FORBIDDEN: Final = (
    (("services.worker",), (B,), "worker and balancer never import each other"),
    ((B,), ("services.worker",), "worker and balancer never import each other"),
    (("services",), ("orchestrator", "loadtest", "tests"), "an image carries its own room only"),
    (("orchestrator", "loadtest"), ("tests",), "tests stand outside"),
    (("loadtest",), ("orchestrator",), "the benchmark runs against any balancer"),
    (
        ("loadtest.arena", "loadtest.peers"),
        ("loadtest.live",),
        "live -> arena, peers: it puts the one beside the other",
    ),
    (("loadtest.chaos",), ("services",), "the balancer under fire is a program, not a library"),
    (
        ("loadtest.arena",),
        tuple(f"{B}.{name}" for name in ("dataplane", "fleet", "admin", "control", "supervisor")),
        "arena -> cluster, pick -> load, target: the policies, not the processes",
    ),
    (PURE, IO, "pure: time, chance and bytes are arguments"),
    (
        (f"{B}.pick", f"{B}.load", f"{B}.target"),
        (f"{B}.dataplane", f"{B}.fleet", f"{B}.admin", f"{B}.ledger", f"{B}.hub", f"{B}.cluster"),
        "dataplane -> pick -> load, target",
    ),
    ((f"{B}.load",), (f"{B}.pick", f"{B}.target", f"{B}.messages"), "pick -> load"),
    ((f"{B}.target",), (f"{B}.pick", f"{B}.ejection"), "pick, ejection -> target"),
    ((f"{B}.ejection",), (f"{B}.pick", f"{B}.cluster"), "cluster -> ejection -> target"),
    (
        (f"{B}.dataplane",),
        (f"{B}.fleet", f"{B}.admin", f"{B}.control", f"{B}.settings", f"{B}.supervisor"),
        "the data plane knows the other plane by its messages alone",
    ),
    (
        (f"{B}.fleet", f"{B}.admin", f"{B}.control"),
        (f"{B}.dataplane", f"{B}.supervisor"),
        "the control plane never touches a request",
    ),
    ((f"{B}.fleet",), (f"{B}.admin",), "admin -> fleet"),
    (
        (f"{B}.cloudwatch",),
        (f"{B}.dataplane", f"{B}.supervisor", f"{B}.admin", f"{B}.control"),
        "cloudwatch -> fleet, ledger",
    ),
    (
        (f"{B}.fleet", f"{B}.admin", f"{B}.dataplane", f"{B}.supervisor", f"{B}.pick"),
        (f"{B}.cloudwatch",),
        "only the control plane knows CloudWatch",
    ),
    (
        (f"{B}.peers",),
        (f"{B}.dataplane", f"{B}.supervisor", f"{B}.admin", f"{B}.control", f"{B}.fleet.attend"),
        "control -> peers -> fleet.discover, ledger",
    ),
    (
        (f"{B}.fleet", f"{B}.dataplane", f"{B}.supervisor", f"{B}.pick"),
        (f"{B}.peers",),
        "only the control plane knows other balancers",
    ),
    (
        tuple(f"{B}.cloudwatch.{name}" for name in ("distribution", "outbox", "data")),
        tuple(name for name in IO if name != "datetime"),  # of a time that is given
        "pure: time, chance and bytes are arguments",
    ),
    (
        (
            *(f"{B}.supervisor", f"{B}.children", f"{B}.relay", f"{B}.sockets"),
            *(f"{B}.upgrade", f"{B}.announce"),
        ),
        (f"{B}.dataplane", f"{B}.fleet", f"{B}.admin", f"{B}.control", "uvloop", "fastapi"),
        "children are started by exec, never imported",
    ),
    (
        (f"{B}.dataplane", f"{B}.hub", f"{B}.ledger", f"{B}.messages", f"{B}.log", *PURE),
        HEAVY,
        "where requests flow, nobody knows AWS, Docker or FastAPI",
    ),
)

BOTO3_MAY: Final = {
    "orchestrator.aws",
    f"{B}.fleet.discover.ec2",
    f"{B}.cloudwatch.api",
    "services.worker.cloudwatch",
}
CONTRACT_MAY: Final = sys.stdlib_module_names


def _name(rule: tuple[tuple[str, ...], tuple[str, ...], str]) -> str:
    return f"{rule[0][0]}: {rule[2]}"


@pytest.mark.parametrize("rule", FORBIDDEN, ids=_name)
def test_arrows_point_one_way(rule: tuple[tuple[str, ...], tuple[str, ...], str]) -> None:
    who, whom, _ = rule
    wrong = {source: used for source in within(*who) if (used := source.uses(*whom))}
    assert wrong == {}


def test_boto3_has_few_doors() -> None:
    wrong = [
        source
        for source in within("services", "orchestrator", "loadtest")
        if source.uses("boto3", "botocore", "aiobotocore")
        and not any(source.module == m or source.module.startswith(f"{m}.") for m in BOTO3_MAY)
    ]
    assert wrong == []


_INSIDERS: Final = {f"loadtest.{name}" for name in ("cycle", "snapshot", "news", "telling")}


def test_only_the_arena_knows_the_policies_and_few_files_the_balancer() -> None:
    wrong = [
        source
        for source in within("loadtest")
        if source.uses("services.balancer", "services.worker")
        and not source.module.startswith("loadtest.arena")
        and source.module not in _INSIDERS
    ]
    assert wrong == []


def test_moto_is_the_local_clouds() -> None:
    wrong = [
        source
        for source in within("services", "orchestrator", "loadtest")
        if source.uses("moto") and not source.module.startswith("orchestrator.localcloud")
    ]
    assert wrong == []


@pytest.mark.parametrize("module", ["services.contract", f"{B}.config", f"{B}.load"])
def test_standard_library_only(module: str) -> None:
    (source,) = within(module)
    outside = {
        name
        for name in source.imports
        if name.split(".")[0] not in sys.stdlib_module_names
        and not name.startswith("services.balancer")
    }
    assert outside == set()


def test_images_carry_what_their_room_imports() -> None:
    """A room imports itself, the contract and packages; never another room by a back door."""

    def allowed(room: str) -> Callable[[str], bool]:
        return lambda name: (
            name in ("services", "services.contract")
            or name.startswith((room, "services.contract."))
        )

    for room in ("services.worker", B):
        wrong: dict[Source, set[str]] = {}
        for source in within(room):
            used = {name for name in source.uses("services") if not allowed(room)(name)}
            if used:
                wrong[source] = used
        assert wrong == {}


def test_a_data_plane_process_loads_none_of_it() -> None:
    """What the syntax cannot show: no dependency drags the other plane's libraries in."""
    code = "import sys, services.balancer.dataplane.process; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []


@pytest.mark.parametrize("module", ["services.balancer.control", "services.worker.__main__"])
def test_boto3_is_paid_for_only_where_it_is_used(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"boto3", "botocore"} & {name.split(".")[0] for name in loaded} == set()


def test_the_reader_of_sources_sees() -> None:
    """The rules above are worth what this is worth."""
    assert len(sources()) > 50
    (here,) = within("tests.boundaries.test_arrows")
    assert here.uses("pytest")
    assert here.uses("tests.boundaries.sources") >= {"tests.boundaries.sources.within"}
    (exchange,) = within(f"{B}.dataplane.exchange")
    assert not exchange.uses(f"{B}.dataplane.accept")  # under TYPE_CHECKING
    with pytest.raises(LookupError):
        within("services.nowhere")
