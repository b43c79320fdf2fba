"""Who am I: field by field the environment, then IMDSv2, then the hostname.

IMDSv2 (EC2 instance metadata service, version 2) is asked at start only: a PUT for a session token,
then one GET for each field that the environment leaves open. Where there is no such service the
first call fails or times out after 0.3 s, and nothing more is asked.
"""

from __future__ import annotations

import http.client
import re
import socket
import urllib.parse
from dataclasses import asdict, dataclass
from typing import Final

from services.contract import TAG_CLUSTER
from services.worker.settings import Settings

IMDS_TIMEOUT_S: Final = 0.3
IMDS_TOKEN_TTL_S: Final = 60
IMDS_MAX_ANSWER_BYTES: Final = 1024
UNKNOWN_CLUSTER: Final = "unknown"

# What may stand in a header, a metric label and a log line without escapes.
_PLAIN = re.compile(r"[\x21-\x7e]{1,256}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What every answer of this worker says of itself."""

    instance_id: str
    cluster: str
    hostname: str
    private_ip: str

    def as_dict(self) -> dict[str, str]:
        """Return the fields as JSON-ready strings."""
        return asdict(self)


class MetadataService:
    """A client of IMDSv2 at `endpoint` (http://host[:port]); blocking, for the start only."""

    def __init__(self, endpoint: str, timeout_s: float = IMDS_TIMEOUT_S) -> None:
        parts = urllib.parse.urlsplit(endpoint)
        self._address = (parts.hostname or "", parts.port or 80)
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._token: str | None = None
        self._absent = False

    def get(self, path: str) -> str:
        """Return the metadata under /latest/meta-data/`path`, "" when there is none.

        Errors: none are raised. No service, a time-out or nonsense all mean "not known", and after
        a failure to connect the service is taken to be absent and not asked again.
        """
        if self._absent:
            return ""
        if self._token is None:
            token = self._call(
                "PUT",
                "/latest/api/token",
                {"X-aws-ec2-metadata-token-ttl-seconds": str(IMDS_TOKEN_TTL_S)},
            )
            if not token:
                self._absent = True
                return ""
            self._token = token
        return self._call(
            "GET", f"/latest/meta-data/{path}", {"X-aws-ec2-metadata-token": self._token}
        )

    def _call(self, method: str, path: str, headers: dict[str, str]) -> str:
        host, port = self._address
        connection = http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        try:
            connection.request(method, self._prefix + path, headers=headers)
            answer = connection.getresponse()
            text = answer.read(IMDS_MAX_ANSWER_BYTES).decode("ascii", "replace").strip()
        except (OSError, http.client.HTTPException, ValueError):
            self._absent = True
            return ""
        finally:
            connection.close()
        return text if answer.status == 200 and _PLAIN.fullmatch(text) else ""


def first_interface_ip() -> str:
    """Return the address that packets to the outside would carry, or the loopback address.

    Connecting a UDP socket sends nothing; it only asks the routing table. Where there is no way
    out (a container on an internal network) the address of the host's own name is the one.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            pass
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def find_identity(settings: Settings) -> Identity:
    """Return who this worker is. Blocks for about a second at most; never fails."""
    hostname = socket.gethostname()
    imds = MetadataService(settings.imds_endpoint) if settings.imds == "1" else None

    def ask(path: str) -> str:
        return imds.get(path) if imds is not None else ""

    return Identity(
        instance_id=settings.instance_id or ask("instance-id") or hostname,
        cluster=settings.cluster or ask(f"tags/instance/{TAG_CLUSTER}") or UNKNOWN_CLUSTER,
        hostname=hostname,
        private_ip=settings.private_ip or ask("local-ipv4") or first_interface_ip(),
    )
