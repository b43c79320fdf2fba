"""Who am I: a real metadata service on the loopback, absent ones, and the order per field."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.contract import TAG_CLUSTER
from services.worker.identity import (
    UNKNOWN_CLUSTER,
    MetadataService,
    find_identity,
    first_interface_ip,
)
from services.worker.settings import Settings, read_settings

TOKEN = "made-up-token"


@dataclass
class FakeImds:
    """IMDSv2 as far as we use it: a token by PUT, data only with the token."""

    endpoint: str = ""
    data: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    delay_s: float = 0.0


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    fake = FakeImds(
        data={
            "instance-id": "i-0abc",
            "local-ipv4": "172.31.0.7",
            f"tags/instance/{TAG_CLUSTER}": "cluster2",
        }
    )

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_PUT(self) -> None:
            fake.asked.append(self.path)
            ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            self.answer(200 if ttl.isdecimal() else 400, TOKEN)

        def do_GET(self) -> None:
            fake.asked.append(self.path)
            if fake.delay_s:
                time.sleep(fake.delay_s)  # the slow server that the test is about
                return  # nobody waits any more
            if self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
                self.answer(401, "Unauthorized")
                return
            value = fake.data.get(self.path.removeprefix("/latest/meta-data/"))
            self.answer(404 if value is None else 200, value or "Not Found")

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


def settings_for(fake: FakeImds, **environ: str) -> Settings:
    return read_settings({"AWS_EC2_METADATA_SERVICE_ENDPOINT": fake.endpoint, **environ})


def test_the_metadata_service_says_who_i_am(imds: FakeImds) -> None:
    identity = find_identity(settings_for(imds))
    assert identity.instance_id == "i-0abc"
    assert identity.cluster == "cluster2"
    assert identity.private_ip == "172.31.0.7"
    assert imds.asked.count("/latest/api/token") == 1


def test_the_environment_comes_first_field_by_field(imds: FakeImds) -> None:
    identity = find_identity(settings_for(imds, INSTANCE_ID="mine", PRIVATE_IP="10.0.0.1"))
    assert (identity.instance_id, identity.cluster) == ("mine", "cluster2")
    assert identity.private_ip == "10.0.0.1"
    assert "/latest/meta-data/instance-id" not in imds.asked


def test_what_the_service_does_not_know_falls_back(imds: FakeImds) -> None:
    imds.data = {"instance-id": "two words"}  # nonsense counts as not known
    identity = find_identity(settings_for(imds))
    assert identity.instance_id == identity.hostname == socket.gethostname()
    assert identity.cluster == UNKNOWN_CLUSTER
    assert identity.private_ip.count(".") == 3


@pytest.mark.parametrize("switch", [{"IMDS": "0"}, {"AWS_EC2_METADATA_DISABLED": "true"}])
def test_it_can_be_switched_off(imds: FakeImds, switch: dict[str, str]) -> None:
    assert find_identity(settings_for(imds, **switch)).instance_id == socket.gethostname()
    assert imds.asked == []


def test_a_silent_service_is_asked_once_and_briefly(imds: FakeImds) -> None:
    service = MetadataService(imds.endpoint, timeout_s=0.2)
    assert service.get("instance-id") == "i-0abc"
    imds.delay_s = 0.5
    assert service.get("local-ipv4") == ""
    assert service.get("instance-id") == ""
    assert imds.asked.count("/latest/meta-data/instance-id") == 1


def test_a_refused_connection_is_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = read_settings({"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port}"})
    assert find_identity(settings).instance_id == socket.gethostname()


class NoWayOut(socket.socket):
    """A host without a default route, as on a container engine's internal network."""

    def connect(self, address: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")


def test_without_a_way_out_the_address_is_the_host_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", NoWayOut)
    monkeypatch.setattr(socket, "gethostname", lambda: "c0ffee")
    monkeypatch.setattr(socket, "gethostbyname", {"c0ffee": "172.18.0.7"}.__getitem__)
    assert first_interface_ip() == "172.18.0.7"
