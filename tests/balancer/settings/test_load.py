"""The whole way from text to Config, and every mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from services.balancer import settings
from services.balancer.config import (
    CloudWatch,
    ClusterConfig,
    Config,
    Ec2Source,
    FileSource,
    TargetSource,
)
from services.balancer.messages import Configure, FrameReader, encode

EXAMPLE = Path(settings.__file__).parent.parent / "balancer.example.yaml"

GOOD = """\
listen: 127.0.0.1:8000
clusters:
  - name: c1
    policy: p2c
    targets:
      - static: 127.0.0.1:9101
routes:
  - {path: /, cluster: c1}
"""


def parse(text: str | bytes, env: dict[str, str] | None = None) -> Config:
    raw = text.encode() if isinstance(text, str) else text
    return settings.parse(raw, env or {}, file="b.yaml", folder=Path("/etc"))


def problems(text: str | bytes, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(settings.ConfigError) as caught:
        parse(text, env)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_loads_and_shows_every_default() -> None:
    config = settings.load(EXAMPLE, {})
    default = Config()
    assert config.timeouts == default.timeouts
    assert config.limits == default.limits
    assert (config.listen, config.admin, config.processes) == (
        "127.0.0.1:8000",
        "127.0.0.1:9900",
        1,
    )
    first = config.clusters[0]
    assert first == ClusterConfig(name="cluster1", targets=first.targets)


def test_the_example_names_every_setting() -> None:
    text = EXAMPLE.read_text()
    names = {"processes", "max_pending", "trusted_proxies", "network", "headers", "exact", "rise"}
    names |= set(Config.__dataclass_fields__) | set(ClusterConfig.__dataclass_fields__)
    names |= set(type(Config().timeouts).__dataclass_fields__)
    names |= set(type(Config().limits).__dataclass_fields__)
    assert not {name for name in names if f"{name}:" not in text}


def test_a_config_travels_as_a_message() -> None:
    message = Configure(config=settings.load(EXAMPLE, {}), version=3)
    assert FrameReader().feed(encode(message)) == [message]


def test_short_forms() -> None:
    config = parse(
        GOOD.replace("static: 127.0.0.1:9101", "file: t.yaml\n      - dns: w:80\n")
        + "processes: auto\n"
    )
    file, dns = config.clusters[0].targets
    assert file.file == FileSource(path="/etc/t.yaml")
    assert dns.dns is not None
    assert (dns.dns.name, dns.dns.port) == ("w", 80)
    assert config.processes >= 1
    assert config.clusters[0].policy.name == "p2c"


EC2 = GOOD.replace("static: 127.0.0.1:9101", "ec2: {tags: {'steelyard:cluster': c1}, port: 80}")


def test_ec2_sources_take_their_region_from_the_environment() -> None:
    wanted = Ec2Source(port=80, region="eu-west-1", tags={"steelyard:cluster": "c1"})
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        assert parse(EC2, {name: "eu-west-1"}).clusters[0].targets[0].ec2 == wanted
    text = EC2.replace("port: 80", "port: 80, region: us-east-2, address: public")
    found = parse(text, {"AWS_REGION": "eu-west-1"}).clusters[0].targets[0].ec2
    assert found is not None
    assert (found.region, found.address) == ("us-east-2", "public")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (EC2, "targets[0].ec2: 'region' is missing; write it, or set AWS_REGION"),
        (EC2.replace("port: 80", "port: 80, region: eu-west-1a"), "ec2.region: 'eu-west-1a' is"),
        (EC2.replace("port: 80", "port: 0, region: eu-west-1"), "ec2.port: must be 1 to 65535"),
        (EC2.replace("tags: {'steelyard:cluster': c1}", "region: eu-west-1"), "needs tags, a gr"),
        (EC2.replace("port: 80", "port: 80, region: eu-west-1, address: ipv6"), "'private' or 'pu"),
        (EC2.replace("port: 80", "port: 80, region: eu-west-1, groop: g"), "did you mean 'group'?"),
    ],
)
def test_mistakes_of_ec2_sources(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith("b.yaml:6:")
    assert problem in found


CLOUDWATCH = GOOD + "cloudwatch: {deployment: demo, region: eu-west-1}\n"


def test_cloudwatch_is_off_until_it_is_asked_for() -> None:
    assert parse(GOOD).cloudwatch is None
    assert parse(GOOD + "cloudwatch:\n").cloudwatch is None
    wanted = CloudWatch(deployment="demo", region="eu-west-1")
    assert parse(CLOUDWATCH).cloudwatch == wanted
    there = {"AWS_REGION": "eu-west-1"}
    assert parse(CLOUDWATCH.replace(", region: eu-west-1", ""), there).cloudwatch == wanted
    by_variable = {**there, "STEELYARD_CLOUDWATCH__DEPLOYMENT": "demo"}
    assert parse(GOOD, by_variable).cloudwatch == wanted


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("deployment: demo, ", "", "cloudwatch: 'deployment' is missing"),
        (", region: eu-west-1", "", "'region' is missing; write it, or set AWS_REGION"),
        ("eu-west-1", "eu-west-1a", "cloudwatch.region: 'eu-west-1a' is not an AWS region"),
        ("demo", "a b", "cloudwatch.deployment: 'a b' is no"),
        ("region:", "namespace: AWS/EC2, region:", "cloudwatch.namespace: 'AWS/EC2' is no"),
        ("region:", "interval_s: 0.5, region:", "cloudwatch.interval_s: must be 1 to 3600 s"),
        ("region:", "namespaec: x, region:", "did you mean 'namespace'?"),
    ],
)
def test_mistakes_of_cloudwatch(old: str, new: str, problem: str) -> None:
    (found,) = problems(CLOUDWATCH.replace(old, new))
    assert found.startswith("b.yaml:9:")
    assert problem in found


def test_text_stays_text_and_numbers_become_numbers() -> None:
    config = parse(
        GOOD.replace("cluster: c1}", "headers: {X-Version: 1.10, X-On: yes}, cluster: c1}")
        + "timeouts: {connect_s: 1.5, head_s: 5}\n"
    )
    assert config.routes[0].headers == {"X-Version": "1.10", "X-On": "yes"}
    assert (config.timeouts.connect_s, config.timeouts.head_s) == (1.5, 5.0)


def test_anchors_and_merge_keys() -> None:
    text = GOOD.replace(
        "    policy: p2c\n", "    policy: p2c\n    health: &h {path: /up, fall: 3}\n"
    )
    text = text.replace(
        "routes:",
        "  - name: c2\n    targets: [{static: [10.0.0.1:1]}]\n"
        "    health: {<<: *h, fall: 5}\nroutes:",
    )
    one, two = parse(text).clusters
    assert (one.health.path, one.health.fall) == ("/up", 3)
    assert (two.health.path, two.health.fall) == ("/up", 5)


def test_every_mistake_at_once_each_with_its_place() -> None:
    text = """\
