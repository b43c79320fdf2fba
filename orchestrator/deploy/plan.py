"""What there is against what should be: steps as frozen data. It reads and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

from orchestrator.aws.door import Aws
from orchestrator.deploy.check import Check
from orchestrator.deploy.desired import desire
from orchestrator.deploy.facts import gather
from orchestrator.deploy.outside import Outside
from orchestrator.deploy.resource import Found, Key, Scope, Wanted, digest, resolve
from orchestrator.deploy.resources import BY_NAME, KINDS
from orchestrator.deploy.settings import Deployment

Action = Literal["create", "change", "replace", "delete", "keep"]
_CHANGED: Final = {
    "launch template": "a new version; running machines keep theirs until they are replaced",
    "instance": "a new one beside it; when the address moves, connections break",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing and what is to be done with it. `found` is what exists of it now."""

    action: Action
    key: Key
    wanted: Wanted | None = None
    found: Found | None = None
    details: str = ""

    @property
    def usd_hour(self) -> float:
        """What it will cost an hour."""
        return self.wanted.usd_hour if self.wanted else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in the order in which they are taken, and what was looked at."""

    deployment: str
    region: str
    account: str
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.steps if step.action != "keep")

    @property
    def failing(self) -> tuple[Check, ...]:
        """The checks that stand in the way."""
        return tuple(check for check in self.checks if check.outcome == "fails")

    @property
    def usd_hour(self) -> float:
        """The whole deployment, running as wanted."""
        return sum(step.usd_hour for step in self.steps)


def make_plan(aws: Aws, deployment: Deployment, outside: Outside) -> Plan:
    """Look at the account and compare.

    Errors:
        CloudError: AWS cannot be asked, or user data would be too large.
    """
    facts = gather(aws, deployment, outside)
    wanted = desire(deployment, facts)
    existing = find_all(aws, Scope(deployment.name))
    return Plan(
        deployment=deployment.name,
        region=deployment.region,
        account=facts.account,
        steps=compare(wanted, existing),
        checks=tuple(facts.checks),
    )


def find_all(aws: Aws, scope: Scope) -> list[Found]:
    """Everything in the scope, in the order of kinds: what others need comes first."""
    with ThreadPoolExecutor(len(KINDS)) as pool:
        return [found for kind in pool.map(lambda k: k.find(aws, scope), KINDS) for found in kind]


def compare(wanted: Iterable[Wanted], existing: Iterable[Found]) -> tuple[Step, ...]:
    """Pure. Deletions come last, what needs others first."""
    there: dict[Key, list[Found]] = {}
    for found in existing:
        there.setdefault(found.key, []).append(found)
    ids: dict[Key, str] = {}
    digests: dict[Key, str] = {}
    steps = []
    for want in wanted:
        action: Action = "create"
        resolved = resolve(want.spec, ids, digests)
        if resolved is not None:
            digests[want.key] = digest(resolved)
        has = _best(there.get(want.key, []), digests.get(want.key))
        if has is not None:
            as_wanted = resolved is not None and has.spec == digests[want.key]
            action = "keep" if as_wanted else _otherwise(has, digests.get(want.key))
            if action != "replace":
                ids[want.key] = has.ident
        why = _CHANGED.get(want.key.kind, "") if action in ("change", "replace") else ""
        steps.append(
            Step(
                action=action,
                key=want.key,
                wanted=want,
                found=has,
                details="; ".join(filter(None, (want.details, why))),
            )
        )
    left = [found for several in there.values() for found in several]
    gone = sorted(left, key=_made_after, reverse=True)
    steps += [Step(action="delete", key=f.key, found=f, details=f.ident) for f in gone]
    return tuple(steps)


def _best(several: list[Found], wants: str | None) -> Found | None:
    """Take out the one to go on with: as wanted, else begun so, else the first."""
    if not several:
        return None
    best = min(several, key=lambda f: (f.spec != wants, f.about.get("begun") != wants))
    several.remove(best)
    return best


def _otherwise(has: Found, wants: str | None) -> Action:
    """What cannot be changed is replaced, unless it was begun as it is wanted, and left halfway."""
    if not BY_NAME[has.key.kind].replaced:
        return "change"
    halfway = not has.spec and wants is not None and has.about.get("begun") == wants
    return "change" if halfway else "replace"


def _made_after(found: Found) -> tuple[int, Key]:
    return [kind.name for kind in KINDS].index(found.key.kind), found.key
