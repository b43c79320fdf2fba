"""The dashboard. It knows no tags and no region: its name has the region, a text in it the tags."""

from __future__ import annotations

import json
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Making, Scope, found
from orchestrator.deploy.resources.gone import unless
from services.contract import PROJECT, TAG_DEPLOYMENT, TAG_PROJECT, TAG_SPEC

_MARK: Final = "Steelyard's own note, do not edit: "


class Dashboard:
    """Spec: body {widgets}. Its id is its name."""

    name = "dashboard"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        """One without the note is another's and never touched."""
        prefix, boards = f"{PROJECT}-{scope.deployment or ''}", []
        for entry in aws.pages(
            "cloudwatch", "list_dashboards", "DashboardEntries", DashboardNamePrefix=prefix
        ):
            ident = entry["DashboardName"]
            if not ident.endswith(f"-{aws.region}"):
                continue
            tags = _noted(_body(aws, ident))
            deployment = tags.get(TAG_DEPLOYMENT, "")
            ours = tags.get(TAG_PROJECT) == PROJECT and ident == _name(aws, deployment)
            if ours and scope.deployment in (None, deployment):
                boards.append(found(self.name, ident, tags))
        return boards

    def create(self, aws: Aws, making: Making) -> str:
        ident = _name(aws, making.scope.deployment or "")
        _put(aws, ident, making.spec["body"], making.tags)
        return ident

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        _put(aws, ident, making.spec["body"], making.tags)

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        body = _body(aws, ident)
        widgets = [one for one in body["widgets"] if not _is_note(one)]
        _put(aws, ident, {"widgets": widgets}, {**_noted(body), TAG_SPEC: digest})

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("ResourceNotFound", "ResourceNotFoundException"):
            aws.call("cloudwatch", "delete_dashboards", DashboardNames=[found.ident])


def _name(aws: Aws, deployment: str) -> str:
    return f"{PROJECT}-{deployment}-{aws.region}"


def _body(aws: Aws, ident: str) -> dict[str, Any]:
    """Another's may be anything."""
    answer = aws.call("cloudwatch", "get_dashboard", DashboardName=ident)
    body = json.loads(answer["DashboardBody"])
    return body if isinstance(body, dict) else {}


def noted(body: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    """The body with the note at its end."""
    widgets = body["widgets"]
    below = max((one["y"] + one["height"] for one in widgets), default=0)
    note = {
        "type": "text",
        "x": 0,
        "y": below,
        "width": 24,
        "height": 2,
        "properties": {"markdown": _MARK + json.dumps(tags, sort_keys=True)},
    }
    return {"widgets": [*widgets, note]}


def _put(aws: Aws, ident: str, body: dict[str, Any], tags: dict[str, str]) -> None:
    text = json.dumps(noted(body, tags))
    aws.call("cloudwatch", "put_dashboard", DashboardName=ident, DashboardBody=text)


def _is_note(widget: dict[str, Any]) -> bool:
    return str(widget.get("properties", {}).get("markdown", "")).startswith(_MARK)


def _noted(body: dict[str, Any]) -> dict[str, str]:
    """The tags of the note; none where it is missing or was edited."""
    for widget in body.get("widgets", ()):
        if _is_note(widget):
            try:
                tags = json.loads(widget["properties"]["markdown"].removeprefix(_MARK))
            except json.JSONDecodeError:
                return {}
            return tags if isinstance(tags, dict) and TAG_DEPLOYMENT in tags else {}
    return {}
