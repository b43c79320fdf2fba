"""``compare.html`` and ``compare.md``: runs side by side."""

from __future__ import annotations

from html import escape
from pathlib import Path

from loadtest.compare import Cell, Comparison, Figure, Row, judged
from loadtest.report.frame import page
from loadtest.report.markdown import table
from loadtest.report.words import NOTHING, count, load_words, milliseconds, seconds

CLASSES = {1: "better", -1: "worse", 0: ""}
SIGNS = {1: " ✓", -1: " ✗", 0: ""}
EXPLAINED = (
    "Differences are against the first run. ✓ better, ✗ worse; below 2 % neither. "
    "One run each is an anecdote: repeat before you believe a small difference."
)


def number(figure: Figure, value: float | None) -> str:
    """A value in its unit's usual precision."""
    if value is None:
        return NOTHING
    match figure.unit:
        case "ms":
            return milliseconds(value)
        case "s":
            return seconds(value)
        case "%":
            return f"{value:.3g}"
        case _:
            return count(value)


def difference(figure: Figure, cell: Cell) -> str:
    """ "+12.0 % (+1.30)", signed; empty without a base."""
    if cell.absolute is None:
        return ""
    sign = "-" if cell.absolute < 0 else "+"
    absolute = f"{sign}{number(figure, abs(cell.absolute))}"
    return absolute if cell.relative is None else f"{cell.relative:+.1%} ({absolute})"


def headings(comparison: Comparison) -> list[str]:
    first, *others = comparison.names
    heads = ["cluster", "figure", first]
    for name in others:
        heads += [name, "difference"]
    return heads


def text_row(row: Row) -> list[str]:
    unit = f" {row.figure.unit}" if row.figure.unit else ""
    cells = [row.cluster, f"{row.figure.name}{unit}", number(row.figure, row.cells[0].value)]
    for cell in row.cells[1:]:
        verdict = SIGNS[judged(row.figure, cell)]
        cells += [number(row.figure, cell.value), difference(row.figure, cell) + verdict]
    return cells


def markdown_comparison(comparison: Comparison) -> str:
    parts = ["# Comparison", load_words(comparison.results[0])]
    parts.append("\n".join(f"- **{each}**" for each in comparison.warnings))
    parts.append(_runs(comparison))
    parts.append(table(headings(comparison), [text_row(row) for row in comparison.rows]))
    parts.append(EXPLAINED)
    return "\n\n".join(part for part in parts if part) + "\n"


def _runs(comparison: Comparison) -> str:
    return "\n".join(
        f"- {name}: {result.plan.target}, {result.began_at}, {result.verdict.outcome.value}"
        for name, result in zip(comparison.names, comparison.results, strict=True)
    )


def html_comparison(comparison: Comparison) -> str:
    warnings = "".join(f"<li><b>{escape(each)}</b></li>" for each in comparison.warnings)
    runs = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(result.plan.target)}, {escape(result.began_at)}, "
        f"{escape(result.verdict.outcome.value)}</dd>"
        for name, result in zip(comparison.names, comparison.results, strict=True)
    )
    head = "".join(f"<th>{escape(each)}</th>" for each in headings(comparison))
    rows = "".join(_html_row(row) for row in comparison.rows)
    body = f"""<h1>Comparison</h1>
<p class="soft">{escape(load_words(comparison.results[0]))}</p>
{f"<ul>{warnings}</ul>" if warnings else ""}
<dl>{runs}</dl>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
<p class="soft">{escape(EXPLAINED)}</p>"""
    return page(title="Comparison", body=body)


def _html_row(row: Row) -> str:
    texts = text_row(row)
    classes = ["", "", ""]
    for cell in row.cells[1:]:
        classes += ["", CLASSES[judged(row.figure, cell)]]
    return (
        "<tr>"
        + "".join(
            f'<td class="{kind}">{escape(text)}</td>'
            for kind, text in zip(classes, texts, strict=True)
        )
        + "</tr>"
    )


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Both files; returns the HTML file's path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.md").write_text(markdown_comparison(comparison), encoding="utf-8")
    html = folder / "compare.html"
    html.write_text(html_comparison(comparison), encoding="utf-8")
    return html
