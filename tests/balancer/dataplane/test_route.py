"""Routing against a naive reader of the same rules, and the corners by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.config import RouteConfig
from services.balancer.dataplane.route import Router

steady = settings(derandomize=True, deadline=None, max_examples=400)

# -- the naive reader ------------------------------------------------------------------------------


def lines_of(section: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a section, names in lower case."""
    for line in section.decode("latin-1").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        yield name.lower(), value.strip(" \t")


def host_rank(wanted: str | None, host: str | None) -> int | None:
    """How well a route's host fits: more is better; None: not at all."""
    if wanted is None:
        return 0
    if host is None:
        return None
    name = host.lower().rsplit(":", 1)[0].rstrip(".") if ":" in host else host.lower().rstrip(".")
    if wanted.startswith("*."):
        fits = name.endswith(wanted[1:].lower()) and len(name) >= len(wanted)
        return len(wanted) if fits else None
    return 10_000 if name == wanted.lower() else None


def path_rank(config: RouteConfig, path: str) -> int | None:
    """How well a route's path fits."""
    if config.exact:
        return 10_000 if path == config.path else None
    wanted = [part for part in [config.path.rstrip("/")] if part]
    if not wanted:
        return 0
    fits = path == wanted[0] or path.startswith(wanted[0] + "/")
    return len(wanted[0]) if fits else None


def naive(
    configs: list[RouteConfig], target: str, host: str | None, section: bytes
) -> RouteConfig | None:
    """The best of all routes that fit, by looking at each."""
    path = target.partition("?")[0]
    best: tuple[tuple[int, int, int], RouteConfig] | None = None
    for config in configs:
        by_host = host_rank(config.host, host)
        by_path = path_rank(config, path)
        present = set(lines_of(section))
        meets = all((name.lower(), value) in present for name, value in config.headers.items())
        if by_host is None or by_path is None or not meets:
            continue
        rank = (by_host, by_path, len(config.headers))
        if best is None or rank > best[0]:
            best = (rank, config)
    return best[1] if best else None


segments = st.lists(st.sampled_from(("a", "b", "ab", "")), max_size=4)
paths = segments.map(lambda parts: "/" + "/".join(parts))
hosts = st.sampled_from((None, None, "x.org", "a.x.org", "*.x.org", "*.a.x.org", "*.org", "X.ORG"))
asked_hosts = st.sampled_from(
    (
        *(None, "", "x.org", "A.x.org", "b.a.x.org", "x.org:80", "a.X.org.:8000", "org", "yx.org"),
        *("x.org.", "a.x.org:", "x.orgs", "[::1]:80"),
    )
)
conditions = st.dictionaries(
    st.sampled_from(("X-A", "x-b")), st.sampled_from(("1", "2", "a.c")), max_size=2
)
routes = st.builds(RouteConfig, path=paths, exact=st.booleans(), host=hosts, headers=conditions)
sections = st.lists(
    st.sampled_from(
        (b"X-A: 1", b"x-a:2\t ", b"X-B: 1", b"X-B:abc", b"X-B: a.c", b"XX-A: 1", b"X-A: 11")
    ),
    max_size=3,
    unique=True,
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))
queries = st.sampled_from(("", "", "?", "?a=/a/b", "?/a?b"))


@given(st.lists(routes, max_size=8), paths, queries, asked_hosts, sections)
@steady
def test_agrees_with_a_naive_reader(
    configs: list[RouteConfig], path: str, query: str, host: str | None, section: bytes
) -> None:
    """The indexed look-up finds what looking at every route finds (of equals, the first)."""
    seen = set()
    unequal = []  # the file may not hold two routes that match the same
    for config in configs:
        key = (
            (config.host or "").lower(),
            config.path if config.exact else config.path.rstrip("/"),
            config.exact,
            len(config.headers),
        )
        if key not in seen:
            seen.add(key)
            unequal.append(config)
    router = Router([(config, config) for config in unequal])
    found = router.find(
        (path + query).encode(), host.encode() if host is not None else None, section
    )
    assert (found.destination if found else None) == naive(unequal, path + query, host, section)


# -- by hand ---------------------------------------------------------------------------------------


def find(
    configs: list[RouteConfig], target: bytes, host: bytes | None = None, section: bytes = b""
) -> str | None:
    """The name of the cluster that a request goes to."""
    route = Router([(config, config.cluster) for config in configs]).find(target, host, section)
    return route.destination if route else None


def to(cluster: str, path: str = "/", **more: object) -> RouteConfig:
    """A route to a cluster."""
    return RouteConfig(path=path, cluster=cluster, **more)  # type: ignore[arg-type] # by keyword


SHIPPED: Final = [to("one", "/cluster1"), to("two", "/cluster2"), to("root", "/", exact=True)]


@pytest.mark.parametrize(
    ("target", "cluster"),
    [
        (b"/cluster1", "one"),
        (b"/cluster1/", "one"),
        (b"/cluster1/a/b", "one"),
        (b"/cluster1//a", "one"),
        (b"/cluster1?a=b", "one"),
        (b"/cluster1?/cluster2", "one"),
        (b"/cluster2/?", "two"),
        (b"/", "root"),
        (b"/?a", "root"),
        (b"/cluster11", None),
        (b"/cluster", None),
        (b"/Cluster1", None),
        (b"/%63luster1", None),
        (b"//cluster1", None),
        (b"/a/cluster1", None),
        (b"//", None),
        (b"/?/cluster1", "root"),
        (b"*", None),
    ],
    ids=lambda x: x.decode() if isinstance(x, bytes) else str(x),
)
def test_whole_segments_byte_for_byte(target: bytes, cluster: str | None) -> None:
    """RFC 3986, 3.3: a path is segments; nothing is decoded, nothing normalized."""
    assert find(SHIPPED, target) == cluster


