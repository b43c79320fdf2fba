"""Runs on a balancer's host, not here: asks the admin API on its loopback, answers in few bytes.

    python3 - '{"port": 9900, "drain": ["cluster1/10.0.0.1:8000"], "undrain": []}' <this file

Standard library of Python 3.9 (AL2023's own). It writes one line: base64 of deflated JSON, because
SSM takes 24,000 characters of output and a scoreboard of 100 targets is ten times as long.
"""

import base64
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
import zlib
from datetime import datetime, timezone
from typing import Any

TIMEOUT_S = 10


def ask(base: str, path: str, method: str = "GET") -> "tuple[int, Any]":
    """Status and JSON of an answer, whatever the status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(base + path, method=method)  # noqa: S310 - loopback
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def age_s(since: "str | None", now: datetime) -> float:
    """Seconds since an RFC 3339 time; 0 when there is none."""
    if since is None:
        return 0.0
    return round((now - datetime.fromisoformat(since.replace("Z", "+00:00"))).total_seconds(), 1)


def answer(orders: "dict[str, Any]") -> "dict[str, Any]":
    """Carry the orders out, then look."""
    base = f"http://127.0.0.1:{orders['port']}"
    unknown = []
    for verb in ("drain", "undrain"):
        for target in orders.get(verb, ()):
            path = f"/api/targets/{urllib.parse.quote(target, safe='/:')}/{verb}"
            if ask(base, path, "POST")[0] == 404:
                unknown.append(target)
    ready, _ = ask(base, "/readyz")
    _, board = ask(base, "/api/clusters")
    now = datetime.now(timezone.utc)  # noqa: UP017 - Python 3.9 has no datetime.UTC
    targets = [
        [
            cluster["name"],
            one["id"],
            one["instance_id"],
            one["address"],
            one["state"],
            one["pending"],
            one["requests"],
            one["responses"]["5xx"] + sum(one["failures"].values()),
            age_s(one["health_since"], now),
        ]
        for cluster in board["clusters"]
        for one in cluster["targets"]
    ]
    return {
        "ready": ready == 200,
        "unknown": unknown,
        "clusters": [c["name"] for c in board["clusters"]],
        "targets": targets,
    }


if __name__ == "__main__":
    told = json.dumps(answer(json.loads(sys.argv[1])), separators=(",", ":"))
    print(base64.b64encode(zlib.compress(told.encode())).decode())
