"""Tags of load balancers and what belongs to them: asked for apart, twenty ARNs a call.

Source: Elastic Load Balancing API reference, DescribeTags.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Scope, Spec, as_dict, as_list, found
from services.contract import PROJECT, TAG_DEPLOYMENT, TAG_PROJECT, TAG_SPEC

PREFIX: Final = f"{PROJECT}-"  # of all our names, so that others' tags are not asked for
_AT_ONCE: Final = 20


def in_scope(aws: Aws, scope: Scope, kind: str, things: Iterable[tuple[str, Spec]]) -> list[Found]:
    """Those of `things` (ARN, what is known of it) whose tags are the scope's."""
    about = dict(things)
    arns = list(about)
    made = []
    for first in range(0, len(arns), _AT_ONCE):
        some = arns[first : first + _AT_ONCE]
        told = aws.call("elbv2", "describe_tags", ResourceArns=some)["TagDescriptions"]
        for one in told:
            tags = as_dict(one["Tags"])
            ours = tags.get(TAG_PROJECT) == PROJECT
            if ours and scope.deployment in (None, tags.get(TAG_DEPLOYMENT)):
                made.append(found(kind, one["ResourceArn"], tags, about[one["ResourceArn"]]))
    return made


def seal_elb(aws: Aws, ident: str, sealed: str) -> None:
    """`seal` of everything that is tagged here."""
    aws.call("elbv2", "add_tags", ResourceArns=[ident], Tags=as_list({TAG_SPEC: sealed}))
