"""What ten thousand targets cost beside ten: a pick, by policy, and taking in the picture of them.

    python -m loadtest.many                    # both builds, after `make compile`; some minutes
    python -m loadtest.many --update-docs      # the tables in docs/benchmarks.md

Runs `loadtest.arena.picks` and `loadtest.snapshot` in processes of their own. Exit status 1 when a
mark is missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from loadtest.builds import TITLES, in_both
from loadtest.page import measured, rewrite, table
from loadtest.peers.marks import Mark

FEW: Final = 10
MANY: Final = 10_000

PICTURES_OF: Final = ("steelyard", "peak_ewma", "weighted_round_robin", "consistent_hash")
TIMES: Final = 2  # the best counts: what else the machine does can only add
PICK_MOST: Final = 1.5  # times what it costs among ten
LOADED_MOST_S: Final = 1.0
CALLBACK_MOST_MS: Final = 5.0
DOCS: Final = Path("docs/benchmarks.md")
COMMAND: Final = "python -m loadtest.many --update-docs"

Picks = dict[str, dict[str, list[float]]]  # by build and policy: [pick, whole] for FEW, then MANY
Pictures = dict[str, dict[str, dict[str, dict[str, float]]]]  # by build, policy and picture


def pick_table(picks: Picks) -> str:
    """Microseconds among few and among many."""
    headings = ["policy"]
    for title in TITLES:
        headings += [f"{title}: {FEW}", f"{MANY:,}", "ratio", "whole: ratio"]
    rows = []
    for policy in picks[TITLES[0]]:
        row = [f"`{policy}`"]
        for title in TITLES:
            pick, whole, pick_many, whole_many = picks[title][policy]
            row += [f"{pick:.2f}", f"{pick_many:.2f}"]
            row += [f"{pick_many / pick:.2f}", f"{whole_many / whole:.2f}"]
        rows.append(row)
    return table(headings, rows)


def picture_table(pictures: Pictures) -> str:
    """Seconds, and CPU milliseconds of the longest callback, by policy and picture."""
    headings = ["policy", "picture"]
    for title in TITLES:
        headings += [f"{title}: s", "longest callback, ms"]
    rows = []
    for policy, by_name in pictures[TITLES[0]].items():
        for name in by_name:
            row = [f"`{policy}`", name]
            for title in TITLES:
                taken = pictures[title][policy][name]
                row += [f"{taken['seconds']:.2f}", f"{taken['longest_ms']:.1f}"]
            rows.append(row)
    return table(headings, rows)


def marks(picks: Picks, pictures: Pictures) -> list[Mark]:
    """The worst of each build."""
    found = []
    for title in TITLES:
        for policy, (pick, _, pick_many, _) in picks[title].items():
            text = f"a pick of `{policy}` among {MANY:,} to among {FEW}, {title}"
            found.append(Mark(text, pick_many / pick, PICK_MOST, False))
    for title in TITLES:
        for policy, by_name in pictures[title].items():
            text = f"a picture of {MANY:,}, `{policy}`, {title}"
            first = by_name["the first"]
            found.append(Mark(f"{text}, seconds", first["seconds"], LOADED_MOST_S, False))
            longest_ms = max(taken["longest_ms"] for taken in by_name.values())
            found.append(
                Mark(f"{text}, longest callback in ms", longest_ms, CALLBACK_MOST_MS, False)
            )
    return found


def measure() -> tuple[Picks, Pictures]:
    """Raises RuntimeError."""
    picks = in_both("loadtest.arena.picks", "--json", "--sizes", f"{FEW},{MANY}")
    pictures: Pictures = {title: {} for title in TITLES}
    for policy in PICTURES_OF:
        for _ in range(TIMES):
            taken = in_both("loadtest.snapshot", "--json", "--policy", policy)
            for title in TITLES:
                pictures[title][policy] = _better(taken[title], pictures[title].get(policy))
    return picks, pictures


def _better(new: Any, old: Any) -> Any:
    if old is None:
        return new
    return {
        name: {figure: min(value, old[name][figure]) for figure, value in taken.items()}
        for name, taken in new.items()
    }


def markdown(picks: Picks, pictures: Pictures) -> str:
    """Both tables and what they are held to."""
    judged = marks(picks, pictures)
    missed = [f"- {mark}" for mark in judged if not mark.kept]
    kept = sum(mark.kept for mark in judged)
    return "\n\n".join(
        [
            f"{measured(COMMAND)} The best of several, in turn.",
            "### A pick",
            pick_table(picks),
            "### A picture",
            picture_table(pictures),
            "### Marks",
            f"A pick among {MANY:,} costs at most {PICK_MOST} times a pick among {FEW}; "
            f"a picture of {MANY:,} is in force within {LOADED_MOST_S:.0f} s, and no callback "
            f"takes more than {CALLBACK_MOST_MS:.0f} ms: {kept} of {len(judged)} kept."
            + (" Missed:" if missed else ""),
            "\n".join(missed),
        ]
    )


def main(
    *, update_docs: Annotated[bool, typer.Option(help=f"rewrite the tables in {DOCS}")] = False
) -> None:
    """What ten thousand targets cost beside ten."""
    try:
        picks, pictures = measure()
    except RuntimeError as error:
        sys.exit(f"many: {error}")
    text = markdown(picks, pictures)
    print(text)
    if update_docs:
        rewrite(DOCS, "many", COMMAND, text)
    if not all(mark.kept for mark in marks(picks, pictures)):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
