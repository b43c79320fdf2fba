"""Launch templates: how a machine is made. A change is a new version, and that the default."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import (
    Found,
    Making,
    Scope,
    Spec,
    as_dict,
    found,
    seal_ec2,
    specification,
)
from orchestrator.deploy.resources.gone import unless
from services.contract import TAG_TEMPLATE


class LaunchTemplate:
    """Spec: ami, type, profile, groups, user_data, disk_gib, spot, key_pair, tags."""

    name = "launch template"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        templates = aws.pages(
            "ec2", "describe_launch_templates", "LaunchTemplates", Filters=scope.filters
        )
        return [found(self.name, t["LaunchTemplateId"], as_dict(t.get("Tags"))) for t in templates]

    def create(self, aws: Aws, making: Making) -> str:
        made = aws.call(
            "ec2",
            "create_launch_template",
            LaunchTemplateName=making.title,
            ClientToken=making.token,
            LaunchTemplateData=template_data(making.spec, making.tags, making.digest),
            TagSpecifications=[specification("launch-template", making.tags)],
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        """Complete data every time: a version with a source would leave merging to AWS."""
        (latest,) = aws.call(
            "ec2", "describe_launch_template_versions", LaunchTemplateId=ident, Versions=["$Latest"]
        )["LaunchTemplateVersions"]
        number = latest["VersionNumber"]
        if not _same(
            latest["LaunchTemplateData"], template_data(making.spec, making.tags, making.digest)
        ):
            made = aws.call(
                "ec2",
                "create_launch_template_version",
                LaunchTemplateId=ident,
                ClientToken=making.token,
                LaunchTemplateData=template_data(making.spec, making.tags, making.digest),
            )
            number = made["LaunchTemplateVersion"]["VersionNumber"]
        elif latest["DefaultVersion"]:
            return
        aws.call(
            "ec2", "modify_launch_template", LaunchTemplateId=ident, DefaultVersion=str(number)
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_ec2(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless(
            "InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFoundException"
        ):
            aws.call("ec2", "delete_launch_template", LaunchTemplateId=found.ident)


def _same(has: dict[str, Any], wants: dict[str, Any]) -> bool:
    """The image of the day does not count."""
    keys: tuple[str, ...] = (
        "InstanceType",
        "UserData",
        "SecurityGroupIds",
        "IamInstanceProfile",
        "KeyName",
    )
    keys += ("BlockDeviceMappings", "InstanceMarketOptions")  # other tags follow from the name
    return all(has.get(key) == wants.get(key) for key in keys) and _made_from(has) == _made_from(
        wants
    )


def _made_from(data: dict[str, Any]) -> set[str]:
    """The digest that machines of this version bear."""
    specifications = data.get("TagSpecifications", ())
    return {as_dict(one["Tags"]).get(TAG_TEMPLATE, "") for one in specifications}


def template_data(spec: Spec, own: Mapping[str, str], digest: str) -> dict[str, Any]:
    """LaunchTemplateData, in the API's words, which are CloudFormation's, too."""
    tags = {**own, **spec["tags"], TAG_TEMPLATE: digest}
    data: dict[str, Any] = {
        "ImageId": spec["ami"],
        "InstanceType": spec["type"],
        "IamInstanceProfile": {"Name": spec["profile"]},
        "SecurityGroupIds": spec["groups"],
        "UserData": base64.b64encode(spec["user_data"].encode()).decode(),
        # Hop limit 2: a container is one hop further from the metadata service.
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 2,
            "InstanceMetadataTags": "disabled",  # tag keys with ':' are refused there
        },
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "Encrypted": True,
                    "VolumeType": "gp3",
                    "VolumeSize": spec["disk_gib"],
                    "DeleteOnTermination": True,
                },
            }
        ],
        "Monitoring": {"Enabled": True},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": [specification(kind, tags) for kind in ("instance", "volume")],
    }
    if spec["spot"]:
        # The group asks anew whenever it is short: a persistent request would ask a second time.
        # Source: CloudFormation reference, launch template, SpotOptions.
        options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        data["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    if spec["key_pair"]:
        data["KeyName"] = spec["key_pair"]
    return data
