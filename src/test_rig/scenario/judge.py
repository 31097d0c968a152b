"""Says what a transcript shows for its scenario: occurs, prevented, or unknown.

How to think of it: each anomaly has a pattern, a pure function over the story of one run that
says yes only where what committed transactions read or wrote shows it. Around the patterns stands
one ruling for all: without a sound run there is no answer, and where the pattern is not there the
reason tells how the database kept it away, by an error, by making somebody wait, or by what was
read instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from test_rig.scenario.story import Rows, Story
from test_rig.verdict import Occurrence, StepRecord, Transcript

__all__ = ["Pattern", "Seen", "rule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a pattern found."""

    occurs: bool
    #: The witness, or what was read instead.
    reason: str
    #: Whose waiting explains that it did not occur; () stands for everybody's.
    waiters: tuple[str, ...] = ()


Pattern = Callable[[Story], Seen]


def rule(pattern: Pattern, transcript: Transcript) -> tuple[Occurrence, str]:
    """Return what a transcript shows, and why, in a few words."""
    story = Story(transcript)
    if (doubt := _doubt(story)) is not None:
        return Occurrence.UNKNOWN, doubt
    seen = pattern(story)
    if seen.occurs:
        return Occurrence.OCCURS, seen.reason
    if story.aborts:
        return Occurrence.PREVENTED, _abort_reason(story.aborts[0])
    if waits := story.waits(*seen.waiters):
        return Occurrence.PREVENTED, _wait_reason(waits[0])
    return Occurrence.PREVENTED, seen.reason


def _doubt(story: Story) -> str | None:
    """Return why the run is no evidence, or None where it is."""
    if story.transcript.problem is not None:
        return story.transcript.problem
    if story.unfinished:
        step = story.unfinished[0]
        return f"{step.step} did not end"
    if story.accidents:
        step = story.accidents[0]
        return f"{step.step} failed: {step.error}: {step.message}"
    return None


def _abort_reason(step: StepRecord) -> str:
    if step.step.endswith("-begin"):
        return f"{step.session} could not begin: {step.error}"
    suffix = " at COMMIT" if step.step.endswith("-commit") else ""
    return f"{step.session} aborted{suffix}: {step.error}"


def _wait_reason(step: StepRecord) -> str:
    others = " and ".join(step.blocked_by)
    return f"{step.session} waited for {others}" if others else f"{step.session} waited"


def _told(rows: Rows | None) -> str:
    if rows is None:
        return "nothing"
    return ", ".join(f"{key}: {value}" for key, value in sorted(rows.items())) or "no row"


# The patterns. Rows are written as {id: value}; the table starts as {1: 10, 2: 20}.


def dirty_write(story: Story) -> Seen:
    """G0: each transaction's write to one of the rows survived the other's, in a circle."""
    mixed = ({1: 11, 2: 22}, {1: 12, 2: 21})
    occurs = story.has_committed("T1", "T2") and story.final in mixed
    left = _told(story.final)
    return Seen(
        occurs=occurs,
        reason=f"T1 and T2 committed, and their writes are mixed: {left}"
        if occurs
        else f"the writes are not mixed: {left}",
    )


def aborted_read(story: Story) -> Seen:
    """G1a: T2 read 101, which T1 rolled back, and committed."""
    values = [rows.get(1) for rows in story.reads("T2")]
    occurs = 101 in values and story.has_rolled_back("T1") and story.has_committed("T2")
    return Seen(
        occurs=occurs,
        reason="T2 read 101, which T1 rolled back" if occurs else _values("T2", values),
    )


def intermediate_read(story: Story) -> Seen:
    """G1b: T2 read 101, which T1 overwrote before it committed."""
    values = [rows.get(1) for rows in story.reads("T2")]
    occurs = 101 in values and story.has_committed("T1", "T2")
    return Seen(
        occurs=occurs,
        reason="T2 read 101, which T1 overwrote with 11 before it committed"
        if occurs
        else _values("T2", values),
    )


