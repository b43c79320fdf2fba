"""Alarms and the topic that they tell."""

from __future__ import annotations

from typing import Any

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Making, Scope, as_dict, as_list, found
from orchestrator.deploy.resources.gone import unless
from services.contract import PROJECT, TAG_DEPLOYMENT, TAG_PROJECT, TAG_SPEC


def _prefix(scope: Scope) -> str:
    return f"{PROJECT}-{scope.deployment}-" if scope.deployment is not None else f"{PROJECT}-"


def _ours(tags: dict[str, str], scope: Scope) -> bool:
    """A name may begin like ours: `demo` and `demo-two`."""
    return tags.get(TAG_PROJECT) == PROJECT and scope.deployment in (None, tags.get(TAG_DEPLOYMENT))


class Topic:
    """Spec: email. Its id is its ARN. The address must confirm once, by the mail that SNS sends."""

    name = "topic"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        topics = []
        for topic in aws.pages("sns", "list_topics", "Topics"):
            ident = topic["TopicArn"]
            if not ident.rpartition(":")[2].startswith(_prefix(scope)):
                continue
            tags = as_dict(aws.call("sns", "list_tags_for_resource", ResourceArn=ident)["Tags"])
            if _ours(tags, scope):
                topics.append(found(self.name, ident, tags))
        return topics

    def create(self, aws: Aws, making: Making) -> str:
        """Asked for twice, it is the same one."""
        tags = as_list(making.tags)
        return str(aws.call("sns", "create_topic", Name=making.title, Tags=tags)["TopicArn"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        """Another address's subscription goes, unless it was never confirmed: SNS forgets that."""
        email = making.spec["email"]
        has = list(aws.pages("sns", "list_subscriptions_by_topic", "Subscriptions", TopicArn=ident))
        if not any(one["Endpoint"] == email for one in has):
            aws.call("sns", "subscribe", TopicArn=ident, Protocol="email", Endpoint=email)
        for one in has:
            if one["Endpoint"] != email and one["SubscriptionArn"].startswith("arn:"):
                aws.call("sns", "unsubscribe", SubscriptionArn=one["SubscriptionArn"])

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        aws.call("sns", "tag_resource", ResourceArn=ident, Tags=as_list({TAG_SPEC: digest}))

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("NotFound"):
            aws.call("sns", "delete_topic", TopicArn=found.ident)


class Alarm:
    """Spec: alarm (what PutMetricAlarm takes), topic. Its id is its name."""

    name = "alarm"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        alarms = []
        for alarm in aws.pages(
            "cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=_prefix(scope)
        ):
            answer = aws.call("cloudwatch", "list_tags_for_resource", ResourceARN=alarm["AlarmArn"])
            tags = as_dict(answer["Tags"])
            if _ours(tags, scope):
                about = {"state": alarm["StateValue"]}
                alarms.append(found(self.name, alarm["AlarmName"], tags, about))
        return alarms

    def create(self, aws: Aws, making: Making) -> str:
        self._put(aws, making, Tags=as_list(making.tags))
        return making.title

    def complete(self, aws: Aws, _ident: str, making: Making) -> None:
        self._put(aws, making)

    def _put(self, aws: Aws, making: Making, **more: Any) -> None:
        """Tags are taken when it is new, and passed over later."""
        aws.call(
            "cloudwatch",
            "put_metric_alarm",
            AlarmName=making.title,
            AlarmActions=[making.spec["topic"]],
            OKActions=[making.spec["topic"]],
            **making.spec["alarm"],
            **more,
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        (alarm,) = aws.call("cloudwatch", "describe_alarms", AlarmNames=[ident])["MetricAlarms"]
        tags = as_list({TAG_SPEC: digest})
        aws.call("cloudwatch", "tag_resource", ResourceARN=alarm["AlarmArn"], Tags=tags)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("ResourceNotFound", "ResourceNotFoundException"):
            aws.call("cloudwatch", "delete_alarms", AlarmNames=[found.ident])