listen: 8000
admn: x
processes: many
clusters:
  - name: c1
    policy: p2d
    targets: [{static: [localhost:80, 10.0.0.1:99999]}]
    health: {interval_s: -1, interval: 3}
  - name: c1
    policy: {name: p2c, q: 1}
    targets: [{dns: {name: w, port: 0}, file: x}]
routes:
  - {path: /a, cluster: c2}
  - {path: /a}
timeouts: {head_s: .inf}
trusted_proxies: [10.0.0.1/8]
"""
    found = problems(text, {"STEELYARD_LISTNE": "x", "STEELYARD_LIMITS__HEAD_BYTES": "many"})
    for start, piece in (
        ("b.yaml:1:9: listen: ", "has no port"),
        ("b.yaml:2:1: admn: ", "did you mean 'admin'?"),
        ("b.yaml:3:12: processes: ", "must be a whole number"),
        ("b.yaml:6:13: clusters[0].policy: ", "did you mean 'p2c'?"),
        ("b.yaml:7:25: clusters[0].targets[0].static[0]: ", "use `dns: {name: localhost"),
        ("b.yaml:7:39: clusters[0].targets[0].static[1]: ", "0 to 65535"),
        ("b.yaml:8:26: clusters[0].health.interval_s: ", "more than 0"),
        ("b.yaml:8:30: clusters[0].health.interval: ", "did you mean 'interval_s'?"),
        ("b.yaml:9:11: clusters[1].name: ", "the first is on line 5"),
        ("b.yaml:10:28: clusters[1].policy.params.q: ", "it takes none"),
        ("b.yaml:11:15: clusters[1].targets[0]: ", "exactly one of static, file, dns, docker"),
        ("b.yaml:11:37: clusters[1].targets[0].dns.port: ", "1 to 65535"),
        ("b.yaml:13:25: routes[0].cluster: ", "there is no cluster 'c2'"),
        ("b.yaml:14:5: routes[1]: ", "exactly one of cluster and respond"),
        ("b.yaml:14:5: routes[1]: ", "the route on line 13"),
        ("b.yaml:15:20: timeouts.head_s: ", "must be a number"),
        ("b.yaml:16:19: trusted_proxies[0]: ", "write 10.0.0.0/8"),
        ("environment: STEELYARD_LISTNE: ", "did you mean 'STEELYARD_LISTEN'?"),
        ("environment: STEELYARD_LIMITS__HEAD_BYTES: ", "must be a whole number"),
    ):
        assert [p for p in found if p.startswith(start) and piece in p], (start, piece, found)
    assert len(found) == 19


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("a: ]", "b.yaml:1:4: not YAML"),
        ("a: 1\n\tb: 2", "b.yaml:2:1: not YAML"),
        ("a: \x00", "b.yaml:1:1: not YAML"),
        ("[]", "b.yaml:1:1: must be a mapping"),
        ("a: 1\n---\nb: 2", "b.yaml:2:1: a second YAML document"),
        ("a: &a [*a]", "b.yaml:1:8: alias *a has no finished anchor"),
        ("[" * 100_000, "b.yaml:1:21: nested deeper than 20"),
        ("{? [a] : b}", "b.yaml:1:4: a key must be text"),
        ("listen: 1:1\nlisten: 1:2", "b.yaml:2:1: listen: key 'listen' is given twice"),
        ("", "b.yaml:1:1: routes: no routes"),
    ],
)
def test_what_is_not_a_configuration(text: str, start: str) -> None:
    assert any(problem.startswith(start) for problem in problems(text))


def test_bytes_that_are_no_text() -> None:
    assert problems(b"a: 1\nb: \xff") == ["b.yaml:2:4: not UTF-8 text"]


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
    )
    assert any("more than 200000 values" in problem for problem in problems(text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(settings.ConfigError, match="cannot be read: No such file"):
        settings.load(tmp_path / "none.yaml", {})


def test_environment_overrides_single_values() -> None:
    env = {
        "STEELYARD_LISTEN": "0.0.0.0:80",
        "STEELYARD_PROCESSES": "auto",
        "STEELYARD_TIMEOUTS__CONNECT_S": "0.5",
        "STEELYARD_BALANCERS__COUNT": "20",
        "STEELYARD_BALANCERS__INDEX": "3",
        "STEELYARD_BALANCERS__LISTEN": "0.0.0.0:9901",
        "STEELYARD_BALANCERS__PEERS": "10.0.0.1:9901, 10.0.0.2:9901",
        "STEELYARD_TRUSTED_PROXIES": "10.0.0.0/8, 192.168.0.0/16",
        "STEELYARD_CONFIG": "/etc/b.yaml",
        "STEELYARD_ADMIN": "",
        "HOME": "/root",
    }
    config = parse(GOOD, env)
    assert config.listen == "0.0.0.0:80"
    assert config.admin == "127.0.0.1:9900"
    assert config.timeouts.connect_s == 0.5
    assert (config.balancers.count, config.balancers.index) == (20, 3)
    assert config.balancers.listen == "0.0.0.0:9901"
    assert config.balancers.peers == (TargetSource(static=("10.0.0.1:9901", "10.0.0.2:9901")),)
    assert config.trusted_proxies == ("10.0.0.0/8", "192.168.0.0/16")


@pytest.mark.parametrize("name", ["STEELYARD_CLUSTERS", "STEELYARD_TIMEOUTS", "STEELYARD_X__Y"])
def test_environment_variables_that_replace_no_value(name: str) -> None:
    assert any(
        problem.startswith(f"environment: {name}: unknown")
        for problem in problems(GOOD, {name: "1"})
    )


@pytest.mark.parametrize(
    ("extra", "piece"),
    [
        ("admin: 127.0.0.1:8000", "overlaps with listen"),
        ("admin: 0.0.0.0:8000", "overlaps with listen"),
        ("timeouts: {linger_s: 30}", "more than drain_s"),
        ("limits: {head_bytes: 2048}", "more than head_bytes"),
        ("processes: 0", "must be 1 to 64"),
        ("balancers: {count: 3, index: 3}", "of 3 balancers the last is 2"),
        ("balancers: {index: 1}", "of 1 balancers the last is 0"),
        ("balancers: {count: 0}", "must be 1 to 10000"),
        ("balancers: {listen: '0.0.0.0:9901'}", "listen: needs peers beside it"),
        ("balancers: {peers: [{static: '10.0.0.1:9'}]}", "peers: needs listen beside it: who"),
        ("balancers: {listen: 'a:1', peers: [{file: p}]}", "'a' is not an IP address; 0.0.0.0 is"),
        ("balancers: {listen: ':0', peers: [{file: p}]}", "the others must know the port"),
        ("balancers: {listen: ':1', peers: [{static: 'b:1'}]}", "static[0]: 'b:1': 'b' is a name"),
        ("balancers: {listen: ':1', peers: [{static: ['10.0.0.1:1', '10.0.0.1:1']}]}", "is listed"),
        (
            "balancers: {listen: ':1', peers: [{file: p, dns: 'b:1'}]}",
            "peers[0]: needs exactly one",
        ),
        (
            "balancers: {listen: ':1', peers: [{ec2: {port: 1, region: eu-west-1}}]}",
            "needs tags, a",
        ),
        ("timeouts: {connect_s: 0}", "more than 0"),
        ("timeouts:", "must be a mapping, is empty"),
        ("limits: {connections: 1.5}", "must be a whole number"),
    ],
)
def test_contradictions_and_bounds(extra: str, piece: str) -> None:
    assert any(piece in problem for problem in problems(GOOD + extra + "\n"))


@pytest.mark.parametrize(
    "extra", ["admin: 127.0.0.1:8001", "admin: 127.0.0.2:8000", "admin: '[::1]:1'"]
)
def test_sockets_that_do_not_overlap(extra: str) -> None:
    assert parse(GOOD + extra + "\n").listen == "127.0.0.1:8000"


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=300))
def test_garbage_bytes_raise_nothing_else(garbage: bytes) -> None:
    with pytest.raises(settings.ConfigError):
        parse(garbage)


# fmt: off
_words = st.sampled_from([
    "listen", "admin", "clusters", "routes", "name", "policy", "targets", "static", "dns", "file",
    "health", "path", "cluster", "p2c", "c1", "127.0.0.1:80", "host", "port", "auto", "timeouts",
    "limits", "headers", "respond", "status", "<<",
])
# fmt: on
_trees = st.recursive(
    _words | st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=5),
    max_leaves=20,
)


@hypothesis_settings(deadline=None, max_examples=60)  # a loaded machine is no failure
@given(st.dictionaries(_words, _trees, max_size=6))
def test_nearly_right_trees_raise_nothing_else(tree: dict[str, object]) -> None:
    with pytest.raises(settings.ConfigError):
        parse(yaml.safe_dump(tree) + "\nunknown: 1\n")


@hypothesis_settings(deadline=None)
@given(st.text(alphabet=list("abc:-[]{}&*<!|>'\"#%@, \n\t0"), max_size=60))
def test_yaml_punctuation_raises_nothing_else(text: str) -> None:
    with pytest.raises(settings.ConfigError):
        parse(text)
