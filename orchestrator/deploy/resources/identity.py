"""Roles and instance profiles. IAM is global, so path and name carry the region.

They are found by their path, which no tag needs to be read for.
"""

from __future__ import annotations

import json

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Making, Scope, as_dict, as_list, found
from orchestrator.deploy.resources.gone import unless
from services.contract import PROJECT, TAG_SPEC

INLINE_POLICY = "steelyard"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def _path(aws: Aws, scope: Scope) -> str:
    deployment = f"{scope.deployment}/" if scope.deployment is not None else ""
    return f"/{PROJECT}/{aws.region}/{deployment}"


def _name(aws: Aws, making: Making) -> str:
    return f"{making.title}-{aws.region}"


class Role:
    """Spec: policy (IAM policy document). Its id is its name."""

    name = "role"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        roles = []
        for role in aws.pages("iam", "list_roles", "Roles", PathPrefix=_path(aws, scope)):
            tags = aws.call("iam", "list_role_tags", RoleName=role["RoleName"])["Tags"]
            roles.append(found(self.name, role["RoleName"], as_dict(tags)))
        return roles

    def create(self, aws: Aws, making: Making) -> str:
        name = _name(aws, making)
        with unless("EntityAlreadyExists"):
            aws.call(
                "iam",
                "create_role",
                RoleName=name,
                Path=_path(aws, making.scope),
                AssumeRolePolicyDocument=json.dumps(TRUST),
                Tags=as_list(making.tags),
            )
        return name

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        aws.call(
            "iam",
            "put_role_policy",
            RoleName=ident,
            PolicyName=INLINE_POLICY,
            PolicyDocument=json.dumps(making.spec["policy"]),
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        aws.call("iam", "tag_role", RoleName=ident, Tags=as_list({TAG_SPEC: digest}))

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("NoSuchEntity"):
            aws.call("iam", "delete_role_policy", RoleName=found.ident, PolicyName=INLINE_POLICY)
        with unless("NoSuchEntity"):
            aws.call("iam", "delete_role", RoleName=found.ident)


class Profile:
    """Spec: role. Its id is its name."""

    name = "instance profile"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        profiles = []
        for one in aws.pages(
            "iam", "list_instance_profiles", "InstanceProfiles", PathPrefix=_path(aws, scope)
        ):
            if not one["Path"].startswith(_path(aws, scope)):
                continue  # moto does not look at the prefix
            name = one["InstanceProfileName"]
            whole = aws.call("iam", "get_instance_profile", InstanceProfileName=name)
            tags = as_dict(whole["InstanceProfile"].get("Tags"))
            roles = [role["RoleName"] for role in one["Roles"]]
            profiles.append(found(self.name, name, tags, {"roles": roles}))
        return profiles

    def create(self, aws: Aws, making: Making) -> str:
        name = _name(aws, making)
        with unless("EntityAlreadyExists"):
            aws.call(
                "iam",
                "create_instance_profile",
                InstanceProfileName=name,
                Path=_path(aws, making.scope),
                Tags=as_list(making.tags),
            )
        return name

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        profile = aws.call("iam", "get_instance_profile", InstanceProfileName=ident)
        if not profile["InstanceProfile"]["Roles"]:
            aws.call(
                "iam",
                "add_role_to_instance_profile",
                InstanceProfileName=ident,
                RoleName=making.spec["role"],
            )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        aws.call(
            "iam",
            "tag_instance_profile",
            InstanceProfileName=ident,
            Tags=as_list({TAG_SPEC: digest}),
        )

    def delete(self, aws: Aws, found: Found) -> None:
        for role in found.about["roles"]:
            with unless("NoSuchEntity"):
                aws.call(
                    "iam",
                    "remove_role_from_instance_profile",
                    InstanceProfileName=found.ident,
                    RoleName=role,
                )
        with unless("NoSuchEntity"):
            aws.call("iam", "delete_instance_profile", InstanceProfileName=found.ident)