def circular_flow(story: Story) -> Seen:
    """G1c: each transaction read what the other wrote."""
    one, two = story.read("T1", 1), story.read("T2", 1)
    occurs = one == {2: 22} and two == {1: 11} and story.has_committed("T1", "T2")
    return Seen(
        occurs=occurs,
        reason="T1 read T2's 22, and T2 read T1's 11"
        if occurs
        else f"T1 read {_told(one)}; T2 read {_told(two)}",
    )


#: OTV: whose write each value is: 0 the setup's, 1 T1's, 2 T2's; T2 overwrote T1's in both rows.
_VERSIONS = {1: {10: 0, 11: 1, 12: 2}, 2: {20: 0, 19: 1, 18: 2}}


def vanishing(story: Story) -> Seen:
    """OTV: T3 saw a write of T1 or T2, and then a row as if that transaction had not been."""
    reads = [(key, value) for rows in story.reads("T3") for key, value in sorted(rows.items())]
    told = "; ".join(_told(rows) for rows in story.reads("T3"))
    for place, (row, value) in enumerate(reads):
        version = _VERSIONS[row].get(value, 0)
        older = [
            (key, later)
            for key, later in reads[place + 1 :]
            if _VERSIONS[key].get(later, 0) < version
        ]
        if older and story.has_committed(f"T{version}", "T3"):
            key, later = older[0]
            saw = f"T3 read {row}: {value} of T{version}"
            return Seen(occurs=True, reason=f"{saw}, and then {key}: {later} from before it")
    return Seen(occurs=False, reason=f"T3 read {told}", waiters=("T3",))


def phantom_read(story: Story) -> Seen:
    """PMP: T1's second read by the predicate found the row that T2 inserted after the first."""
    first, second = story.read("T1", 1), story.read("T1", 2)
    occurs = first == {} and second == {3: 30} and story.has_committed("T1", "T2")
    return Seen(
        occurs=occurs,
        reason="T1 read no row, and then T2's row 3: 30"
        if occurs
        else f"T1 read {_told(first)}, and then {_told(second)}",
    )


def phantom_write(story: Story) -> Seen:
    """PMP by a write: what T2 read and deleted, and what T1 changed, fit no order of the two."""
    read, left = story.read("T2", 1), story.final
    # T1 finds one row after T2's delete and two before it; where the count is not told, both fit.
    changed = story.changed("T1", 1)
    as_if_first = read == {2: 20} and left == {1: 20} and changed != 2
    as_if_second = read == {1: 20} and left == {2: 30} and changed != 1
    occurs = story.has_committed("T1", "T2") and not as_if_first and not as_if_second
    told = "" if changed is None else f"T1 changed {changed} rows; "
    what = f"{told}T2 read {_told(read)} where value = 20, deleted by it, and left {_told(left)}"
    return Seen(occurs=occurs, reason=what)


def lost_update(story: Story) -> Seen:
    """P4: both read 10 and both wrote the row."""
    one, two = story.read("T1", 1), story.read("T2", 1)
    occurs = one == two == {1: 10} and story.has_committed("T1", "T2")
    return Seen(
        occurs=occurs,
        reason=f"T1 and T2 read 10 and wrote the row; left: {_told(story.final)}"
        if occurs
        else f"T1 read {_told(one)}; T2 read {_told(two)}",
    )


def read_skew(story: Story) -> Seen:
    """G-single: T1 read one row from before T2, the other from after."""
    one, two = (story.read("T1", 1) or {}).get(1), (story.read("T1", 2) or {}).get(2)
    occurs = (one, two) in ((10, 18), (12, 20)) and story.has_committed("T1", "T2")
    what = f"T1 read 1: {one} and 2: {two}"
    when = "before" if one == 10 else "after"
    suffix = f", the first from {when} T2, the second not"
    return Seen(occurs=occurs, reason=what + suffix * occurs)


