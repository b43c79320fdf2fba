"""A YAML list of addresses in a file, read again whenever the file changes.

Polled by its status instead of watched by the kernel: one system call a second works on every file
system and follows editors and tools that replace the file. Write a new file and rename it over the
old one; a half-written list is a valid list too.
"""

from __future__ import annotations

import asyncio
import os

from services.balancer.address import Address, parse_target
from services.balancer.config import FileSource
from services.balancer.fleet.discover.source import DiscoveryError, Found
from services.balancer.settings.document import MAX_BYTES, read


class File:
    """Bad content is an error, which keeps the last good list. `[]` means no targets."""

    def __init__(self, config: FileSource) -> None:
        self.name = f"file {config.path}"
        self.interval_s = config.interval_s
        self._path = config.path
        self._seen: tuple[int, int, int] | None = None
        self._found: Found | DiscoveryError = DiscoveryError("not read yet")

    async def look(self) -> Found:
        """The present list; reads nothing while the file is the same."""
        await asyncio.to_thread(self._refresh)  # a network file system may hang
        if isinstance(self._found, DiscoveryError):
            raise DiscoveryError(*self._found.args)
        return self._found

    def _refresh(self) -> None:
        try:
            with open(self._path, "rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_size, status.st_mtime_ns)
                if seen == self._seen:
                    return
                text = file.read(MAX_BYTES + 1)
        except OSError as error:
            self._seen = None
            self._found = DiscoveryError(f"{self._path}: cannot be read: {error.strerror}")
            return
        self._seen = seen
        try:
            self._found = Found(parse_list(text, self._path))
        except DiscoveryError as error:
            self._found = error


def parse_list(text: bytes, file: str) -> frozenset[Address]:
    """The addresses of a YAML list. Raises DiscoveryError with every bad line."""
    document = read(text, file)
    if not document.problems and not isinstance(document.data, list):
        document.report((), "must be a list of addresses", "for no targets write []")
    addresses: set[Address] = set()
    for index, item in enumerate(document.data if isinstance(document.data, list) else ()):
        try:
            if not isinstance(item, str):
                raise ValueError("must be host:port")
            addresses.add(parse_target(item))
        except ValueError as error:
            document.report((index,), str(error))
    if document.problems:
        raise DiscoveryError("\n".join(map(str, document.problems)))
    return frozenset(addresses)
