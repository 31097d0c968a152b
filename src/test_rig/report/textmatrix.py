"""The table of levels and anomalies for a terminal: one heading for all targets.

How to think of it: the columns are grouped by the stem of their labels (G-single, -d, -w1, -w2 are
one group), the stem above and the variants below, so that fifteen columns need about fifty
characters. Where even that is too wide, each level becomes a few lines of words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from test_rig.isolation import Anomaly
from test_rig.report.content import Report
from test_rig.report.shown import shown
from test_rig.report.standing import Standing, judged_cells
from test_rig.report.words import listed, product_name, target_sentence
from test_rig.verdict import LevelRow, TargetVerdict

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["ASCII", "NAME_WIDTH_MOST", "STYLES", "UNICODE", "Symbols", "matrix"]

#: Level names get at least this many characters, or the table is told in words.
NAME_WIDTH = 16
NAME_WIDTH_MOST = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """The signs of a report, for terminals that have them and for those that have not."""

    marks: Mapping[Standing, str]
    gives: str
    waits: str


UNICODE = Symbols(
    marks={
        Standing.FORBIDDEN: "✗",
        Standing.PERMITTED: "○",
        Standing.UNKNOWN: "?",
        Standing.PREVENTED: "✓",
        Standing.BEYOND: "✓",
        Standing.NOT_APPLICABLE: "–",  # noqa: RUF001 - a dash that is wider than a hyphen
    },
    gives="→",
    waits="┊",
)
ASCII = Symbols(
    marks={
        Standing.FORBIDDEN: "X",
        Standing.PERMITTED: "o",
        Standing.UNKNOWN: "?",
        Standing.PREVENTED: "+",
        Standing.BEYOND: "+",
        Standing.NOT_APPLICABLE: "-",
    },
    gives="->",
    waits=":",
)
STYLES = {
    Standing.FORBIDDEN: "bold red",
    Standing.PERMITTED: "yellow",
    Standing.UNKNOWN: "bold magenta",
    Standing.PREVENTED: "green",
    Standing.BEYOND: "green dim",
    Standing.NOT_APPLICABLE: "dim",
}


def matrix(report: Report, width: int, symbols: Symbols) -> Iterator[RenderableType]:
    """Yield the lines of the table."""
    columns = _columns()
    grid_width = sum(size for _, _, size in columns)
    longest = max(
        (len(shown(row.name)) for target in report.audit.targets for row in target.levels),
        default=0,
    )
    name_width = min(width - grid_width - 3, max(longest, NAME_WIDTH), NAME_WIDTH_MOST)
    if name_width < NAME_WIDTH:
        for target in report.audit.targets:
            yield _told_in_words(target, symbols)
        return
    yield _heading(columns, name_width)
    for target in report.audit.targets:
        yield _title(target)
        for row in target.levels:
            yield from _row(row, columns, name_width, symbols)


def _columns() -> list[tuple[str, str, int]]:
    """Return (stem, variant, width) of each anomaly's column."""
    split = []
    for anomaly in Anomaly:
        stem, variant = anomaly.info.label, ""
        for other in Anomaly:
            if stem.startswith(f"{other.info.label}-"):
                stem, variant = other.info.label, stem[len(other.info.label) + 1 :]
                break
        split.append((stem, variant))
    columns: list[tuple[str, str, int]] = []
    for stem, group in groupby(split, key=lambda column: column[0]):
        widths = [(variant, max(2, len(variant)) + 1) for _, variant in group]
        short = len(stem) + 1 - sum(size for _, size in widths)
        widths[-1] = (widths[-1][0], widths[-1][1] + max(0, short))
        columns += [(stem, variant, size) for variant, size in widths]
    return columns


def _heading(columns: list[tuple[str, str, int]], name_width: int) -> Text:
    from rich.text import Text

    stems, variants, last = "", "", None
    taken = 0
    for stem, variant, size in columns:
        if stem != last:
            stems = stems.ljust(taken) + stem
        variants += variant.ljust(size)
        last, taken = stem, taken + size
    indent = " " * (name_width + 3)
    return Text(f"{indent}{stems}\n{indent}{variants}".rstrip(), style="dim", no_wrap=True)


def _title(target: TargetVerdict) -> Text:
    from rich.text import Text

    title = Text(product_name(target), style="bold")
    title.append(f"  {shown(target.target.url)}  {target_sentence(target)}", style="dim")
    return title


def _row(
    row: LevelRow, columns: list[tuple[str, str, int]], name_width: int, symbols: Symbols
) -> Iterator[Text]:
    from rich.text import Text

    first, *rest = _broken(shown(row.name), name_width)
    line = Text(f"  {first.ljust(name_width)} ", no_wrap=True)
    for cell, (_, _, size) in zip(judged_cells(row), columns, strict=True):
        line.append(symbols.marks[cell.standing].ljust(size), style=STYLES[cell.standing])
    yield line
    for part in rest:
        yield Text(f"    {part}", no_wrap=True)


def _broken(name: str, width: int) -> list[str]:
    """Break a name that is too long at a blank where it has one."""
    from textwrap import wrap

    return wrap(name, width, subsequent_indent="  ") or [""]


def _told_in_words(target: TargetVerdict, symbols: Symbols) -> Text:
    text = _title(target)
    for row in target.levels:
        text.append(f"\n  {shown(row.name)}")
        for standing in (Standing.FORBIDDEN, Standing.PERMITTED, Standing.UNKNOWN):
            labels = listed(
                cell.anomaly.info.label for cell in judged_cells(row) if cell.standing is standing
            )
            if labels:
                mark = f"\n    {symbols.marks[standing]} {standing.value}: "
                text.append(mark, style=STYLES[standing])
                text.append(labels)
        marked = {cell.standing for cell in judged_cells(row)}
        if not marked & {Standing.FORBIDDEN, Standing.PERMITTED, Standing.UNKNOWN}:
            mark = f"\n    {symbols.marks[Standing.PREVENTED]} nothing occurs"
            text.append(mark, style=STYLES[Standing.PREVENTED])
    return text
