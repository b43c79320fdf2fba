"""What the supervisor and its children say to each other, and how it is framed.

One Unix stream socket joins each child to the supervisor. A frame is a 4-byte big-endian length and
that many bytes of MessagePack. Every message is a frozen struct, tagged with its name.

    control plane -> supervisor -> every data plane:   Membership, Probes
    supervisor -> every child:                         Configure, Drain
    any child -> supervisor:                           Ready
    control plane -> supervisor:                       ReloadRequest
    supervisor -> control plane:                       ReloadResult, Processes

Membership travels in slices of at most SLICE targets, so that applying one never holds the data
plane for more than a moment. A *full* picture is a run of slices with `full` set, the final one
with `last` set too: targets not named in the run are gone. A slice without `full` is a difference.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from services.balancer.config import Config

SLICE: Final = 16
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024


class Health(enum.StrEnum):
    """What the control plane has seen of a target."""

    UNKNOWN = "unknown"  # discovered, not checked yet: gets no requests
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class TargetPicture(msgspec.Struct, frozen=True, kw_only=True):
    """One target as the control plane sees it.

    `slot` is its column in the ledger, unique among all clusters' targets and not given to another
    target until every data-plane process has dropped this one.
    """

    id: str  # "<cluster>/<host>:<port>"
    cluster: str
    host: str  # an IP address
    port: int
    slot: int
    weight: int = 1
    weighed: bool = False  # by hand: what a source says of its weight does not count
    health: Health = Health.UNKNOWN
    draining: bool = False
    cut: bool = False  # the drain has lasted too long: end what is pending


class Membership(msgspec.Struct, frozen=True, kw_only=True, tag="membership"):
    """A slice of the fleet's picture; see the module's docstring."""

    version: int
    full: bool
    last: bool
    upserts: tuple[TargetPicture, ...] = ()
    removes: tuple[str, ...] = ()  # target ids; only in differences


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """The last probe of one target; latency is None when it failed."""

    id: str
    latency_s: float | None
    pending: float | None = None  # as the target itself reports it
    cpu: float | None = None  # 0..1
    cloudwatch_cpu: float | None = None  # 0..1, if it is asked


class Probes(msgspec.Struct, frozen=True, kw_only=True, tag="probes"):
    """Fresh probe results, at most SLICE of them."""

    results: tuple[ProbeResult, ...]


class Configure(msgspec.Struct, frozen=True, kw_only=True, tag="configure"):
    """The validated configuration: the first message to every child, and again at each reload."""

    config: Config
    version: int
    columns: dict[str, int] = {}  # of the clusters' counts in the ledger, by name


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """Stop accepting, finish what is pending within the time given, then exit 0.

    Idle clients may stay for `linger_s` more: whoever asks something is answered and sees a close.
    """

    deadline_s: float
    linger_s: float = 0.0


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The child serves (data plane: it has a full picture; control plane: its API answers)."""

    pid: int


class ReloadRequest(msgspec.Struct, frozen=True, kw_only=True, tag="reload"):
    """The admin API asks for a reload; the supervisor answers with ReloadResult."""

    id: int


class ReloadResult(msgspec.Struct, frozen=True, kw_only=True, tag="reloaded"):
    """`problems` is empty when the new configuration is in force; else the old one stays."""

    id: int
    version: int
    problems: tuple[str, ...] = ()


class ProcessPicture(msgspec.Struct, frozen=True, kw_only=True):
    """One data-plane process as the supervisor sees it."""

    row: int  # its row in the ledger
    pid: int
    ready: bool
    restarts: int


class Processes(msgspec.Struct, frozen=True, kw_only=True, tag="processes"):
    """The data-plane processes, sent to the control plane whenever one changes."""

    processes: tuple[ProcessPicture, ...]


Message = Membership | Probes | Configure | Drain | Ready | ReloadRequest | ReloadResult | Processes

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One frame, length included."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Cuts a byte stream into messages; feed it what was read, take what is complete.

    Raises ValueError (also msgspec.ValidationError, its child) on a frame that cannot be one of
    ours: the peer is broken and the connection is of no further use.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def add(self, data: bytes) -> None:
        """Bytes that were read."""
        self._buffer += data

    @property
    def ready(self) -> bool:
        """A whole frame is there, or what cannot become one."""
        buffer = self._buffer
        return len(buffer) >= 4 and (
            len(buffer) - 4 >= (size := self._size()) or size > MAX_FRAME_BYTES
        )

    def next(self) -> Message | None:
        """The first message that is whole; None while none is."""
        if not self.ready:
            return None
        buffer, size = self._buffer, self._size()
        if size > MAX_FRAME_BYTES:
            raise ValueError(f"frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}")
        message = _decoder.decode(bytes(buffer[4 : 4 + size]))
        del buffer[: 4 + size]  # moves nothing: a bytearray's start can be moved
        return message

    def feed(self, data: bytes) -> list[Message]:
        """All the messages that `data` completes, in order."""
        self.add(data)
        return list(iter(self.next, None))

    def _size(self) -> int:
        return int.from_bytes(self._buffer[:4], "big")
