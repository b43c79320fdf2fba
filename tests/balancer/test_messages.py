"""Frames: whatever is said arrives as it was said, however the stream is cut."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import (
    ClusterConfig,
    Config,
    DnsSource,
    PolicySpec,
    Respond,
    RouteConfig,
    TargetSource,
)
from services.balancer.messages import (
    MAX_FRAME_BYTES,
    Configure,
    Drain,
    FrameReader,
    Health,
    Membership,
    Message,
    ProbeResult,
    Probes,
    Processes,
    ProcessPicture,
    Ready,
    ReloadRequest,
    ReloadResult,
    TargetPicture,
    encode,
)

CONFIG = Config(
    clusters=(
        ClusterConfig(
            name="cluster1",
            targets=(
                TargetSource(static=("127.0.0.1:9101",)),
                TargetSource(dns=DnsSource(name="worker", port=8000)),
            ),
            policy=PolicySpec(name="p2c", params={"a": 1, "b": 0.5, "c": "x"}),
        ),
    ),
    routes=(
        RouteConfig(path="/cluster1", cluster="cluster1", headers={"X-A": "1"}),
        RouteConfig(path="/", exact=True, respond=Respond(text="ok")),
    ),
    trusted_proxies=("10.0.0.0/8",),
)

pictures = st.builds(
    TargetPicture,
    id=st.text(max_size=30),
    cluster=st.text(max_size=10),
    host=st.ip_addresses().map(str),
    port=st.integers(1, 65_535),
    slot=st.integers(0, 16_383),
    weight=st.integers(0, 256),
    health=st.sampled_from(Health),
    draining=st.booleans(),
)
numbers = st.integers(0, 2**53)
seconds = st.floats(0, 1e6)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Membership,
        version=numbers,
        full=st.booleans(),
        last=st.booleans(),
        upserts=st.lists(pictures, max_size=3).map(tuple),
        removes=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    ),
    st.builds(
        Probes,
        results=st.lists(
            st.builds(
                ProbeResult,
                id=st.text(max_size=9),
                latency_s=st.none() | seconds,
                pending=st.none() | seconds,
                cpu=st.none() | st.floats(0, 1),
            ),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(Configure, config=st.just(CONFIG), version=numbers),
    st.builds(Drain, deadline_s=seconds),
    st.builds(Ready, pid=numbers),
    st.builds(ReloadRequest, id=numbers),
    st.builds(
        ReloadResult,
        id=numbers,
        version=numbers,
        problems=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    ),
    st.builds(
        Processes,
        processes=st.lists(
            st.builds(
                ProcessPicture, row=numbers, pid=numbers, ready=st.booleans(), restarts=numbers
            ),
            max_size=3,
        ).map(tuple),
    ),
)


@given(st.lists(messages, max_size=6), st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(
    said: list[Message], data: st.DataObject
) -> None:
    stream = b"".join(map(encode, said))
    reader = FrameReader()
    heard: list[Message] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        heard += reader.feed(stream[:size])
        stream = stream[size:]
    assert heard == said


def test_the_whole_configuration_survives() -> None:
    (heard,) = FrameReader().feed(encode(Configure(config=CONFIG, version=3)))
    assert heard == Configure(config=CONFIG, version=3)


@pytest.mark.parametrize(
    "frame",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\0\0\0\0",
        b"\0\0\0\1\xc1",
        b"\0\0\0\x0e\x81\xa4type\xa7unknown",
        encode(Ready(pid=1)).replace(b"\xa3pid", b"\xa3did"),
    ],
)
def test_what_is_no_message_is_an_error(frame: bytes) -> None:
    reader = FrameReader()
    assert reader.feed(encode(Ready(pid=1))) == [Ready(pid=1)]
    with pytest.raises(ValueError, match=r".") as caught:
        reader.feed(frame)
    assert isinstance(caught.value, (ValueError, msgspec.ValidationError))