def test_a_condition_beats_the_same_path_without_one() -> None:
    """The short way for a path that is a route's own does not pass by what is more specific."""
    configs = [to("plain", "/a"), to("canary", "/a", headers={"X-Canary": "1"})]
    for order in (configs, configs[::-1]):
        assert find(order, b"/a", None, b"X-Canary: 1\r\n") == "canary"
        assert find(order, b"/a", None, b"X-Canary: 2\r\n") == "plain"
        assert find(order, b"/a/b", None, b"x-canary:1\r\n") == "canary"


def test_an_exact_route_that_is_not_met_gives_way() -> None:
    """Exact with a condition, then the prefix, then a shorter prefix."""
    configs = [
        to("exact", "/a", exact=True, headers={"X": "1"}),
        to("prefix", "/a", headers={"Y": "1"}),
        to("all", "/"),
    ]
    assert find(configs, b"/a", None, b"X: 1\r\nY: 1\r\n") == "exact"
    assert find(configs, b"/a", None, b"Y: 1\r\n") == "prefix"
    assert find(configs, b"/a/b", None, b"X: 1\r\nY: 1\r\n") == "prefix"
    assert find(configs, b"/a") == "all"


def test_a_trailing_slash() -> None:
    """A prefix is the same with and without it; an exact path is not."""
    assert find([to("x", "/a/")], b"/a") == "x"
    assert find([to("x", "/a")], b"/a/") == "x"
    assert find([to("x", "/a/", exact=True)], b"/a/") == "x"
    assert find([to("x", "/a/", exact=True)], b"/a") is None
    assert find([to("x", "/a", exact=True)], b"/a/") is None


@pytest.mark.parametrize(
    ("line", "meets"),
    [
        (b"X-A: a.c", True),
        (b"x-a:\t a.c \t", True),
        (b"X-A:a.c", True),
        (b"X-A: abc", False),
        (b"X-A: A.C", False),
        (b"X-A: a.c, d", False),
        (b"X-A:", False),
        (b"XX-A: a.c", False),
        (b"X-B: X-A: a.c", False),
    ],
)
def test_a_condition_is_a_whole_line(line: bytes, meets: bool) -> None:
    """Name in any case, value exactly; wherever the line stands."""
    configs = [to("x", headers={"X-A": "a.c"})]
    for section in (b"%b\r\n", b"Host: a\r\n%b\r\n", b"%b\r\nHost: a\r\n"):
        assert (find(configs, b"/", None, section % line) == "x") is meets


def test_an_empty_value_as_a_condition() -> None:
    """The field is there and says nothing."""
    configs = [to("x", headers={"X-A": ""})]
    assert find(configs, b"/", None, b"X-A: \r\n") == "x"
    assert find(configs, b"/", None, b"X-A: 1\r\n") is None


@pytest.mark.parametrize(
    ("host", "cluster"),
    [
        (None, "any"),
        (b"", "any"),
        (b"x.org", "exact"),
        (b"X.Org:8080", "exact"),
        (b"x.org.", "exact"),
        (b"a.x.org", "near"),
        (b"b.a.x.org", "near"),
        (b"y.org", "far"),
        (b"org", "any"),
        (b"x.org.evil", "any"),
        (b"[::1]", "six"),
        (b"[::1]:80", "six"),
        (b"::1", "any"),
        (b"[::2]:80", "any"),
    ],
)
def test_hosts(host: bytes | None, cluster: str) -> None:
    """Exact, then the longest wildcard, then any; without a port, in any case."""
    configs = [
        to("any"),
        to("far", host="*.org"),
        to("near", host="*.x.org"),
        to("exact", host="x.org"),
        to("six", host="::1"),
    ]
    for order in (configs, configs[::-1]):
        assert find(order, b"/", host) == cluster


def test_a_host_without_a_fitting_path_leaves_it_to_the_next() -> None:
    """A host's routes come first, but do not shut out the others."""
    configs = [to("any", "/a"), to("host", "/b", host="x.org"), to("wild", "/c", host="*.org")]
    assert [find(configs, path, b"x.org") for path in (b"/a", b"/b", b"/c", b"/d")] == [
        *("any", "host", "wild", None)
    ]


def test_no_routes() -> None:
    """Nothing matches nothing."""
    assert find([], b"/a/b", b"x.org") is None


class Counted(dict[bytes, object]):
    """A table that counts how often it is asked."""

    asked = 0

    def get(self, key: bytes, default: object = None) -> object:
        """Count, and find."""
        self.asked += 1
        return super().get(key, default)


def test_a_hostile_path_or_host_is_not_looked_up_part_by_part() -> None:
    """A long run of slashes or dots costs as many look-ups as there can be routes for it."""
    router = Router([(to("x", "/a/b"), 1), (to("y", host="x.org"), 2)])
    tables = router._hosts  # the work done shows nowhere else
    counted = Counted(tables)
    router._hosts = counted  # type: ignore[assignment] # counts
    inner = Counted(tables[b""])
    router._any_host = inner  # type: ignore[assignment] # counts
    assert router.find(b"/c" + b"/" * 8000, b"a." * 8000, b"") is None
    assert counted.asked == 0
    assert inner.asked <= 6


def test_routes_of_one_path_are_tried_most_specific_first() -> None:
    """Shown by their names, for logs."""
    configs = [to("a", "/a"), to("b", "/a", exact=True), to("c", "/a", headers={"X": "1"})]
    found = Router([(config, config.cluster) for config in configs]).find(b"/a", None, b"")
    assert repr(found) == "<Route /a exact>"
    ranks = [find(configs[:n], b"/a") for n in (1, 2, 3)]
    assert list(pairwise(ranks)) == [("a", "b"), ("b", "b")]
