"""A target notes an id as soon as the head is there: a body that never comes must not hide it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from loadtest.chaos.connection import Record
from loadtest.chaos.target import Connection, Target


class Wire(asyncio.Transport):
    """Takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.written.set()

    def is_closing(self) -> bool:
        return False


async def test_an_id_is_noted_once_however_its_bytes_arrive(tmp_path: Path) -> None:
    path = tmp_path / "ids.log"
    with path.open("ab", buffering=0) as log:
        connection, wire = Connection(Target(log.fileno(), Random(1))), Wire()
        connection.connection_made(wire)
        for number in range(2):
            wire.written.clear()
            head, end, body = Record(f"P-{number}", "POST", 20, 0.0).wire.partition(b"\r\n\r\n")
            connection.data_received(head)
            assert len(path.read_text().split()) == number
            connection.data_received(end)
            assert path.read_text().split()[-1] == f"P-{number}"
            for byte in body:
                connection.data_received(bytes([byte]))
            async with asyncio.timeout(5):
                await wire.written.wait()
        assert path.read_text().split() == ["P-0", "P-1"]
