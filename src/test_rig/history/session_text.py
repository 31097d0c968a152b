"""The forms of checkers of registers: sessions of transactions, without times.

*plume* (Plume, PolySI and AWDIT read it): one event a line, `w(key,value,session,transaction)` or
`r(key,value,session,transaction)`; a transaction's lines stand together. There all are committed,
and the value 0 is what a key has at first, or -1 where nothing was found.

*dbcop* (https://github.com/rnbguy/dbcop, docs/history-format.md): JSON, an array of sessions, each
an array of transactions, with or without a map around it whose `data` it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from test_rig.errors import HistoryError
from test_rig.history.builder import HistoryBuilder, Mop
from test_rig.history.columns import FAIL, INFO, NIL, READ, WRITE, History, Timescale
from test_rig.history.operation import OpType
from test_rig.history.validate import validate

__all__ = ["from_dbcop", "from_plume", "to_dbcop", "to_plume"]

_LINE = re.compile(r"\s*([rw])\(\s*(-?\w+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*\)\s*")


class _Sessions:
    """Transactions of sessions whose places count alone."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._builder = HistoryBuilder(clock=Timescale.SESSION)
        self._places: dict[str, int] = {}

    def add(self, session: str, kind: OpType, mops: list[Mop], where: str) -> None:
        place = self._places.get(session, 0)
        self._places[session] = place + 2
        self._builder.record(session, kind, mops, start=place, end=place + 1, where=where)

    def history(self) -> History:
        try:
            history = self._builder.history()
            validate(history)
        except HistoryError as error:
            raise HistoryError(error.problems, file=self._file) from error
        return history


def from_plume(lines: Iterable[str], *, file: str | None = None) -> History:
    """Read the text form.

    Raises:
        HistoryError: Every line that is no event; transactions whose lines do not stand together.
    """
    sessions, problems = _Sessions(file), list[tuple[str, str]]()
    open_id, mops, begun = ("", ""), list[Mop](), ""
    seen: set[tuple[str, str]] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            problems.append(
                (f"line {number}", f"{line.strip()!r:.60} is no event such as w(1,2,0,0)")
            )
            continue
        f, key, value, session, transaction = found.groups()
        if (session, transaction) != open_id:
            if mops:
                sessions.add(open_id[0], OpType.OK, mops, begun)
            open_id, mops, begun = (session, transaction), [], f"line {number}"
            if open_id in seen:
                what = f"transaction {transaction} of session {session} goes on here"
                problems.append((begun, f"{what}, after another one"))
            seen.add(open_id)
        mops.append((f, _key(key), _initial(f, int(value))))
    if mops:
        sessions.add(open_id[0], OpType.OK, mops, begun)
    if problems:
        raise HistoryError(problems, file=file)
    return sessions.history()


def _key(text: str) -> int | str:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _initial(f: str, value: int) -> int | None:
    return None if f == "r" and value in (0, -1) else value


def from_dbcop(text: str, *, file: str | None = None) -> History:
    """Read the JSON form.

    Raises:
        HistoryError: What is not of that form, with its place in it.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HistoryError([("JSON", str(error))], file=file) from error
    sessions, problems = _Sessions(file), list[tuple[str, str]]()
    data = found.get("data") if isinstance(found, dict) else found
    for number, session in enumerate(_list(data, "the history", problems)):
        for place, transaction in enumerate(_list(session, f"session {number}", problems)):
            where = f"session {number}, transaction {place}"
            try:
                mops, is_committed = _transaction(transaction)
            except (KeyError, TypeError, ValueError) as error:
                problems.append((where, f"not of the form of dbcop: {error}"))
                continue
            kind = OpType.OK if is_committed else OpType.FAIL
            sessions.add(str(number), kind, mops, where)
    if problems:
        raise HistoryError(problems, file=file)
    return sessions.history()


def _list(value: Any, where: str, problems: list[tuple[str, str]]) -> list[Any]:
    if isinstance(value, list):
        return value
    problems.append((where, f"{value!r:.40} is no array"))
    return []


def _transaction(found: Any) -> tuple[list[Mop], bool]:
    mops: list[Mop] = []
    for event in found["events"]:
        ((name, inner),) = event.items()
        f = {"Read": "r", "Write": "w"}[name]
        mops.append((f, inner["variable"], inner["version"]))
    return mops, bool(found["committed"])


def to_plume(history: History) -> Iterator[str]:
    """Yield the lines of the text form.

    Raises:
        HistoryError: The history holds what the form cannot tell.
    """
    _refuse(history, "plume", (FAIL, INFO))
    if _writes_initial(history):
        raise HistoryError(
            [("plume", "its value 0 is what a key has at first; one is written here")]
        )
    for place in range(len(history)):
        for mop in history.mops(place):
            value = int(history.value[mop])
            letter = "w" if history.f[mop] == WRITE else "r"
            shown = 0 if value == NIL else value
            key, session = history.key_of(mop), int(history.process[place])
            yield f"{letter}({key},{shown},{session},{place})\n"


def _writes_initial(history: History) -> bool:
    written = history.value[history.f == WRITE]
    return bool(((written == 0) | (written == -1)).any())


def to_dbcop(history: History) -> str:
    """Return the JSON form.

    Raises:
        HistoryError: The history holds what the form cannot tell.
    """
    _refuse(history, "dbcop", (INFO,))
    sessions: dict[int, list[dict[str, Any]]] = {}
    for place in range(len(history)):
        events = [_event(history, mop) for mop in history.mops(place)]
        found = {"events": events, "committed": bool(history.type[place] != FAIL)}
        sessions.setdefault(int(history.process[place]), []).append(found)
    return json.dumps(list(sessions.values()), separators=(",", ":")) + "\n"


def _event(history: History, mop: int) -> dict[str, Any]:
    value = int(history.value[mop])
    name = "Write" if history.f[mop] == WRITE else "Read"
    return {name: {"variable": history.key_of(mop), "version": None if value == NIL else value}}


def _refuse(history: History, form: str, types: tuple[int, ...]) -> None:
    problems = []
    if ((history.f != WRITE) & (history.f != READ)).any():
        problems.append((form, "it has registers only, and this history has lists"))
    if any((history.type == each).any() for each in types):
        what = "committed transactions" if FAIL in types else "known outcomes"
        problems.append((form, f"it has {what} only, and this history has others"))
    if problems:
        raise HistoryError(problems)
