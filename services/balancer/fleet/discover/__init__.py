"""Where targets come from. Each source answers with the whole set of addresses that it knows.

    source      what a source is; what an answer and an error are
    static      addresses in the configuration
    file        a YAML list, watched
    dns         every address of a name
    docker      running containers with given labels
    ec2         running instances with given tags, or of a group
    region      what the ec2 sources of one region share: one call for all of them
    weighed     what the configuration says of their weight
    watch       asks one source again and again; an error keeps what was known

A new kind is one file with a `look` and one line in `build`.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.balancer.config import TargetSource
from services.balancer.fleet.discover.dns import Dns
from services.balancer.fleet.discover.docker import Docker
from services.balancer.fleet.discover.ec2 import Ec2, Regions
from services.balancer.fleet.discover.file import File
from services.balancer.fleet.discover.source import DiscoveryError, Found, Source
from services.balancer.fleet.discover.static import Static
from services.balancer.fleet.discover.watch import Watch
from services.balancer.fleet.discover.weighed import Weighed

__all__ = ["DiscoveryError", "Found", "Regions", "Source", "Watch", "build", "build_all"]


def build(source: TargetSource, regions: Regions) -> Source:
    """The source that a configuration entry describes."""
    unweighed = _build(source, regions)
    return unweighed if source.weight == 1 else Weighed(unweighed, source.weight)


def _build(source: TargetSource, regions: Regions) -> Source:
    if source.file is not None:
        return File(source.file)
    if source.dns is not None:
        return Dns(source.dns)
    if source.docker is not None:
        return Docker(source.docker)
    if source.ec2 is not None:
        return Ec2(source.ec2, regions.region(source.ec2.region))
    return Static(dict.fromkeys(source.static or (), 1))


def build_all(entries: Iterable[TargetSource], regions: Regions) -> dict[str, Source]:
    """The sources of one cluster by name; all its static entries are one."""
    sources: dict[str, Source] = {}
    static: dict[str, int] = {}
    for entry in entries:
        if entry.static is not None:
            static.update(dict.fromkeys(entry.static, entry.weight))
            continue
        source = build(entry, regions)
        sources.setdefault(source.name, source)
    if static:
        fixed = Static(static)
        sources[fixed.name] = fixed
    return sources
