"""What a roll must know to be ended or taken back: on the group itself, as a tag.

So any laptop can go on with it, and `status` shows it. Written before anything is changed, removed
last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from orchestrator.aws.door import Aws
from orchestrator.deploy.members import Group
from orchestrator.deploy.resource import as_dict
from services.contract import TAG_ROLL, TAG_SPEC, TAG_TEMPLATE

# Replacing by load, or for the balance of zones, would move machines under the roll's hands. Not
# ScheduledActions: the time to live is one, and one that is missed is not made up for.
SUSPENDED: Final = ("AlarmNotification", "AZRebalance")
# A new balancer gets clients from the roll, when it knows its targets.
SUSPENDED_IN_FRONT: Final = (*SUSPENDED, "AddToLoadBalancer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """The group's size, and the template version that machines came from (number, digest)."""

    min: int
    max: int
    desired: int
    version: str
    spec: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The note in a tag's value."""
        told = dict(part.split("=", 1) for part in text.split())
        sizes = {key: int(told[key]) for key in ("min", "max", "desired")}
        return cls(**sizes, version=told["version"], spec=told.get("spec", ""))

    def __str__(self) -> str:
        size = f"min={self.min} max={self.max} desired={self.desired}"
        return f"{size} version={self.version} spec={self.spec}"


def begin(aws: Aws, group: Group, template: str) -> Note:
    """The group's note, made if there is none; its scaling rests from here. Raises CloudError."""
    if group.roll:
        note = Note.parse(group.roll)
    else:
        version, spec = _before(aws, group, template)
        note = Note(min=group.min, max=group.max, desired=group.desired, version=version, spec=spec)
        tag = {**_tag(group), "Value": str(note), "PropagateAtLaunch": False}
        aws.call("autoscaling", "create_or_update_tags", Tags=[tag])
    if set(_suspended(group)) - set(group.suspended):
        aws.call(
            "autoscaling",
            "suspend_processes",
            AutoScalingGroupName=group.ident,
            ScalingProcesses=_suspended(group),
        )
    return note


def end(aws: Aws, group: Group, note: Note) -> None:
    """Sizes and scaling as they were, and the note away. Raises CloudError."""
    aws.call(
        "autoscaling",
        "update_auto_scaling_group",
        AutoScalingGroupName=group.ident,
        MinSize=note.min,
        MaxSize=note.max,
        DesiredCapacity=note.desired,
    )
    aws.call(
        "autoscaling",
        "resume_processes",
        AutoScalingGroupName=group.ident,
        ScalingProcesses=_suspended(group),
    )
    aws.call("autoscaling", "delete_tags", Tags=[_tag(group)])


def revert(aws: Aws, template: str, note: Note) -> None:
    """The template's default version is again what it was. Raises CloudError."""
    aws.call(
        "ec2", "modify_launch_template", LaunchTemplateId=template, DefaultVersion=note.version
    )
    aws.call(
        "ec2", "create_tags", Resources=[template], Tags=[{"Key": TAG_SPEC, "Value": note.spec}]
    )


def _suspended(group: Group) -> list[str]:
    return list(SUSPENDED if group.cluster else SUSPENDED_IN_FRONT)


def _before(aws: Aws, group: Group, template: str) -> tuple[str, str]:
    """Number and digest of the version that the oldest machine was made from, else the default."""
    versions = list(
        aws.pages(
            "ec2",
            "describe_launch_template_versions",
            "LaunchTemplateVersions",
            LaunchTemplateId=template,
        )
    )
    oldest = min(group.staying, key=lambda m: (m.launched, m.ident), default=None)
    for one in versions:
        if oldest is not None and _digest(one) == oldest.template:
            return str(one["VersionNumber"]), _digest(one)
    (default,) = [one for one in versions if one["DefaultVersion"]]
    return str(default["VersionNumber"]), _digest(default)


def _digest(version: dict[str, object]) -> str:
    data = version["LaunchTemplateData"]
    specifications = data.get("TagSpecifications", ()) if isinstance(data, dict) else ()
    found = (as_dict(one["Tags"]).get(TAG_TEMPLATE, "") for one in specifications)
    return next(found, "")


def _tag(group: Group) -> dict[str, object]:
    return {"ResourceId": group.ident, "ResourceType": "auto-scaling-group", "Key": TAG_ROLL}