def predicate_skew(story: Story) -> Seen:
    """G-single over predicates: T1's first read is from before T2, its second from after."""
    first, second = story.read("T1", 1), story.read("T1", 2)
    occurs = (first or {}).get(1) == 10 and second == {1: 12} and story.has_committed("T1", "T2")
    what = f"T1 read {_told(first)}, and then {_told(second)}"
    return Seen(occurs=occurs, reason=f"{what}, which T2 wrote in between" if occurs else what)


def skew_seen_by_delete(story: Story) -> Seen:
    """G-single by a write: T1 read from before T2, and its delete met what T2 had written.

    Either the delete saw T2's value and did not find the row, or it removed T2's value without
    having seen it. The second is told from a write skew by T2's write: it had found the row.
    """
    read, left = story.read("T1", 1), story.final or {}
    is_missed = 2 in left
    is_lost = not is_missed and bool(story.changed("T2", 2))
    occurs = (
        read == {1: 10}
        and story.read("T2", 1) == {1: 10, 2: 20}
        and (is_missed or is_lost)
        and story.has_committed("T1", "T2")
    )
    how = f"saw 2: {left.get(2)}" if is_missed else "removed 2: 18, which T2 had committed"
    return Seen(
        occurs=occurs,
        reason=f"T1 read 1: 10 from before T2, but its delete by value = 20 {how}"
        if occurs
        else f"T1 read {_told(read)}; left: {_told(left)}",
    )


def skew_seen_by_update(story: Story) -> Seen:
    """G-single by a write: T1 read 10, and its update by T2's value found the same row."""
    read, left = story.read("T1", 1), story.final or {}
    occurs = read == {1: 10} and left.get(1) == 17 and story.has_committed("T1", "T2")
    return Seen(
        occurs=occurs,
        reason="T1 read 1: 10 from before T2, but its update by value = 12 changed that row"
        if occurs
        else f"T1 read {_told(read)}, and its update by value = 12 changed no row",
    )


def write_skew(story: Story) -> Seen:
    """G2-item: both read both rows as they were, and each changed a different one."""
    one, two = story.read("T1", 1), story.read("T2", 1)
    occurs = (
        one == two == {1: 10, 2: 20}
        and story.final == {1: 11, 2: 21}
        and story.has_committed("T1", "T2")
    )
    return Seen(
        occurs=occurs,
        reason="T1 and T2 read 1: 10, 2: 20, and each changed one of them"
        if occurs
        else f"T1 read {_told(one)}; T2 read {_told(two)}; left: {_told(story.final)}",
    )


def predicate_write_skew(story: Story) -> Seen:
    """G2: both read no row by the predicate, and each inserted one that matches."""
    one, two, left = story.read("T1", 1), story.read("T2", 1), story.final or {}
    occurs = one == two == {} and {3, 4} <= set(left) and story.has_committed("T1", "T2")
    return Seen(
        occurs=occurs,
        reason="T1 and T2 read no row, and each inserted one that the other's read should have"
        if occurs
        else f"T1 read {_told(one)}; T2 read {_told(two)}; left: {_told(left)}",
    )


def reader_skew(story: Story) -> Seen:
    """G2 with two edges: T1 is before T2 by its read, after T3 by T3's, and T3 is after T2."""
    one, three, left = story.read("T1", 1), story.read("T3", 1), story.final or {}
    occurs = (
        one == {1: 10, 2: 20}
        and three == {1: 10, 2: 25}
        and left.get(1) == 0
        and story.has_committed("T1", "T2", "T3")
    )
    return Seen(
        occurs=occurs,
        reason="T3 read T2's 2: 25 but not T1's 1: 0, and T1 had not read T2's 25"
        if occurs
        else f"T1 read {_told(one)}; T3 read {_told(three)}; left: {_told(left)}",
    )


def _values(session: str, values: list[int | None]) -> str:
    told = ", ".join(str(value) for value in values)
    return f"{session} read {told or 'nothing'}"
