"""Where moto 5.2.5 forgets what it was told, for the tests and for the local cloud alike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.autoscaling.models import InstanceState
from moto.core.exceptions import ServiceException
from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.models.subnets import Subnet
from moto.ec2.utils import parse_user_data
from moto.ecr.exceptions import RepositoryNotFoundException
from moto.ecr.responses import ECRResponse
from moto.iam.exceptions import IAMException
from moto.iam.responses import IamResponse


@contextmanager
def filled() -> Iterator[None]:
    """While this lasts, launch templates keep what they were given, and threads do not collide."""
    plain = LaunchTemplate.create_version
    take, taking = Subnet.get_available_subnet_ip, threading.Lock()

    def create_version(
        self: LaunchTemplate, data: dict[str, Any], description: str
    ) -> LaunchTemplateVersion:
        """The user data of a second version would stay text, and launching from it fails."""
        if isinstance(data.get("UserData"), str):
            data = {**data, "UserData": parse_user_data(data["UserData"])}
        return plain(self, data, description)

    def one_at_a_time(self: Subnet, instance: Instance) -> str:
        """Machines of two calls at once take their addresses from one generator, which raises."""
        with taking:
            return take(self, instance)

    # Shown tags would stay those of the template's creation.
    present = property(LaunchTemplate.get_tags, lambda _self, _tags: None)
    with (
        patch.object(LaunchTemplate, "create_version", create_version),
        patch.object(Subnet, "get_available_subnet_ip", one_at_a_time),
        patch.object(LaunchTemplate, "tags", present, create=True),
        patch.object(InstanceState, "launch_template", property(_template_of_a_member)),
        # Not known to it at all: refused, as AWS refuses, instead of a crash.
        patch.object(
            IamResponse,
            "simulate_principal_policy",
            _refused(IAMException, "InvalidInput"),
            create=True,
        ),
        patch.object(
            ECRResponse,
            "get_download_url_for_layer",
            _refused(RepositoryNotFoundException, "LayerInaccessibleException"),
        ),
    ):
        yield


def _template_of_a_member(state: InstanceState) -> dict[str, Any] | None:
    """The version that a machine was launched from; moto shows the template's default of today."""
    template = state.auto_scaling_group.ec2_launch_template
    if template is None:
        return None
    tags = {tag["key"]: tag["value"] for tag in state.instance.get_tags()}
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "Version": tags.get("aws:ec2launchtemplate:version", str(template.default_version_number)),
    }


def _refused(kind: type[ServiceException], code: str) -> Callable[[Any], Any]:
    """moto's server words an error as the service does whose module its class is from.

    `code` is one that the service has.
    """

    def refuse(_: Any) -> Any:
        error = kind.__new__(kind)
        ServiceException.__init__(error, code, "the emulator does not know this")
        raise error

    return refuse
