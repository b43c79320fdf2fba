"""The page around any content: style, colours, light and dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parent / "page.html"
PLACE: Final = re.compile(r"\{(title|script|body)\}")


def page(*, title: str, body: str, script: str = "") -> str:
    """A whole page. `title` is text, `body` HTML, `script` JavaScript of our own choice."""
    values = {"title": escape(title), "script": script, "body": body}
    # In one go: what is put into one place may contain the name of another.
    return PLACE.sub(lambda place: values[place[1]], PAGE.read_text(encoding="utf-8"))


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Cells are text and get escaped."""
    head = "".join(f"<th>{escape(each)}</th>" for each in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
