"""Every setting of the worker: one environment variable each, typed, bounded, documented.

`read_settings` looks at all of them and reports every mistake at once, each with the variable's
name. `describe` prints the same table for `--help`, so that there is only one.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from services.contract import (
    CLOUDWATCH_PERIOD_S,
    ENV_CLOUDWATCH,
    ENV_CLUSTER_NAME,
    ENV_INSTANCE_ID,
    ENV_REGION,
    ENV_WORK_MS,
)
from services.worker.machine import TYPES, MachineType

WorkMode = Literal["cpu", "model"]
WorkDistribution = Literal["constant", "exponential", "lognormal"]
RequestLog = Literal["1", "0", "all"]
Switch = Literal["0", "1"]

MAX_WORK_MS: Final = 60_000.0


class SettingsError(Exception):
    """The environment is wrong; `problems` has one line for each mistake, variable first."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _env(
    name: str, default: object, doc: str, *, low: float = -math.inf, high: float = math.inf
) -> Any:
    """One dataclass field read from the variable `name`; numbers must lie within low..high."""
    return dataclasses.field(
        default=default, metadata={"env": name, "doc": doc, "low": low, "high": high}
    )


# ruff: noqa: RUF009 - _env is dataclasses.field by another name, not a shared default
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says. Empty strings count as not set."""

    instance_id: str = _env(ENV_INSTANCE_ID, "", "who I am; else IMDSv2, else the hostname")
    cluster: str = _env(ENV_CLUSTER_NAME, "", "my cluster; else the IMDS tag, else `unknown`")
    private_ip: str = _env("PRIVATE_IP", "", "my address; else IMDSv2, else the first interface")
    imds: Switch = _env("IMDS", "1", "0: never ask the EC2 instance metadata service")
    imds_endpoint: str = _env(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        "http://169.254.169.254",
        "where the metadata service answers (the AWS SDKs' own variable)",
    )

    work_ms: float = _env(
        ENV_WORK_MS, 0.0, "mean work of a request, in ms of one vCPU", low=0, high=MAX_WORK_MS
    )
    work_mode: WorkMode = _env("WORK_MODE", "cpu", "cpu: burn real CPU; model: modelled machine")
    work_dist: WorkDistribution = _env(
        "WORK_DIST", "constant", "distribution of the work around its mean (lognormal: cv 1)"
    )
    work_seed: int = _env("WORK_SEED", 1, "seed of that distribution", low=0, high=2**63)
    work_threads: int = _env(
        "WORK_THREADS", 4, "threads that burn CPU (WORK_MODE=cpu)", low=1, high=256
    )
    machine: str = _env(
        "MACHINE", "", "modelled type, e.g. t2.micro; with WORK_MODE=model (default: flat, 1 vCPU)"
    )
    machine_vcpus: int = _env(
        "MACHINE_VCPUS", 0, "vCPUs of the modelled machine; 0: as its type", low=0, high=512
    )
    machine_speed: float = _env(
        "MACHINE_SPEED", 1.0, "its speed; 2 does 10 ms of work in 5 ms", low=0.001, high=1000
    )
    machine_credits: float = _env(
        "MACHINE_CREDITS", -1.0, "CPU credits at start; -1: the type's launch credits", low=-1
    )

    max_body_bytes: int = _env(
        "MAX_BODY_BYTES", 1 << 20, "larger request bodies get 413", low=0, high=1 << 40
    )
    max_head_bytes: int = _env(
        "MAX_HEAD_BYTES", 64 << 10, "unfinished request heads over this get 431", low=1024
    )
    head_timeout_s: float = _env(
        "HEAD_TIMEOUT_S", 30.0, "a request head must be whole in this time", low=0.1, high=3600
    )
    max_pending: int = _env("MAX_PENDING", 2048, "more pending requests get 503", low=1)
    max_connections: int = _env("MAX_CONNECTIONS", 4096, "more connections get 503", low=1)
    keep_alive_s: int = _env(
        "KEEP_ALIVE_S", 75, "idle connections live so long: above the balancer's", low=1, high=86400
    )

    drain_notice_s: float = _env(
        "DRAIN_NOTICE_S",
        5.0,
        "after SIGTERM, serve on with /readyz at 503: above interval x fall",
        low=0,
        high=3600,
    )
    grace_s: float = _env(
        "GRACE_S", 25.0, "from SIGTERM to exit at most, notice included", low=0, high=86400
    )

    stress_max_s: float = _env("STRESS_MAX_S", 60.0, "longest POST /stress", low=0.1, high=3600)
    stress_max_workers: int = _env(
        "STRESS_MAX_WORKERS", os.cpu_count() or 1, "most stress processes at a time", low=1
    )
    cloudwatch: str = _env(
        ENV_CLOUDWATCH, "", "deployment under whose name CPU goes to CloudWatch; not set: nothing"
    )
    cloudwatch_interval_s: float = _env(
        "CLOUDWATCH_INTERVAL_S", float(CLOUDWATCH_PERIOD_S), "how often", low=1, high=3600
    )
    region: str = _env(ENV_REGION, "", "AWS region of that (the AWS SDKs' own variable)")
    log_requests: RequestLog = _env(
        "LOG_REQUESTS", "1", "1: a line each; all: also health and probes; 0: none"
    )
    enable_faults: Switch = _env("ENABLE_FAULTS", "0", "1: POST /faults for experiments")


def _parse(kind: object, text: str, low: float, high: float) -> object:
    """Return `text` as `kind`. Raises ValueError with what was expected."""
    if kind is str:
        return text
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text
    try:
        number = int(text) if kind is int else float(text)
    except ValueError:
        raise ValueError(f"expected {'a whole' if kind is int else 'a'} number") from None
    if not low <= number <= high:  # false for NaN, too
        bounds = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
        raise ValueError(f"expected a number {bounds}")
    if math.isinf(number):
        raise ValueError("expected a finite number")
    return number


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings in `environ`. Raises SettingsError naming every wrong variable."""
    kinds = get_type_hints(Settings)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in dataclasses.fields(Settings):
        name, low, high = (field.metadata[key] for key in ("env", "low", "high"))
        text = environ.get(name, "").strip()
        if not text:
            continue
        try:
            values[field.name] = _parse(kinds[field.name], text, low, high)
        except ValueError as error:
            problems.append(f"{name}: {error}, got {text!r}")
    settings = Settings(**values)
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        settings = dataclasses.replace(settings, imds="0")
    if not problems:
        problems = _contradictions(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _contradictions(settings: Settings) -> list[str]:
    """Return what is wrong between settings that are right one by one."""
    problems = []
    if settings.grace_s < settings.drain_notice_s:
        problems.append(
            f"GRACE_S: must not be below DRAIN_NOTICE_S ({settings.drain_notice_s:g}), "
            f"got {settings.grace_s:g}"
        )
    if settings.machine and settings.work_mode != "model":
        problems.append("MACHINE: a modelled machine needs WORK_MODE=model")
    if settings.machine and settings.machine not in TYPES:
        problems.append(f"MACHINE: expected one of {', '.join(TYPES)}, got {settings.machine!r}")
    if settings.cloudwatch and not settings.region:
        problems.append(f"{ENV_REGION}: {ENV_CLOUDWATCH} needs a region, got none")
    if not settings.imds_endpoint.startswith("http://"):
        problems.append(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT: expected http://host[:port], "
            f"got {settings.imds_endpoint!r}"
        )
    return problems


def machine_type(settings: Settings) -> MachineType:
    """Return the machine that the settings model: a named type, with what overrides it."""
    kind = TYPES.get(settings.machine) or MachineType("flat", 1)
    return dataclasses.replace(
        kind, vcpus=settings.machine_vcpus or kind.vcpus, speed=settings.machine_speed
    )


def describe() -> str:
    """Return the table of environment variables: name, default, meaning."""
    rows = [(f.metadata["env"], f.default, f.metadata["doc"]) for f in dataclasses.fields(Settings)]
    width = max(len(name) for name, _, _ in rows)
    return "\n".join(
        f"  {name:<{width}}  {doc}" + (f" (default {default})" if default != "" else "")
        for name, default, doc in rows
    )
