"""Every kind of thing that a deployment is made of, in the order in which they are made.

log_group        where the containers' output goes
network          security groups
identity         roles and instance profiles
template         launch templates
target_group     where load balancers send requests (elb_tags: whose they are)
load_balancer    application and network load balancers
listener         their listeners, and rules by path
group            Auto Scaling groups
machine          the front's address, the balancer's instance
alarm            alarms and the topic that they tell
dashboard        one for the deployment
budget           one for the deployment
"""

from __future__ import annotations

from typing import Final

from orchestrator.deploy.resource import Kind
from orchestrator.deploy.resources.alarm import Alarm, Topic
from orchestrator.deploy.resources.budget import Budget
from orchestrator.deploy.resources.dashboard import Dashboard
from orchestrator.deploy.resources.group import Group
from orchestrator.deploy.resources.identity import Profile, Role
from orchestrator.deploy.resources.listener import Listener, Rule
from orchestrator.deploy.resources.load_balancer import LoadBalancer
from orchestrator.deploy.resources.log_group import LogGroup
from orchestrator.deploy.resources.machine import Address, Instance
from orchestrator.deploy.resources.network import SecurityGroup
from orchestrator.deploy.resources.target_group import TargetGroup
from orchestrator.deploy.resources.template import LaunchTemplate

KINDS: Final[tuple[Kind, ...]] = (
    LogGroup(),
    SecurityGroup(),
    Role(),
    Profile(),
    LaunchTemplate(),
    TargetGroup(),
    LoadBalancer(),
    Listener(),
    Rule(),
    Group(),
    Address(),
    Instance(),
    Topic(),
    Alarm(),
    Dashboard(),
    Budget(),
)
BY_NAME: Final[dict[str, Kind]] = {kind.name: kind for kind in KINDS}
