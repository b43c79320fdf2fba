"""A load balancer of the API as a configuration of HAProxy, which stands in for its data plane.

It carries routes and balances; it is not AWS's, and what is measured through it says nothing of
theirs. Source: HAProxy 2.6 configuration manual.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestrator.localcloud.targets import forwards

_ALGORITHMS: Final = {
    "round_robin": "roundrobin",
    "least_outstanding_requests": "leastconn",
    "weighted_random": "random(1)",
}
_IDLE_S: Final = 60  # an ALB's, where nothing else is said; an NLB's is 350
_HEAD: Final = """\
global
    maxconn 4000
defaults
    timeout connect 10s
    timeout client {idle_s}s
    timeout server {idle_s}s
"""
Server = tuple[str, str, int]  # id, address, port
Servers = Mapping[str, Sequence[Server]]  # those that take requests, by target group's ARN


def configuration(balancer: Any, target_groups: Mapping[str, Any], servers: Servers) -> str:
    """The whole file for a moto `FakeLoadBalancer`.

    Raises ValueError for a condition or an action that the stand-in does not know.
    """
    web = balancer.type == "application"
    idle_s = balancer.attrs.get("idle_timeout.timeout_seconds", _IDLE_S) if web else 350
    parts = [_HEAD.format(idle_s=idle_s)]
    for number, listener in enumerate(balancer.listeners.values()):
        lines = [f"frontend l{number}", f"    bind :{listener.port}"]
        lines += ["    mode http", "    option forwardfor"] if web else ["    mode tcp"]
        for place, rule in enumerate(_in_order(listener)):
            name = f"l{number}r{place}"
            lines += _conditions(name, rule.conditions)
            (action,) = [one for one in rule.actions if one.type in ("forward", "fixed-response")]
            lines.append(_action(name, len(rule.conditions)))
            if action.type == "forward":
                parts.append(_backend(name, action, target_groups, servers, web=web))
            else:
                parts.append(_fixed(name, action))
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def _in_order(listener: Any) -> list[Any]:
    rules = [rule for rule in listener.rules.values() if not rule.is_default]
    last = [rule for rule in listener.rules.values() if rule.is_default]
    return [*sorted(rules, key=lambda rule: int(rule.priority)), *last]


def _conditions(name: str, conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for number, condition in enumerate(conditions):
        field = condition["Field"]
        if field == "path-pattern":
            values = condition.get("Values") or condition["PathPatternConfig"]["Values"]
            fetch = "path -m reg"
        elif field == "host-header":
            values = condition.get("Values") or condition["HostHeaderConfig"]["Values"]
            fetch = "req.hdr(host),field(1,:) -m reg -i"
        else:
            raise ValueError(f"a rule on {field} is not carried here")
        # Conditions of a rule hold together, values of a condition one for all.
        patterns = " ".join(_pattern(value) for value in values)
        lines.append(f"    acl {name}c{number} {fetch} {patterns}")
    return lines


def _pattern(value: str) -> str:
    """`*` is anything and `?` one character, as in the rules of an ALB."""
    if not re.fullmatch(r"[\w./*?&$~@:+-]+", value):
        raise ValueError(f"the pattern {value!r} is not carried here")
    parts = {"*": ".*", "?": "."}
    return "^" + "".join(parts.get(c, re.escape(c).replace("\\", "\\\\")) for c in value) + "$"


def _action(name: str, count: int) -> str:
    """The line for a rule with `count` conditions, all of which must hold."""
    when = "".join(f" {name}c{number}" for number in range(count))
    when = f" if{when}" if when else ""
    return f"    use_backend {name}{when}" if when else f"    default_backend {name}"


def _fixed(name: str, action: Any) -> str:
    """As a backend, for HAProxy's own answers would come before any choice of a backend."""
    fixed = action.data["FixedResponseConfig"]
    kind = fixed.get("ContentType", "text/plain")
    body = str(fixed.get("MessageBody", "")).encode("unicode_escape").decode()
    quoted = body.replace("'", "")
    return (
        f"backend {name}\n    mode http\n"
        f"    http-request return status {int(fixed['StatusCode'])} content-type {kind} "
        f"string '{quoted}'\n"
    )


def _backend(
    name: str, action: Any, target_groups: Mapping[str, Any], servers: Servers, *, web: bool
) -> str:
    groups = [(arn, weight) for arn, weight in forwards(action) if arn in target_groups]
    first = target_groups[groups[0][0]].attributes if groups else {}
    algorithm = _ALGORITHMS.get(str(first.get("load_balancing.algorithm.type")), "roundrobin")
    lines = [f"backend {name}", "    mode http" if web else "    mode tcp"]
    lines.append(f"    balance {algorithm if web else 'leastconn'}")
    sticky = web and first.get("stickiness.enabled") == "true"
    if sticky:
        lines.append("    cookie AWSALB insert indirect nocache")
    for arn, weight in groups:
        for ident, address, port in servers.get(arn, ()):
            cookie = f" cookie {ident}" if sticky else ""
            lines.append(f"    server {ident} {address}:{port} weight {weight}{cookie}")
    return "\n".join(lines) + "\n"
