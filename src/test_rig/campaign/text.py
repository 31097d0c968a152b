"""A campaign's summary for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from test_rig.campaign.planned import RunOutcome, Standing
from test_rig.campaign.summary import Changes, Finding, Place, Summary
from test_rig.report import duration
from test_rig.report import shown_text as shown

__all__ = ["headline", "outcome_line", "place_word", "render_text"]

_TOLD = 20


def render_text(summary: Summary) -> str:
    """Return the summary as plain text."""
    lines = [headline(summary), f"folder: {summary.folder}", ""]
    lines += _table(summary)
    lines += _section("Broken claims, the most frequent first", map(_finding, summary.findings))
    lines += _section("Not judged", _not_judged(summary))
    lines += _section("Seeds that came to different ends", map(_difference, summary.differing))
    left = [
        f"{shown(each.target)}{f', {shown(each.what)}' if each.what else ''}: {shown(each.why)}"
        for each in summary.left_out
    ]
    lines += _section("Left out", left)
    if summary.changes is not None:
        lines += _section(f"Against {shown(summary.changes.against)}", _changed(summary.changes))
    return "\n".join(lines).rstrip() + "\n"


def headline(summary: Summary) -> str:
    """Return the whole summary in a line."""
    counts = [
        f"{summary.counts[standing.value]} {standing.value}"
        for standing in reversed(Standing)
        if summary.counts.get(standing.value)
    ]
    runs = f"{summary.total} run{'s' * (summary.total != 1)}"
    left = summary.total - summary.done
    counts += [f"{left} not run yet"] if left else []
    took = f", {duration(summary.duration_s)}" if summary.done else ""
    return f"campaign {summary.name} ({summary.id}): {runs}: {', '.join(counts)}{took}"


def outcome_line(outcome: RunOutcome, done: int, total: int) -> str:
    """Return what there is to tell when a run has ended."""
    names = ", ".join(f"{shown(found.what)} {found.count}x" for found in outcome.broken)
    why = names or (shown(outcome.error) if outcome.error else "")
    number = f"[{done:{len(str(total))}}/{total}]"
    end = f"{shown(outcome.planned.id)}: {outcome.standing.value}"
    return f"{number} {end} ({outcome.duration_s:.1f} s){f': {why}' if why else ''}"


def place_word(place: Place | None) -> str:
    """Return what stands at a place of the table."""
    if place is None:
        return "-"
    word = place.standing.value
    word = word.upper() if place.standing is Standing.INVALID else word
    some = sum(each.standing is place.standing for each in place.outcomes)
    return word if len(place.outcomes) == 1 else f"{word} {some}/{len(place.outcomes)}"


def _table(summary: Summary) -> Iterator[str]:
    checks = list(dict.fromkeys(place.check for place in summary.places))
    if not checks:
        return
    by_key = {(place.target, place.level, place.check): place for place in summary.places}
    rows: list[list[str]] = [["", *(shown(check) for check in checks)]]
    for target in dict.fromkeys(place.target for place in summary.places):
        rows.append([f"{shown(target)}  {shown(summary.targets.get(target, ''))}".rstrip()])
        levels = dict.fromkeys(place.level for place in summary.places if place.target == target)
        for level in levels:
            words = [
                place_word(place) if (place := by_key.get((target, level, check))) else ""
                for check in checks
            ]
            rows.append([f"  {shown(level) or 'all levels'}", *words])
    full = [row for row in rows if len(row) > 1]
    widths = [max(len(row[at]) for row in full) for at in range(len(checks) + 1)]
    for row in rows:
        padded = [f"{text:{width}}" for text, width in zip(row, widths, strict=False)]
        yield "  ".join(padded if len(row) > 1 else row).rstrip()


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in found[:_TOLD])
        if len(found) > _TOLD:
            yield f"  and {len(found) - _TOLD} more: see summary.json"


def _finding(each: Finding) -> str:
    place = " / ".join(shown(part) for part in (each.target, each.level, each.check) if part)
    seeds = ", ".join(map(str, each.seeds[:8])) + (", ..." if len(each.seeds) > 8 else "")
    told = f": {shown(each.told, limit=200)}" if each.told else ""
    return f"{place}: {shown(each.what)} {each.count}x (seed {seeds}){told}"


def _not_judged(summary: Summary) -> Iterator[str]:
    for place in summary.worst:
        for outcome in place.outcomes:
            if outcome.standing in (Standing.ERROR, Standing.TIMED_OUT, Standing.UNKNOWN):
                words = [level.comparison for level in outcome.levels]
                why = outcome.error or "; ".join(words)
                end = f"{shown(outcome.planned.id)}: {outcome.standing.value}"
                yield f"{end}: {shown(why, limit=300)}"


def _difference(place: Place) -> str:
    where = " / ".join(shown(part) for part in (place.target, place.level, place.check) if part)
    return f"{where}: {shown(place.differences)}"


def _changed(changes: Changes) -> Iterator[str]:
    if changes.is_empty:
        yield "nothing has changed"
    for finding in changes.new:
        yield f"new: {_finding(finding)}"
    for finding in changes.gone:
        yield f"gone: {_finding(finding)}"
    for moved in changes.moved:
        where = " / ".join(shown(part) for part in (moved.target, moved.level, moved.check))
        yield f"moved: {where}: {shown(moved.before)} -> {shown(moved.now)}"
    yield from (f"added: {shown(place)}" for place in changes.added)
    yield from (f"removed: {shown(place)}" for place in changes.removed)
