"""Log groups: made by us rather than by Docker's log driver, so that they can be taken away."""

from __future__ import annotations

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Making, Scope, found
from orchestrator.deploy.resources.gone import unless
from services.contract import PROJECT, TAG_SPEC


class LogGroup:
    """`/steelyard/<deployment>`; its id is its ARN."""

    name = "log group"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        prefix = f"/{PROJECT}/{scope.deployment or ''}"
        groups = []
        for group in aws.pages(
            "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix
        ):
            if scope.deployment is not None and group["logGroupName"] != prefix:
                continue
            ident = group["arn"].removesuffix(":*")
            tags = aws.call("logs", "list_tags_for_resource", resourceArn=ident)["tags"]
            groups.append(found(self.name, ident, tags, {"name": group["logGroupName"]}))
        return groups

    def create(self, aws: Aws, making: Making) -> str:
        name = making.spec["name"]
        with unless("ResourceAlreadyExistsException"):
            aws.call("logs", "create_log_group", logGroupName=name, tags=making.tags)
        (ident,) = (one.ident for one in self.find(aws, making.scope))
        return ident

    def complete(self, aws: Aws, _ident: str, making: Making) -> None:
        aws.call(
            "logs",
            "put_retention_policy",
            logGroupName=making.spec["name"],
            retentionInDays=making.spec["days"],
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        aws.call("logs", "tag_resource", resourceArn=ident, tags={TAG_SPEC: digest})

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("ResourceNotFoundException"):
            aws.call("logs", "delete_log_group", logGroupName=found.about["name"])
