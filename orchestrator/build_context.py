"""What goes into an image: a room's files, their digest, and the commit that they come from.

The context is put together here, file by file, rather than sent from a directory: an image can hold
only its own room, and the same files give the same digest on every machine.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orchestrator.engine import EngineError

SHARED_FILES: Final = ("services/__init__.py", "services/contract.py")
# What compiles the balancer's hot modules in a stage of their own.
ALSO_FOR: Final = {"balancer": ("locks/compile.txt", "orchestrator/compiled.py")}
CA_FILE: Final = "ca.crt"
NOT_CODE: Final = frozenset({"__pycache__", "Dockerfile"})
UNKNOWN_REVISION: Final = "unknown"
GIT_TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """The files of one build, by their path in the repository; `Dockerfile` is the room's own."""

    room: str
    dockerfile: bytes
    files: tuple[tuple[str, bytes], ...]  # sorted by path
    ca: bytes | None = field(default=None, repr=False)  # PEM bundle for pip; never in the image

    def digest(self, *also: str) -> str:
        """SHA-256, in hex, of every file and of `also` (base image, version). Not of the CA."""
        whole = hashlib.sha256()
        for name, data in (("Dockerfile", self.dockerfile), *self.files):
            whole.update(f"{name}\0{len(data)}\0".encode() + data)
        for word in also:
            whole.update(f"{word}\0".encode())
        return whole.hexdigest()

    def tar(self) -> io.BytesIO:
        """The context as the engine wants it; times and owners are zero, so that layers repeat."""
        buffer = io.BytesIO()
        members = [("Dockerfile", self.dockerfile), *self.files]
        if self.ca is not None:
            members.append((CA_FILE, self.ca))
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, data in members:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o644
                archive.addfile(entry, io.BytesIO(data))
        buffer.seek(0)
        return buffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an image's files come from, for its OCI annotations."""

    version: str
    revision: str  # commit; ends in "-dirty" where the room differs from it
    created: str  # RFC 3339; the commit's time, so that a rebuild says the same
    source: str  # address of the repository without credentials, or ""

    @property
    def dirty(self) -> bool:
        """Whether no commit holds just these files."""
        return self.revision.endswith("-dirty") or self.revision == UNKNOWN_REVISION


def gather(root: Path, room: str, *, ca: Path | None = None) -> BuildContext:
    """Read the files of `room` (`worker`, `balancer`) below the checkout `root`.

    `ca` is a PEM bundle for pip; without it, `ca.crt` at the root counts where there is one.

    Errors:
        EngineError: a file that the build needs is not there.
    """
    folder = root / "services" / room
    if ca is None and (root / CA_FILE).is_file():
        ca = root / CA_FILE
    code = (
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in {".pyc", ".pyo"}
        and NOT_CODE.isdisjoint(path.relative_to(folder).parts)
    )
    names = [*_beside(room), *(p.relative_to(root).as_posix() for p in code)]
    try:
        return BuildContext(
            room=room,
            dockerfile=(folder / "Dockerfile").read_bytes(),
            files=tuple((name, (root / name).read_bytes()) for name in sorted(names)),
            ca=None if ca is None else ca.read_bytes(),
        )
    except OSError as error:
        raise EngineError(
            f"the {room} image cannot be built: {error.filename}: {error.strerror}",
            "images are built from a checkout of the repository",
        ) from error


def _beside(room: str) -> tuple[str, ...]:
    return (*SHARED_FILES, f"locks/{room}.txt", *ALSO_FOR.get(room, ()))


def origin(root: Path, room: str) -> Origin:
    """What git and pyproject.toml know of the room's files; fallbacks where this is no checkout."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    revision = _git(root, "rev-parse", "HEAD")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git(root, "log", "-1", "--format=%ct") or "0"
    if revision:
        paths = [*_beside(room), f"services/{room}"]
        if _git(root, "status", "--porcelain", "--", *paths):
            revision += "-dirty"
    return Origin(
        version=project["version"],
        revision=revision or UNKNOWN_REVISION,
        created=datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        source=public_address(_git(root, "remote", "get-url", "origin")),
    )


def public_address(remote: str) -> str:
    """A remote's web address without user and password; "" for a path or another scheme."""
    parts = urlsplit(remote)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _git(root: Path, *words: str) -> str:
    """What git prints, or "" where there is no git, no repository or no such thing in it."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
