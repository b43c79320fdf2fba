"""Results -> files a person reads.

- ``words``     numbers and verdicts as text, the same in every table
- ``markdown``  ``report.md``: tables for pasting
- ``palette``   colours that the colour-blind tell apart
- ``charts``    the charts of one run
- ``frame``     the page around any content: style, colours, light and dark
- ``page``      ``report.html``: one file, nothing loaded from anywhere
- ``comparison``  ``compare.html`` and ``compare.md``
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loadtest.report.markdown import markdown_report
from loadtest.result import Result

__all__ = ["write_report"]


def write_report(
    results: Sequence[Result], folder: Path, *, title: str = "Benchmark", intro: str = ""
) -> Path:
    """Write `report.html` and `report.md` on one or more runs; returns the HTML file's path.

    title: the page's heading. intro: a sentence or two below it, plain text. Raises OSError.
    """
    # Plotly takes half a second to import: only those who draw pay for it.
    from loadtest.report.page import html_report  # noqa: PLC0415 - see above

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(
        markdown_report(results, title=title, intro=intro), encoding="utf-8"
    )
    page = folder / "report.html"
    page.write_text(html_report(results, title=title, intro=intro), encoding="utf-8")
    return page
