"""A real registry in place of ECR's: one store, two doors.

Machines pull from it over TLS under ECR's own host name; this host's engine pushes to it on
loopback, where an engine trusts plain HTTP. Both ask for the password that the API's token holds.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
from typing import Any, Final

import docker
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.engine import EngineError, translated
from orchestrator.localcloud.containers import LABEL, OWNER, Network, archive
from orchestrator.localcloud.world import ACCOUNT

USER: Final = "AWS"
PASSWORD: Final = f"{ACCOUNT}-auth-token"  # moto's
_TLS_PORT, _PLAIN_PORT = 443, 5000
_TIMEOUT_S: Final = 5.0
_MEDIA: Final = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
_START: Final = f"""
htpasswd -Bbc /etc/registry/htpasswd {USER} {PASSWORD}
for door in plain tls; do docker-registry serve /etc/registry/$door.yml & done
wait -n
"""


class Registry:
    """The registry's container and what is in it."""

    def __init__(
        self, engine: docker.DockerClient, image: str, network: Network, region: str
    ) -> None:
        self.host = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"
        key, self.certificate = _certificate(self.host)
        files = {
            "/etc/registry/key.pem": key,
            "/etc/registry/cert.pem": self.certificate,
            "/etc/registry/tls.yml": _config(_TLS_PORT, tls=True),
            "/etc/registry/plain.yml": _config(_PLAIN_PORT, tls=False),
        }
        with translated("starting the registry"):
            container = engine.containers.create(
                image,
                ["bash", "-c", _START],
                name=f"{network.name}-registry",
                labels={LABEL: "registry", OWNER: network.name},
                network=network.name,
                ports={f"{_PLAIN_PORT}/tcp": ("127.0.0.1", 0)},
                init=True,
            )
            container.put_archive("/", archive(files))
            container.start()
            container.reload()
        settings: dict[str, Any] = container.attrs["NetworkSettings"]
        self.address = str(settings["Networks"][network.name]["IPAddress"])
        port = settings["Ports"][f"{_PLAIN_PORT}/tcp"][0]["HostPort"]
        self.push_host = f"127.0.0.1:{port}"
        self._http = httpx.Client(
            base_url=f"http://{self.push_host}/v2/", auth=(USER, PASSWORD), timeout=_TIMEOUT_S
        )

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository; none of one that nothing was pushed to."""
        answer = self._get(f"{repository}/tags/list")
        return [] if answer is None else sorted(answer.json().get("tags") or ())

    def manifest(self, repository: str, tag: str) -> tuple[str, str, str] | None:
        """Digest, media type and text of what a tag names."""
        answer = self._get(f"{repository}/manifests/{tag}", {"Accept": _MEDIA})
        if answer is None:
            return None
        return (
            answer.headers["Docker-Content-Digest"],
            answer.headers["Content-Type"],
            answer.text,
        )

    def close(self) -> None:
        """Give up the connections; the container is removed with all others."""
        self._http.close()

    def _get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response | None:
        try:
            answer = self._http.get(path, headers=headers)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            return answer.raise_for_status()
        except httpx.HTTPError as error:
            raise EngineError(f"the registry does not answer: {error}") from error


def _config(port: int, *, tls: bool) -> str:
    http: dict[str, Any] = {"addr": f":{port}"}
    if tls:
        http["tls"] = {"certificate": "/etc/registry/cert.pem", "key": "/etc/registry/key.pem"}
    return json.dumps(  # YAML, too
        {
            "version": 0.1,
            "log": {"accesslog": {"disabled": True}, "level": "warn"},
            # No cache of descriptors: the two doors write to one store.
            "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
            "auth": {"htpasswd": {"realm": "ecr", "path": "/etc/registry/htpasswd"}},
            "http": http,
        }
    )


def _certificate(host: str) -> tuple[str, str]:
    """A key and a certificate that signs itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "steelyard local cloud")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(host), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()
