"""Take a deployment away, in the reverse order of its making, and prove that nothing is left."""

from __future__ import annotations

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report, wait_until
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.plan import find_all
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.resource import Found, Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.resources.exists import exists
from orchestrator.deploy.resources.gone import when_let_go
from orchestrator.deploy.resources.group import Group
from orchestrator.deploy.resources.machine import ALIVE, instances

_MACHINES = frozenset({"instance", "group"})


def take_down(aws: Aws, deployment: str, journal: Journal, around: Surroundings) -> int:
    """Delete everything that carries the deployment's tags; how many things there were.

    Errors:
        CloudError: AWS refused, or something is left after all.
    """
    scope = Scope(deployment)
    _await_unfinished(aws, scope, journal, around)
    found = find_all(aws, scope)
    for one in found:
        if one.key.kind == "group":
            Group().empty(aws, one)
    for one in _last_made_first(found, machines=True):
        _delete(aws, one, journal, around)
    wait_gone(aws, scope, around.report, around.patience)
    for one in _last_made_first(found, machines=False):
        _delete(aws, one, journal, around)
    prove_empty(aws, scope, journal)
    journal.empty()
    return len(found)


def _last_made_first(found: list[Found], *, machines: bool) -> list[Found]:
    return [one for one in reversed(found) if (one.key.kind in _MACHINES) == machines]


def _delete(aws: Aws, found: Found, journal: Journal, around: Surroundings) -> None:
    around.report(f"delete {found.key} {found.ident}")
    with journal.around("delete", found.key, id=found.ident):
        when_let_go(lambda: BY_NAME[found.key.kind].delete(aws, found), around.patience)


def _await_unfinished(aws: Aws, scope: Scope, journal: Journal, around: Surroundings) -> None:
    """What was asked for just before a crash may show late; give it the time to."""
    unknown = set(journal.unfinished)
    if not unknown:
        return

    def missing() -> str:
        hidden = unknown - {found.key for found in find_all(aws, scope)}
        return ", ".join(f"was {key} made?" for key in sorted(hidden))

    try:
        wait_until("journal", missing, around.report, around.settle)
    except CloudError:
        around.report("journal: it was not, or is gone")


def wait_gone(aws: Aws, scope: Scope, report: Report, patience: Patience) -> None:
    """Until no machine of the scope exists, nor a group: they hold on to security groups."""

    def missing() -> str:
        alive = len(instances(aws, scope, (*ALIVE, "shutting-down")))
        groups = len(BY_NAME["group"].find(aws, scope))
        return f"{alive} machines and {groups} groups are still going" if alive + groups else ""

    wait_until("machines gone", missing, report, patience)


def prove_empty(aws: Aws, scope: Scope, journal: Journal | None = None) -> None:
    """Look again, by tags and by the journal.

    Errors:
        CloudError: what is left.
    """
    left = [f"{found.key} {found.ident}" for found in find_all(aws, scope)]
    left += [f"instance {one['InstanceId']}" for one in instances(aws, scope, ALIVE)]
    left += [
        f"volume {v['VolumeId']}"
        for v in aws.pages("ec2", "describe_volumes", "Volumes", Filters=scope.filters)
    ]
    if journal is not None:
        standing = journal.standing.items()
        left += [f"{key} {ident}" for ident, key in standing if exists(aws, key.kind, ident)]
    if left:
        raise CloudError("nothing left", f"still there: {', '.join(left)}", "repeat the command")
