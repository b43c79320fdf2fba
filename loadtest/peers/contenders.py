"""The proxies: which program each is, and its configuration tuned as its own documentation advises.

One core, keep-alive to the targets, no access log, no limit that the test itself would reach.
Rendering is pure: a `Layout` in, a `Launch` (files, command line, environment) out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from loadtest.peers.interpreter import environment
from loadtest.peers.scenario import PREFIX

HOST: Final = "127.0.0.1"
COMPILED_FOLDER: Final = Path(__file__).parents[2] / "build" / "compiled"  # by `make compile`
MAX_CONNECTIONS: Final = 8192  # clients; HAProxy needs two descriptors for each
IDLE_TO_TARGET: Final = 512  # pooled connections that a proxy may keep to one target


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a proxy listens (loopback ports), where its targets are, where its files may lie."""

    listen: int
    admin: int
    targets: tuple[int, ...]
    directory: Path
    max_connections: int = MAX_CONNECTIONS

    @property
    def addresses(self) -> list[str]:
        return [f"{HOST}:{port}" for port in self.targets]


@dataclass(frozen=True, slots=True)
class Launch:
    """What to write and what to run; `files` maps names in the layout's directory to text."""

    argv: tuple[str, ...]
    files: Mapping[str, str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready_path: str = PREFIX  # ready is who answers this with 200 where its clients ask


@dataclass(frozen=True, slots=True)
class Proxy:
    """A contender: `program` is a name on PATH or in the peers' venv; `package` has it."""

    name: str
    title: str
    program: str
    package: str
    version_argv: tuple[str, ...]
    launch: Callable[[str, Layout], Launch]


def haproxy(program: str, at: Layout, balance: str = "roundrobin") -> Launch:
    """`nbthread 1`, `http-reuse always` (HAProxy configuration manual, 4.2)."""
    servers = "\n".join(f"    server t{i} {a}" for i, a in enumerate(at.addresses))
    text = f"""\
global
    nbthread 1
    maxconn {at.max_connections}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend clients
    bind {HOST}:{at.listen} backlog 4096
    default_backend targets
backend targets
    balance {balance}
{servers}
"""
    return Launch((program, "-db", "-q", "-f", "haproxy.cfg"), {"haproxy.cfg": text})


def nginx(program: str, at: Layout, method: str = "") -> Launch:
    """Upstream keep-alive as its module asks: HTTP/1.1 and an empty Connection header.

    `method` is the upstream's directive, such as `least_conn;`; without one it goes round.

    `keepalive_requests` is raised so that no connection ends within a run, and large answers are
    never spooled to disk.
    """
    servers = "\n".join(f"        server {a};" for a in at.addresses)
    text = f"""\
daemon off;
worker_processes 1;
worker_rlimit_nofile {at.max_connections * 2 + 1024};
pid nginx.pid;
error_log stderr crit;
events {{
    worker_connections {at.max_connections * 2};
    multi_accept on;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 100000000;
    keepalive_timeout 75s;
    tcp_nodelay on;
    upstream targets {{
        {method}
{servers}
        keepalive {IDLE_TO_TARGET * 4};
        keepalive_requests 100000000;
    }}
    server {{
        listen {HOST}:{at.listen} backlog=4096;
        location / {{
            proxy_pass http://targets;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffers 8 32k;
            proxy_busy_buffers_size 64k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""
    files = {"nginx.conf": text}
    argv = (program, "-p", str(at.directory), "-c", "nginx.conf", "-e", "stderr")
    return Launch(argv, files)


def envoy(program: str, at: Layout, lb_policy: str = "ROUND_ROBIN") -> Launch:
    """As its FAQ on benchmarking asks: one worker, circuit breakers, request ids and dynamic
    statistics off."""
    most = 1_000_000_000
    breaker = dict.fromkeys(
        ("max_connections", "max_pending_requests", "max_requests", "max_retries"), most
    )
    endpoints = [{"endpoint": {"address": _envoy_address(port)}} for port in at.targets]
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": _envoy_type("filters.http.router.v3.Router"),
            "dynamic_stats": False,
        },
    }
    manager = {
        "@type": _envoy_type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "clients",
        "generate_request_id": False,
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "targets"}}],
                }
            ]
        },
    }
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    config: dict[str, Any] = {
        "static_resources": {
            "listeners": [
                {
                    "name": "clients",
                    "address": _envoy_address(at.listen),
                    "filter_chains": [chain],
                    "tcp_backlog_size": 4096,
                }
            ],
            "clusters": [
                {
                    "name": "targets",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "lb_policy": lb_policy,
                    "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **breaker}]},
                    "load_assignment": {
                        "cluster_name": "targets",
                        "endpoints": [{"lb_endpoints": endpoints}],
                    },
                }
            ],
        }
    }
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "critical")
    text = json.dumps(config, indent=2)
    return Launch((program, "-c", "envoy.json", *options), {"envoy.json": text})


def caddy(program: str, at: Layout) -> Launch:
    """GOMAXPROCS=1, no admin endpoint, no log, a pool as wide as the others'."""
    text = f"""\
{{
    admin off
    auto_https off
    persist_config off
    log {{
        output discard
    }}
}}
http://:{at.listen} {{
    bind {HOST}
    reverse_proxy {" ".join(at.addresses)} {{
        lb_policy round_robin
        transport http {{
            keepalive 60s
            keepalive_idle_conns_per_host {IDLE_TO_TARGET}
            compression off
        }}
    }}
}}
"""
    home = str(at.directory)
    env = {"GOMAXPROCS": "1", "HOME": home, "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home}
    argv = (program, "run", "--adapter", "caddyfile", "--config", "Caddyfile")
    return Launch(argv, {"Caddyfile": text}, env)


def steelyard(
    policy: str | dict[str, Any],
    *,
    compiled: bool = False,
    access_log: str | None = None,
    processes: int = 1,
) -> Callable[[str, Layout], Launch]:
    """Our balancer with everything on: health checks, probes, metrics, the given policy.

    With `compiled` its hot modules come from where `make compile` puts them; `access_log` is the
    path of one.
    """

    def launch(program: str, at: Layout) -> Launch:
        config: dict[str, Any] = {
            "listen": f"{HOST}:{at.listen}",
            "admin": f"{HOST}:{at.admin}",
            "processes": processes,
            "clusters": [
                {
                    "name": "cluster1",
                    "policy": policy,
                    "targets": [{"static": at.addresses}],
                }
            ],
            "routes": [{"path": PREFIX, "cluster": "cluster1"}],
        }
        if access_log is not None:
            config["access_log"] = access_log
        argv = (program, "-m", "services.balancer", "--config", "balancer.yaml")
        text = json.dumps(config, indent=2)  # JSON is YAML
        return Launch(
            argv,
            {"balancer.yaml": text},
            env=environment(program, *([COMPILED_FOLDER] if compiled else [])),
        )

    return launch


def _envoy_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _envoy_type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"


HAPROXY: Final = Proxy("haproxy", "HAProxy", "haproxy", "Debian: haproxy", ("-v",), haproxy)
NGINX: Final = Proxy("nginx", "nginx", "nginx", "Debian: nginx", ("-v",), nginx)
ENVOY: Final = Proxy("envoy", "Envoy", "envoy", "locks/peers.txt", ("--version",), envoy)
CADDY: Final = Proxy("caddy", "Caddy", "caddy", "locks/peers.txt", ("version",), caddy)
OURS: Final = Proxy(
    "steelyard",
    "Steelyard",
    sys.executable,
    "this repository",
    ("--version",),
    steelyard("peak_ewma"),
)
COMPILED: Final = Proxy(
    "steelyard-compiled",
    "Steelyard, compiled",
    sys.executable,
    "this repository, after `make compile`",
    ("--version",),
    steelyard("peak_ewma", compiled=True),
)
PROXIES: Final[tuple[Proxy, ...]] = (OURS, COMPILED, HAPROXY, NGINX, ENVOY, CADDY)
BASELINE: Final = HAPROXY.name  # ratios are against this one


def named(names: list[str]) -> tuple[Proxy, ...]:
    """The proxies of these names, in the order of the list above. Raises KeyError(name)."""
    for name in names:
        if name not in {proxy.name for proxy in PROXIES}:
            raise KeyError(name)
    return tuple(proxy for proxy in PROXIES if proxy.name in names)


def title_of(name: str) -> str:
    """As a reader knows the proxy."""
    return {proxy.name: proxy.title for proxy in PROXIES}.get(name, name)
