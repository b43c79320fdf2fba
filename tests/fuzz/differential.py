"""Compare ourselves with h11 and llhttp on seeded inputs.

    python -m tests.fuzz.differential --inputs 100000 --seed 1 --processes 2

What we accept must be framed alike by both, on the way in (outside `differences`) and on the way
out: requests always, answers by h11 always and by llhttp where it could be asked about what came.
Exit status 1 with the input when it is not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Final

from tests.fuzz import differences, generate
from tests.fuzz.inside import Forwarded, Inside, Relayed
from tests.fuzz.readers import (
    NEXT,
    Reading,
    ReadingError,
    request_by_h11,
    request_by_llhttp,
    response_by_h11,
    response_by_llhttp,
)

BLOCK: Final = 1000  # inputs that share a random source: a block can be run again by itself
_HOP: Final = frozenset(
    {
        *(b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te"),
        *(b"proxy-authorization", b"transfer-encoding", b"upgrade", b"endpoint-load-metrics"),
    }
)
_FORWARDING: Final = frozenset(
    {
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-real-ip", b"forwarded", b"x-request-id"),
    }
)
_OURS: Final = [b"x-forwarded-for", b"x-forwarded-proto", b"via", b"x-request-id"]


class Difference(AssertionError):
    """Somebody reads it otherwise."""


def _alike(what: str, one: object, other: object) -> None:
    if one != other:
        raise Difference(f"{what}: {one!r} is not {other!r}")


def _kept(
    fields: tuple[tuple[bytes, bytes], ...], also: frozenset[bytes], named: frozenset[bytes]
) -> list[tuple[bytes, bytes]]:
    return [(n, v) for n, v in fields if n not in _HOP and n not in also and n not in named]


def _nominated(fields: tuple[tuple[bytes, bytes], ...]) -> frozenset[bytes]:
    values = [v for n, v in fields if n == b"connection"]
    return frozenset(o.strip(b" \t").lower() for v in values for o in v.split(b","))


def _check_offer(came: Reading, went: Reading) -> None:
    """An offer to switch goes on only as ours, and only where the client made it."""
    values = {
        name: [v for n, v in went.fields if n == name] for name in (b"connection", b"upgrade")
    }
    if not values[b"upgrade"]:
        _alike("Connection that goes on", values[b"connection"], [])
        return
    _alike("offer", values, {b"connection": [b"upgrade"], b"upgrade": [b"websocket"]})
    offered = b",".join(v for n, v in came.fields if n == b"upgrade").lower()
    _alike("offered", b"websocket" in [o.strip(b" \t") for o in offered.split(b",")], True)
    _alike("named", b"upgrade" in _nominated(came.fields), True)
    _alike("method and body of an offer", (came.start[0], came.body), (b"GET", b""))


def check_request(raw: bytes, forwarded: Forwarded) -> str:
    """One request that went on: as it came, and as it went. Says which difference was met."""
    raw = raw.lstrip(b"\r\n")  # RFC 9112, 2.2: empty lines before it; h11 refuses them
    went = request_by_h11(forwarded.sent + NEXT)
    _alike("rest of what went, h11", went.rest, NEXT)
    also = request_by_llhttp(differences.with_known_method(forwarded.sent))
    _alike(
        "target and body that went, llhttp", (also.start[1], also.body), (went.start[1], went.body)
    )
    met = differences.request_unread_by_h11(raw)
    came: Reading | None = None
    if met is None:
        came = request_by_h11(raw + NEXT)
        _alike("rest of what came, h11", came.rest, NEXT)
        _alike("method", went.start[0], came.start[0])
        _alike("body", went.body, came.body)
        named = _nominated(came.fields)
        _alike("trailers", list(went.trailers), _kept(came.trailers, _FORWARDING, named))
        old = raw[: raw.index(b"\r\n")].endswith(b"0")
        dropped = {*_FORWARDING, b"host"} | ({b"expect"} if old else set())
        chunked = [(b"transfer-encoding", b"chunked")]
        is_chunked = any(n == b"transfer-encoding" for n, _ in came.fields)
        kept = _kept(came.fields, frozenset(dropped), named) + (chunked if is_chunked else [])
        _check_offer(came, went)
        passed_on = (b"host", b"connection", b"upgrade")
        _alike("fields", [f for f in went.fields if f[0] not in passed_on][:-4], kept)
        _alike("our fields", [n for n, _ in went.fields[-4:]], _OURS)
        _alike("Hosts", sum(n == b"host" for n, _ in went.fields), 1)
        if came.start[1].startswith((b"/", b"*")):
            _alike("target", went.start[1], came.start[1])
            hosts = [v for n, v in came.fields if n == b"host"] or [b"127.0.0.1:8000"]
            _alike("host", [v for n, v in went.fields if n == b"host"], hosts)
    unread = differences.request_unread_by_llhttp(raw)
    if unread is None:
        llhttp = request_by_llhttp(differences.with_known_method(raw))
        if came is not None:
            here = (came.start[1], came.body)
            _alike("target and body that came, llhttp", (llhttp.start[1], llhttp.body), here)
    return met or unread or "none"


def check_response(method: bytes, wire: bytes, relayed: Relayed, *, ends: bool) -> str:
    """One answer: as it came from the target, and as the client got it."""
    went = response_by_h11(method, relayed.out, ends=ends or not relayed.kept)
    _alike("rest of what went", went.rest, b"")
    met = differences.response_unread_by_h11(wire)
    if met is None:
        came = response_by_h11(method, wire, ends=ends)
        _alike("status", went.start, came.start)
        _alike("body", went.body, came.body)
        named = _nominated(came.fields)
        _alike("trailers", list(went.trailers), _kept(came.trailers, _FORWARDING, named))
        ours = _kept(went.fields, frozenset(), frozenset())
        _alike("fields", ours, _kept(came.fields, frozenset(), named))
        if relayed.kept:
            _alike("rest on a kept connection", came.rest, b"")
    unread = differences.response_unread_by_llhttp(method, wire, kept=relayed.kept)
    if unread is None:
        read = response_by_llhttp(wire, ends=ends)
        _alike("what came, llhttp and h11", read[:2], went[:2])
        out = response_by_llhttp(relayed.out, ends=ends)
        _alike("what went, llhttp and h11", out[:2], went[:2])
    return met or unread or "none"


def run_block(seed: int, block: int, count: int = BLOCK) -> Counter[str]:
    """Inputs of one block. Raises Difference with the input, to be run again by `seed:block`."""
    rng = Random((seed << 32) + block)
    inside = Inside()
    counts: Counter[str] = Counter()
    for _ in range(count):
        counts["inputs"] += 1
        asked = rng.random() < 0.65
        wire = generate.requests(rng) if asked else generate.answers(rng)
        method = b"HEAD" if rng.random() < 0.1 else b"POST"
        ends = rng.random() < 0.3
        cut = rng.randrange(len(wire) + 1)
        try:
            if asked:
                start = 0
                for forwarded in inside.forward(wire, cut):
                    counts["requests accepted"] += 1
                    met = check_request(wire[start : forwarded.end], forwarded)
                    counts[f"request, difference: {met}"] += 1
                    start = forwarded.end
            else:
                relayed = inside.relay(method, wire, cut, ends=ends)
                if relayed is not None:
                    counts["responses accepted"] += 1
                    met = check_response(method, wire, relayed, ends=ends)
                    counts[f"response, difference: {met}"] += 1
        except (Difference, ReadingError) as error:
            how = f"{method!r}, cut {cut}, ends {ends}"
            raise Difference(f"{seed}:{block}: {error}\n  {wire!r}\n  {how}") from error
    return counts


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    blocks = -(-options.inputs // BLOCK)
    begun = time.perf_counter()
    counts: Counter[str] = Counter()
    found = 0
    with ProcessPoolExecutor(options.processes) as pool:
        for run in [pool.submit(run_block, options.seed, block) for block in range(blocks)]:
            try:
                counts += run.result()
            except Difference as difference:
                found += 1
                print(difference, file=sys.stderr)
                if found >= 10:
                    pool.shutdown(cancel_futures=True)
                    break
    took_s = time.perf_counter() - begun
    for name, count in sorted(counts.items()):
        print(f"{count:>10,}  {name}")
    print(f"{found} differences outside the list; {counts['inputs'] / took_s:,.0f} inputs a second")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
