"""EC2 instance types that a deployment may name, and what things cost an hour.

Prices are AWS's list prices of us-east-1, Linux, on demand, in US dollars, as known on `PRICED_ON`.
Other regions differ by up to about half; a plan says so beside its total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Architecture = Literal["x86_64", "arm64"]

PRICED_ON: Final = "2025-06-01"
PRICED_IN: Final = "us-east-1"
PUBLIC_IPV4_USD_HOUR: Final = 0.005
GP3_USD_GB_MONTH: Final = 0.08
ALARM_METRIC_USD_MONTH: Final = 0.10  # for each metric that an alarm looks at
DASHBOARD_USD_MONTH: Final = 3.00  # from the fourth in the account on
HOURS_A_MONTH: Final = 730
LOAD_BALANCER_USD_HOUR: Final = 0.0225  # ALB and NLB alike, without capacity units (traffic)


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One type: memory in GiB, price in US dollars an hour."""

    vcpus: int
    memory_gib: float
    usd_hour: float
    architecture: Architecture = "x86_64"


TYPES: Final[dict[str, InstanceType]] = {
    "t2.nano": InstanceType(1, 0.5, 0.0058),
    "t2.micro": InstanceType(1, 1, 0.0116),
    "t2.small": InstanceType(1, 2, 0.023),
    "t2.medium": InstanceType(2, 4, 0.0464),
    "t2.large": InstanceType(2, 8, 0.0928),
    "t2.xlarge": InstanceType(4, 16, 0.1856),
    "t3.nano": InstanceType(2, 0.5, 0.0052),
    "t3.micro": InstanceType(2, 1, 0.0104),
    "t3.small": InstanceType(2, 2, 0.0208),
    "t3.medium": InstanceType(2, 4, 0.0416),
    "t3.large": InstanceType(2, 8, 0.0832),
    "t3.xlarge": InstanceType(4, 16, 0.1664),
    "t4g.nano": InstanceType(2, 0.5, 0.0042, "arm64"),
    "t4g.micro": InstanceType(2, 1, 0.0084, "arm64"),
    "t4g.small": InstanceType(2, 2, 0.0168, "arm64"),
    "t4g.medium": InstanceType(2, 4, 0.0336, "arm64"),
    "t4g.large": InstanceType(2, 8, 0.0672, "arm64"),
    "m5.large": InstanceType(2, 8, 0.096),
    "m6i.large": InstanceType(2, 8, 0.096),
    "m7g.large": InstanceType(2, 8, 0.0816, "arm64"),
    "c5.large": InstanceType(2, 4, 0.085),
    "c6i.large": InstanceType(2, 4, 0.085),
    "c6i.xlarge": InstanceType(4, 8, 0.17),
    "c7g.large": InstanceType(2, 4, 0.0725, "arm64"),
    "c7g.xlarge": InstanceType(4, 8, 0.145, "arm64"),
}


def load_balancer_usd_hour(zones: int) -> float:
    """A load balancer with its public address in each of `zones`, in US dollars an hour."""
    return LOAD_BALANCER_USD_HOUR + zones * PUBLIC_IPV4_USD_HOUR


def machine_usd_hour(type_name: str, disk_gib: int) -> float:
    """An instance of `type_name` with its disk and its public address, in US dollars an hour."""
    disk = disk_gib * GP3_USD_GB_MONTH / HOURS_A_MONTH
    return TYPES[type_name].usd_hour + disk + PUBLIC_IPV4_USD_HOUR
