"""A cheap stand-in for worker and balancer: starts in a tenth of the time, standard library only.

    python stand_in.py PORT                          a worker
    python stand_in.py PORT ADMIN_PORT TARGET...     a balancer; TARGET is cluster/host:port

`--child` makes it start a child that ignores SIGTERM; `--stubborn` makes it ignore SIGTERM and
SIGINT itself; `--die N` ends it at once with code N and a few last words.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys

Address = tuple[str, int]

STUBBORN_CHILD = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
)


async def _head(reader: asyncio.StreamReader) -> str | None:
    """The path of the next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return head.split(b" ", 2)[1].decode()


def _answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


async def worker(port: int) -> None:
    """Answers 200 to anything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await _head(reader) is not None:
            writer.write(_answer(200, json.dumps({"instance_id": f"stand-in-{port}"}).encode()))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


async def balancer(port: int, admin_port: int, targets: list[str]) -> None:
    """Sends each request to the next target of the cluster; knows who can be connected to."""
    clusters: dict[str, list[Address]] = {}
    for target in targets:
        cluster, _, address = target.partition("/")
        host, _, number = address.partition(":")
        clusters.setdefault(cluster, []).append((host, int(number)))
    turn = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: dict[Address, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        while (path := await _head(reader)) is not None:
            members = clusters.get(path.strip("/"))
            if not members:
                writer.write(_answer(404, b""))
                continue
            address = members[next(turn) % len(members)]
            if address not in upstream:
                upstream[address] = await asyncio.open_connection(*address)
            from_target, to_target = upstream[address]
            to_target.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            head = await from_target.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            writer.write(head + await from_target.readexactly(length))
        for _, to_target in upstream.values():
            to_target.close()
        writer.close()

    async def health(address: Address) -> str:
        try:
            _, writer = await asyncio.open_connection(*address)
        except OSError:
            return "unhealthy"
        writer.close()
        return "healthy"

    async def admin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (path := await _head(reader)) is not None:
            picture = {
                "clusters": [
                    {
                        "name": cluster,
                        "targets": [
                            {
                                "id": f"{cluster}/{host}:{number}",
                                "state": await health((host, number)),
                            }
                            for host, number in members
                        ],
                    }
                    for cluster, members in clusters.items()
                ]
            }
            writer.write(_answer(200, json.dumps(picture).encode() if "api" in path else b"ok"))
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", port) as clients,
        await asyncio.start_server(admin, "127.0.0.1", admin_port) as api,
    ):
        await asyncio.gather(clients.serve_forever(), api.serve_forever())


def main(arguments: list[str]) -> None:
    options = [a for a in arguments if a.startswith("--")]
    rest = [a for a in arguments if not a.startswith("--")]
    if "--die" in options:
        print("first word\nthe last word", flush=True)
        sys.exit(int(rest[-1]))
    if "--child" in options:
        subprocess.Popen([sys.executable, "-c", STUBBORN_CHILD])
    for number in (signal.SIGTERM, signal.SIGINT):
        # At once and with 0, as a server that has nothing pending.
        signal.signal(number, signal.SIG_IGN if "--stubborn" in options else lambda *_: sys.exit(0))
    if len(rest) == 1:
        asyncio.run(worker(int(rest[0])))
    else:
        asyncio.run(balancer(int(rest[0]), int(rest[1]), rest[2:]))


if __name__ == "__main__":
    main(sys.argv[1:])
