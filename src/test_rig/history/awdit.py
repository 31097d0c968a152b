"""The text form of AWDIT's own (https://github.com/lassemoldrup/AWDIT, "test").

One event a line, `w key value` or `r key value`, in numbers from 0 on; lines of `-` part
transactions, lines of `=` sessions. All is committed, and there is no first value: what a key has
at first is written by a session that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.builder import Mop
from test_rig.history.columns import NIL, WRITE, History
from test_rig.history.operation import OpType
from test_rig.history.sessions import Fitted, Sessions, fitted, numbered, transactions

__all__ = ["awdit_lines", "fit_awdit", "from_awdit"]

_EVENT = re.compile(r"\s*([rw])\s+(\d{1,999})\s+(\d{1,999})\s*")
_RULE = re.compile(r"\s*(-+|=+)\s*")


def from_awdit(lines: Iterable[str], *, file: str | None = None) -> History:
    """Read the text form.

    Raises:
        HistoryError: Every line that is neither an event nor a rule between two.
    """
    sessions, problems = Sessions(file), list[tuple[str, str]]()
    mops, begun = list[Mop](), ""
    session, has_some = 0, False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if event := _EVENT.fullmatch(line):
            begun = begun if mops else f"line {number}"
            f, key, value = event.groups()
            mops.append((f, int(key), int(value)))
            continue
        rule = _RULE.fullmatch(line)
        if rule is None:
            problems.append((f"line {number}", f"{line.strip()!r:.60} is no event such as w 1 2"))
            continue
        if mops:
            sessions.add(str(session), OpType.OK, mops, begun)
            mops, has_some = [], True
        if "=" in rule[1] and has_some:
            session, has_some = session + 1, False
    if mops:
        sessions.add(str(session), OpType.OK, mops, begun)
    if problems:
        raise HistoryError(problems, file=file)
    return sessions.history()


def fit_awdit(history: History) -> Fitted:
    """Return what the text form can tell of a history.

    Raises:
        HistoryError: The history holds what it cannot tell.
    """
    fit = numbered(fitted(history, "awdit", keeps="none"))
    found = fit.history
    empty = np.unique(found.key[found.value == NIL])
    if np.isin(found.key[found.value == 0], empty).any():
        what = "a key that has no value at first is told by 0, and 0 is another value of one here"
        raise HistoryError([("awdit", what)])
    if not len(empty):
        return fit
    remark = f"added: a session that writes 0 to {len(empty)} keys, which had no value at first"
    return Fitted(history=found, remarks=(*fit.remarks, remark))


def awdit_lines(history: History) -> Iterator[str]:
    """Yield the lines of what was fitted, some at once."""
    empty = np.unique(history.key[history.value == NIL]).tolist()
    if empty:
        yield "\n".join(f"w {key} 0" for key in empty) + "\n"
    order = np.argsort(history.process, kind="stable")
    processes = history.process.tolist()
    before = None
    for place, events in transactions(history, _event, order):
        if not events:
            continue
        if processes[place] != before:
            yield "=====\n" if before is not None or empty else ""
        else:
            yield "-----\n"
        before = processes[place]
        yield "\n".join(events) + "\n"


def _event(f: int, key: int, value: int) -> str:
    return f"{'w' if f == WRITE else 'r'} {key} {0 if value == NIL else value}"
