"""The sentences that all forms of a report share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from test_rig.isolation import Level
from test_rig.report.content import Report
from test_rig.report.shown import shown
from test_rig.report.standing import Judged, Standing, judged_cells
from test_rig.report.suite_words import suite_sentence
from test_rig.report.workloads import workload_headline
from test_rig.runs import RunStatus
from test_rig.verdict import LevelRow, TargetVerdict, Verdict

__all__ = [
    "VERDICT_WORDS",
    "doubts",
    "duration",
    "headline",
    "listed",
    "observed_words",
    "product_name",
    "target_sentence",
    "witness_title",
]

#: A row's or a target's verdict in a word or two.
VERDICT_WORDS = {
    Verdict.VALID: "claim holds",
    Verdict.INVALID: "claim broken",
    Verdict.UNKNOWN: "not judged",
}


def headline(report: Report) -> str:
    """Return what the run found, in a sentence."""
    said = _found(report)
    if report.record.status in (RunStatus.INTERRUPTED, RunStatus.RUNNING, RunStatus.FAILED):
        state = {
            RunStatus.INTERRUPTED: "Interrupted",
            RunStatus.RUNNING: "Still running",
            RunStatus.FAILED: "Failed",
        }[report.record.status]
        return f"{state} before the end. {said}"
    return said


def _found(report: Report) -> str:
    if report.suite is not None:
        return suite_sentence(report.suite)
    if report.workloads:
        return workload_headline(report.workloads)
    targets = report.audit.targets
    rows = [row for target in targets for row in target.levels]
    broken = [(target, row) for target in targets for row in target.levels if row.findings]
    if not rows:
        return "Nothing was judged."
    if len(broken) == 1:
        return _broken_once(*broken[0])
    if broken:
        return (
            f"{_count(len(broken), 'claim')} of {len(rows)} {_is(len(broken))} broken, "
            f"by {listed(dict.fromkeys(product_name(target) for target, _ in broken))}."
        )
    unknown = sum(row.verdict is Verdict.UNKNOWN for row in rows)
    failed = [target for target in targets if target.error]
    if unknown or failed:
        judged = len(rows) - unknown
        told = f"No claim was seen broken; {judged} of {_count(len(rows), 'level')} could be judged"
        reached = listed(dict.fromkeys(product_name(target) for target in failed if target.levels))
        lost = listed(dict.fromkeys(product_name(target) for target in failed if not target.levels))
        told += f"; {reached} not to the end" if reached else ""
        return f"{told}; {lost}." if lost else f"{told}."
    levels = _count(len(rows), "level")
    return f"Every claim holds: {levels} of {listed(product_name(t) for t in targets)}."


def _broken_once(target: TargetVerdict, row: LevelRow) -> str:
    first, *more = row.findings
    what = f"{first.anomaly.info.title} ({first.anomaly.info.label})"
    others = f" and {len(more)} more anomal{'y' if len(more) == 1 else 'ies'}"
    return (
        f"{product_name(target)} breaks a claim: {what}{others if more else ''} "
        f"{'occur' if more else 'occurs'} at {shown(row.name)}, "
        f"which claims {row.claim.info.title}."
    )


def target_sentence(target: TargetVerdict) -> str:
    """Return what was found of one target, in a few words."""
    rows = target.levels
    if not rows:
        return "not judged"
    broken = sum(bool(row.findings) for row in rows)
    unknown = sum(row.verdict is Verdict.UNKNOWN for row in rows)
    if broken:
        return f"{broken} of {_count(len(rows), 'claim')} broken"
    if unknown:
        return f"{unknown} of {_count(len(rows), 'level')} could not be judged"
    if target.error:
        return "judged only in part"
    return "the claim holds" if len(rows) == 1 else f"all {len(rows)} claims hold"


def product_name(target: TargetVerdict) -> str:
    """Return the product with the number of its version, without the builder's additions.

    TiDB answers with the version of MySQL that it speaks, its own behind its name.
    """
    product, version = target.target.product, target.target.version
    own = re.search(rf"{re.escape(product)}-v?(\d+(?:\.\d+)+)", version)
    number = own or re.match(r"v?(\d+(?:\.\d+)*)", version)
    return shown(f"{product} {number[1] if number else version}", limit=80)


def observed_words(levels: Sequence[Level]) -> str:
    """Return the strongest levels that what was seen leaves standing."""
    return listed(level.info.title for level in levels) or "nothing could be concluded"


def witness_title(cell: Judged, row: LevelRow, target: TargetVerdict) -> str:
    """Return what a witness shows: anomaly, level and product."""
    info = cell.anomaly.info
    return f"{info.label}, {info.title}, at {shown(row.name)} of {product_name(target)}"


def doubts(report: Report) -> tuple[tuple[str, str, str], ...]:
    """Return what could not be judged: target, where, why."""
    told: list[tuple[str, str, str]] = []
    if report.record.error:
        told.append(("the run", report.record.status.value, shown(report.record.error)))
    for target in report.audit.targets:
        name = product_name(target)
        if target.error:
            told.append((name, "the target", shown(target.error)))
        for row in target.levels:
            told += [(name, where, why) for where, why in _row_doubts(row)]
    return tuple(told)


def _row_doubts(row: LevelRow) -> list[tuple[str, str]]:
    """Return the cells without an answer, those with one reason told together."""
    by_reason: dict[str, list[Judged]] = {}
    for cell in judged_cells(row):
        if cell.standing is Standing.UNKNOWN:
            by_reason.setdefault(cell.reason, []).append(cell)
    return [
        (f"{shown(row.name)}: {listed(cell.anomaly.info.label for cell in cells)}", shown(reason))
        for reason, cells in by_reason.items()
    ]


def duration(seconds: float) -> str:
    """Return a duration for people.

    >>> duration(0.0042), duration(3.21), duration(75.0)
    ('4 ms', '3.2 s', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def listed(names: Iterable[str]) -> str:
    """Return names as a sentence lists them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = list(names) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
