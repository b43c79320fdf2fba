"""Short forms -> long forms, in place; what has no known form is left for the schema to refuse.

policy: p2c                     {name: p2c, params: {}}
policy: {name: p2c, x: 1}       {name: p2c, params: {x: 1}}
policy: {module: mine:Rule}     {name: mine:Rule, params: {}}
access_log: PATH                {path: PATH}, made absolute likewise; `-` stays
file: targets.yaml              {path: targets.yaml}, made absolute from the config file
dns: worker:8000                {name: worker, port: 8000}
static: 127.0.0.1:9101          [127.0.0.1:9101]
ec2: {tags: ..., port: 80}       with the region that AWS_REGION names; so is cloudwatch: {...}
processes: auto                 the number of CPUs this process may run on
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

from services.balancer.settings.document import Document, Scalar
from services.balancer.settings.problems import Path

REGION_FROM: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")  # the SDKs' own variables


def expand(document: Document, folder: FilePath, env: Mapping[str, str]) -> None:
    """Rewrite the document's data; `folder` is where relative file paths start."""
    data = document.data
    region = next((env[name] for name in REGION_FROM if env.get(name)), None)
    if not isinstance(data, dict):
        return
    if data.get("processes") == "auto":
        data["processes"] = len(os.sched_getaffinity(0))
    if "access_log" in data:
        data["access_log"] = _log(data["access_log"], folder)
    cloudwatch = data.get("cloudwatch")
    if isinstance(cloudwatch, dict):
        data["cloudwatch"] = _with_region(cloudwatch, region)
    balancers = data.get("balancers")
    if isinstance(balancers, dict) and isinstance(balancers.get("peers"), list):
        peers = [_source(source, folder, region) for source in balancers["peers"]]
        data["balancers"] = balancers | {"peers": peers}
    clusters = data.get("clusters")
    for index, cluster in enumerate(clusters if isinstance(clusters, list) else ()):
        if not isinstance(cluster, dict):
            continue
        path: Path = ("clusters", index)
        if "policy" in cluster:
            cluster["policy"] = _policy(document, cluster["policy"], (*path, "policy"))
        targets = cluster.get("targets")
        if isinstance(targets, list):
            cluster["targets"] = [_source(source, folder, region) for source in targets]


def _log(log: Any, folder: FilePath) -> Any:
    if isinstance(log, str):
        log = {"path": log}
    if isinstance(log, dict) and isinstance(log.get("path"), str) and log["path"] not in ("", "-"):
        return log | {"path": Scalar(folder / log["path"])}
    return log


def _policy(document: Document, policy: Any, path: Path) -> Any:
    if isinstance(policy, str):
        return {"name": policy}
    if not isinstance(policy, dict) or ("params" in policy and isinstance(policy["params"], dict)):
        return policy  # already long (an anchor used twice), or wrong
    if "module" in policy and "name" not in policy:
        policy = {("name" if key == "module" else key): value for key, value in policy.items()}
        for spots in (document.keys, document.values):
            if (*path, "module") in spots:
                spots[(*path, "name")] = spots[(*path, "module")]
    params = {key: _typed(value) for key, value in policy.items() if key != "name"}
    for key in params:
        for spots in (document.keys, document.values):
            if (*path, key) in spots:
                spots[(*path, "params", key)] = spots[(*path, key)]
    return {**({"name": policy["name"]} if "name" in policy else {}), "params": params}


def _typed(value: Any) -> Any:
    """Parameters have no schema here, so YAML's own types hold."""
    if isinstance(value, Scalar):
        return value.typed()
    if isinstance(value, list):
        return [_typed(part) for part in value]
    if isinstance(value, dict):
        return {key: _typed(part) for key, part in value.items()}
    return value


def _source(source: Any, folder: FilePath, region: str | None) -> Any:
    if not isinstance(source, dict):
        return source
    source = dict(source)
    if isinstance(source.get("static"), str):
        source["static"] = [source["static"]]
    file = source.get("file")
    if isinstance(file, str):
        file = {"path": file}
    if isinstance(file, dict) and isinstance(file.get("path"), str) and file["path"]:
        file = {**file, "path": str(folder / file["path"])}
    if "file" in source:
        source["file"] = file
    dns = source.get("dns")
    if isinstance(dns, str):
        name, colon, port = dns.rpartition(":")
        source["dns"] = {"name": name, "port": port} if colon else {"name": dns}
    ec2 = source.get("ec2")
    if isinstance(ec2, dict):
        source["ec2"] = _with_region(ec2, region)
    return source


def _with_region(section: dict[str, Any], region: str | None) -> dict[str, Any]:
    if section.get("region") is None and region is not None:
        return {**section, "region": region}
    return section
