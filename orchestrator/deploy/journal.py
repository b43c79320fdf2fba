"""What was begun and what was finished, one JSON object a line, on the disk before AWS is asked.

    {"at": 1760000000.0, "phase": "before", "action": "create", "kind": "address", ...}
    {"at": 1760000001.0, "phase": "after",  "action": "create", ..., "id": "eipalloc-..."}

A "before" without its "after" is a call whose outcome nobody knows: its token is used again, so
that AWS makes the thing once. {"phase": "empty"} says that all before it is proved to be gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from orchestrator.aws.errors import CloudError
from orchestrator.deploy.resource import Key

Entry = dict[str, Any]


class Journal:
    """An append-only file, held by one run at a time, written by any of its threads.

    Errors:
        CloudError: the file cannot be written, or another run holds it.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._file: TextIO
        self._writing = threading.Lock()
        self._entries: list[Entry] = []

    def __enter__(self) -> Journal:
        place = f"journal {self.path}"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+", encoding="utf-8")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise CloudError(place, "another run holds it", "wait until it has ended") from error
        except OSError as error:
            raise CloudError(place, error.strerror or str(error)) from error
        self._file.seek(0)
        text = self._file.read()
        self._entries = list(_entries(text))
        if text and not text.endswith("\n"):  # the disk was full, or the power went
            self._file.write("\n")
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._file.close()

    def token(self, key: Key, digest: str, fresh: Callable[[], str]) -> str:
        """The token of an unfinished creation of the same thing, else a fresh one."""
        for entry in self._open("create"):
            if (_key(entry), entry.get("digest")) == (key, digest):
                return str(entry["token"])
        return fresh()

    @contextmanager
    def around(self, action: str, key: Key, **more: Any) -> Iterator[Entry]:
        """Note `action` before and after the block, which may put the id into what it gets."""
        entry = {"action": action, "kind": key.kind, "name": key.name, **more}
        self._write({"phase": "before", **entry})
        yield entry
        self._write({"phase": "after", **entry})

    def adopt(self, key: Key, ident: str) -> None:
        """An unfinished creation turns out to have been made."""
        if key in self.unfinished:
            self._write(
                {"phase": "after", "action": "create", "kind": key.kind, "name": key.name}
                | {"id": ident}
            )

    def empty(self) -> None:
        """All that was noted is gone."""
        self._write({"phase": "empty"})

    @property
    def unfinished(self) -> list[Key]:
        """Things whose creation was begun, its outcome unknown."""
        return [_key(entry) for entry in self._open("create")]

    @property
    def standing(self) -> dict[str, Key]:
        """Things that were made and not deleted, by id."""
        ids: dict[str, Key] = {}
        for entry in self._since_empty():
            if entry["phase"] != "after" or "id" not in entry:
                continue
            if entry["action"] == "create":
                ids[entry["id"]] = _key(entry)
            elif entry["action"] == "delete":
                ids.pop(entry["id"], None)
        return ids

    def _open(self, action: str) -> list[Entry]:
        """The last "before" of each thing that has no "after"."""
        begun: dict[Key, Entry] = {}
        for entry in self._since_empty():
            if entry["action"] == action and entry["phase"] == "before":
                begun[_key(entry)] = entry
            elif entry["phase"] == "after" and entry["action"] in (action, "delete"):
                begun.pop(_key(entry), None)
        return list(begun.values())

    def _since_empty(self) -> list[Entry]:
        with self._writing:
            entries = list(self._entries)
        empties = [i for i, entry in enumerate(entries) if entry["phase"] == "empty"]
        return entries[empties[-1] + 1 if empties else 0 :]

    def _write(self, entry: Entry) -> None:
        entry = {"at": self._clock(), **entry}
        try:
            with self._writing:
                self._entries.append(entry)
                self._file.write(json.dumps(entry) + "\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            raise CloudError(f"journal {self.path}", error.strerror or str(error)) from error


def _entries(text: str) -> Iterator[Entry]:
    """Whole lines; a torn one is the last thing that a run did, and says nothing."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and "phase" in entry:
            yield entry


def _key(entry: Entry) -> Key:
    return Key(entry["kind"], entry["name"])
