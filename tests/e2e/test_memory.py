"""What the balancer holds: bodies far larger than its memory, many clients, and nothing afterwards.

Bodies are generated and dropped piece by piece, sizes checked to the byte, memory by the most that
the process ever had.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Final

from tests.stand.balancer import Balancer, cluster
from tests.stand.client import Load
from tests.stand.proc import peak_rss_bytes, rss_bytes, sockets, wait_until
from tests.stand.target import Request, StubTarget, big, plain

MIB: Final = 1024 * 1024
GIB: Final = 1024 * MIB
GROWTH: Final = 8 * MIB  # buffers of both directions and the allocator's slack
STALL_S: Final = 0.3  # nothing is read for so long, four times, while the other side pushes
PIECE: Final = memoryview(bytes(MIB))


async def _ask(sock: socket.socket, port: int, head: str) -> None:
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, f"{head}\r\nHost: test\r\n\r\n".encode())


async def _answer_head(sock: socket.socket) -> bytes:
    head = b""
    async with asyncio.timeout(30):
        while b"\r\n\r\n" not in head:
            head += await asyncio.get_running_loop().sock_recv(sock, 1)
    return head


async def test_a_slow_reader_of_a_gibibyte(tmp_path: Path) -> None:
    async with (
        StubTarget(big(GIB)) as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])]) as balancer,
    ):
        (dataplane,) = balancer.dataplanes
        before = rss_bytes(dataplane)
        loop = asyncio.get_running_loop()
        buffer = bytearray(MIB)
        with socket.socket() as sock:
            await _ask(sock, balancer.port, "GET /cluster1 HTTP/1.1")
            assert (await _answer_head(sock)).startswith(b"HTTP/1.1 200")
            left = GIB
            next_stall = GIB - 1
            while left:
                if left < next_stall and next_stall > GIB - 64 * MIB:
                    next_stall -= 16 * MIB
                    await asyncio.sleep(STALL_S)
                got = await loop.sock_recv_into(sock, buffer)
                assert got, f"{left} bytes short"
                left -= got
            await balancer.wait_pending(0)
        assert peak_rss_bytes(dataplane) - before < GROWTH


async def test_a_slow_target_of_a_gibibyte(tmp_path: Path) -> None:
    received = 0

    async def take_slowly(request: Request) -> None:
        nonlocal received
        async for piece in request.body():
            if received < 64 * MIB and received % (16 * MIB) < len(piece):
                await asyncio.sleep(STALL_S)
            received += len(piece)
        await plain()(request)

    async with (
        StubTarget(take_slowly) as target,
        Balancer(tmp_path, [cluster("cluster1", [target.address])]) as balancer,
    ):
        (dataplane,) = balancer.dataplanes
        before = rss_bytes(dataplane)
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            await _ask(sock, balancer.port, f"POST /cluster1 HTTP/1.1\r\nContent-Length: {GIB}")
            for _ in range(GIB // MIB):
                await loop.sock_sendall(sock, PIECE)
            assert (await _answer_head(sock)).startswith(b"HTTP/1.1 200")
            await balancer.wait_pending(0)
        assert received == GIB
        assert peak_rss_bytes(dataplane) - before < GROWTH


async def test_ten_thousand_requests_over_a_thousand_connections_leave_nothing(
    tmp_path: Path,
) -> None:
    async with (
        StubTarget() as one,
        StubTarget() as other,
        Balancer(
            tmp_path,
            [cluster("cluster1", [one.address, other.address])],
            timeouts={"target_keep_alive_s": 1.0},
        ) as balancer,
    ):
        (dataplane,) = balancer.dataplanes
        at_rest = sockets(dataplane)
        await Load(balancer.port, connections=8, total=200).run()  # warm
        await wait_until(lambda: sockets(dataplane) == at_rest, "rest", 15)
        tasks = await _gauge(balancer, "steelyard_process_tasks")
        before = rss_bytes(dataplane)

        load = await Load(balancer.port, connections=1000, total=10_000).run()
        assert load.failed == {}
        assert load.cut_short == 0
        assert load.answered == 10_000

        await balancer.wait_pending(0)
        await wait_until(lambda: sockets(dataplane) == at_rest, "closed sockets", 15)
        assert await _gauge(balancer, "steelyard_connections_open") == 0
        async with asyncio.timeout(10):
            while True:  # the gauge follows once a second
                if await _gauge(balancer, "steelyard_process_tasks") <= tasks:
                    break
                await asyncio.sleep(0.1)
        assert rss_bytes(dataplane) - before < 32 * MIB


async def _gauge(balancer: Balancer, name: str) -> float:
    _, text = await balancer.api("/metrics")
    lines = [x for x in str(text).splitlines() if x.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
