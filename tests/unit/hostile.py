"""What a database could say to harm the reader of a report, put into every place it can reach."""

from __future__ import annotations

from dataclasses import replace

import audits
from hypothesis import strategies as st

from test_rig.isolation import Anomaly, Level
from test_rig.report import Report
from test_rig.verdict import Cell, LevelRow, Occurrence, StepRecord, StepStatus, TargetInfo

PIECES = (
    "</script>",
    "<script>alert(1)</script>",
    "</style>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover='x",
    "--><!--",
    "]]>",
    "&amp;&#0;",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "[bold red]x[/]",
    "\x1b[2J\x1b]0;x\x07",
    "\x00\x08\x7f\x85",
    "\u202e\u2066\u200b\ufeff",
    "\ud800",
    "\ufffe\uffff",
    "*/ DROP TABLE users; /*",
    "\n; DROP TABLE users; --",
    "\r\n",
    "\u2028\u2029",
    "日本語 ☃ \U0001f600",
)
#: Any text at all, and the known tricks glued together.
TEXTS = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
)


def report_saying(text: str) -> Report:
    """Return a report in which a database, or a script for it, said `text` wherever it can."""
    row = audits.level(
        text,
        Level.SNAPSHOT,
        "the manual",
        occurs={Anomaly.P4, Anomaly.G2},
        unknown={Anomaly.G0},
        impossible={Anomaly.G1A},
        read_back=text,
        only=(Anomaly.G0, Anomaly.G1A, Anomaly.P4, Anomaly.G2, Anomaly.PMP),
    )
    target = audits.sqlite()
    info = TargetInfo(url=text, product=f"P{text}", version=text)
    target = replace(target, target=info, levels=(_spoken(row, text),), error=text or "x")
    return audits.report(
        target, error=text, settings={"audit": {text: text}}, argv=(text,), versions={"x": text}
    )


def _spoken(row: LevelRow, text: str) -> LevelRow:
    cells = tuple(_cell(cell, text) for cell in row.cells)
    return replace(row, cells=cells, comparison=f"x{text}")


def _cell(cell: Cell, text: str) -> Cell:
    transcript = cell.transcript
    if transcript is not None:
        first, *rest = transcript.steps
        steps = (_answer(first, text), *rest, _error(rest[-1], text))
        transcript = replace(transcript, steps=steps, problem=text or "x")
    is_free = cell.occurrence is not Occurrence.PREVENTED
    return replace(cell, transcript=transcript, reason=f"x{text}" if is_free else cell.reason)


def _answer(step: StepRecord, text: str) -> StepRecord:
    return replace(
        step,
        sql=f"SELECT 1 {text}",
        session=f"T{text}",
        columns=(f"c{text}",),
        rows=((f"v{text}",), (None,)),
        notices=(f"n{text}",),
    )


def _error(step: StepRecord, text: str) -> StepRecord:
    later_ns = (step.end_ns or step.start_ns) + 1000
    return replace(
        step,
        status=StepStatus.ERROR,
        error=f"e{text}",
        message=f"m{text}",
        start_ns=later_ns,
        end_ns=later_ns + 5,
    )
