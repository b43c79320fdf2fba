"""Whether a local cloud is there: one that is busy is, one whose port is closed is not."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path

import pytest

from orchestrator.localcloud import attach
from orchestrator.localcloud.standing import FILE, Standing


def test_one_that_is_busy_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one would begin by ending its machines."""
    monkeypatch.setattr(attach, "_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        known = Standing(
            pid=os.getpid(),
            endpoint=f"http://127.0.0.1:{port}",
            region="eu-west-1",
            scale=10.0,
            image="x",
        )
        (tmp_path / FILE).write_text(json.dumps(dataclasses.asdict(known)))
        assert attach.standing(tmp_path) == known
    assert attach.standing(tmp_path) is None, "its port is closed"
