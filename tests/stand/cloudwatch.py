"""An endpoint that takes PutMetricData as botocore sends it, and one that answers nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


class Endpoint:
    """Keeps every datum. `status` is answered with; 200 takes the data, all else refuses it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.calls = 0
        self.data: list[dict[str, Any]] = []

    def sum(self, name: str, **dimensions: str) -> float:
        """All values of the metric with exactly these dimensions."""
        return float(sum(datum["Value"] for datum in self.named(name, **dimensions)))

    def named(self, name: str, **dimensions: str) -> list[dict[str, Any]]:
        """All data of the metric with exactly these dimensions."""
        return [
            datum
            for datum in list(self.data)
            if datum["MetricName"] == name
            and {d["Name"]: d["Value"] for d in datum["Dimensions"]} == dimensions
        ]


def environment(port: int, folder: Path) -> dict[str, str]:
    """For a process that is to take loopback for CloudWatch, and nobody's credentials."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Answers for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            made.calls += 1
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if made.status == 200:
                made.data += _data(json.loads(body), str(self.headers["x-amz-target"]))
            self.send_response(made.status)
            self.send_header("content-type", "application/x-amz-json-1.0")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Endpoint(server.server_address[1])
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _data(call: dict[str, Any], operation: str) -> list[dict[str, Any]]:
    if not operation.endswith(".PutMetricData"):
        raise ValueError(operation)
    data: list[dict[str, Any]] = call["MetricData"]
    return data
