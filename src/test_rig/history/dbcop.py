"""The two forms of dbcop (https://github.com/rnbguy/dbcop, docs/history-format.md).

*JSON*: an array of sessions, each an array of transactions, with or without a map around it whose
`data` it is. *hist*: `[x:=1 y==2 z==?]` is a transaction that writes, reads, and reads what has no
value; `!` after it says that it was refused; dashes part sessions, and `//` begins a remark. In
both, keys of numbers are numbers and those of texts names; the first spells no names, the second
only names. What was refused is told, what is unknown is not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.builder import Mop
from test_rig.history.columns import FAIL, NIL, WRITE, History, starts
from test_rig.history.dbcop_scan import NEXT, WORDS, scan_sessions
from test_rig.history.op_columns import Compile, compiled, names
from test_rig.history.operation import OpType
from test_rig.history.sessions import Fitted, Sessions, fitted, numbered, registers, transactions
from test_rig.history.spelling import spelled

__all__ = [
    "columns_of_dbcop",
    "dbcop_lines",
    "fit_dbcop",
    "fit_hist",
    "from_dbcop",
    "from_hist",
    "hist_lines",
]

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RULE = re.compile(r"-+")
_TRANSACTION = re.compile(r"\s*\[([^\[\]]*)\](!?)")
_EVENT = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)(:=|==)(\d{1,999}|\?)")


def columns_of_dbcop(content: bytes, compile_: Compile = compiled) -> History | None:
    """Return the transactions of a file, or None where it is not of the usual shape.

    Args:
        content: The file.
        compile_: Makes kernels fast.
    """
    begin = _begin(content)
    maps = content.count(b"{")
    end, sessions, committed, counts, f, key, value = compile_(scan_sessions)(
        np.frombuffer(content, dtype=np.uint8), begin, NEXT, WORDS, maps + 1, maps + 1
    )
    rest = content[end:]
    is_whole = not rest.strip(b" \t\r\n") if not begin else _is_rest(rest)
    if end < 0 or not is_whole:
        return None
    codes, strings = names(np.repeat(np.arange(len(sessions), dtype=np.int64), sessions))
    first = np.repeat(starts(sessions)[:-1], sessions)
    return registers(
        type=np.where(committed, 0, FAIL).astype(np.uint8),
        process=codes,
        start=2 * (np.arange(len(committed), dtype=np.int64) - first),
        mop_start=starts(counts),
        f=f,
        key=key,
        value=value,
        strings=tuple(strings),
    )


def _begin(content: bytes) -> int:
    """Return where the sessions begin: after `data` in the map that is around them, if one is."""
    found = re.compile(rb'\s*\{(?:(?!"data")[\s\S]){0,2000}?"data"\s*:').match(content)
    if found is None:
        return 0
    try:
        json.loads(found[0] + b"0}")
    except ValueError:
        return 0  # that is another map's `data`, or a text
    return found.end()


def _is_rest(rest: bytes) -> bool:
    """Return whether these bytes end the map."""
    try:
        return b'"data"' not in rest and bool(json.loads(b'{"data":0' + rest))
    except ValueError:
        return False


def from_dbcop(text: str, *, file: str | None = None) -> History:
    """Read the JSON form.

    Raises:
        HistoryError: What is not of that form, with its place in it.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HistoryError([("JSON", str(error))], file=file) from error
    sessions, problems = Sessions(file), list[tuple[str, str]]()
    data = found.get("data") if isinstance(found, dict) else found
    for number, session in enumerate(_list(data, "the history", problems)):
        for place, transaction in enumerate(_list(session, f"session {number}", problems)):
            where = f"session {number}, transaction {place}"
            try:
                mops, is_committed = _transaction(transaction)
            except ValueError as error:
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
    problems.append((where, f"{spelled(value, 40)} is no array"))
    return []


def _transaction(found: Any) -> tuple[list[Mop], bool]:
    events, is_committed = _parts(found, "events", "committed")
    if not isinstance(events, list):
        raise ValueError(f"events are {spelled(events, 40)}, no array")  # noqa: TRY004  # data of a file
    if not isinstance(is_committed, bool):
        told = spelled(is_committed, 40)
        raise ValueError(f"committed is {told}, neither true nor false")  # noqa: TRY004  # data of a file
    return [_mop(event) for event in events], is_committed


def _mop(event: Any) -> Mop:
    if not isinstance(event, dict) or len(event) != 1 or not event.keys() <= {"Read", "Write"}:
        raise ValueError(f"{spelled(event)} is neither a Read nor a Write")
    ((name, inner),) = event.items()
    variable, version = _parts(inner, "variable", "version")
    if isinstance(version, list):
        raise ValueError(f"the version {spelled(version, 40)} is a list")  # noqa: TRY004  # data of a file
    return ("r" if name == "Read" else "w", variable, version)


def _parts(found: Any, *names: str) -> list[Any]:
    if not isinstance(found, dict) or not all(name in found for name in names):
        raise ValueError(f"{spelled(found)} has not {' and '.join(names)}")
    return [found[name] for name in names]


def from_hist(lines: Iterable[str], *, file: str | None = None) -> History:
    """Read the text form.

    Raises:
        HistoryError: Every line that has something else than transactions.
    """
    sessions, problems = Sessions(file), list[tuple[str, str]]()
    session = 0
    for number, line in enumerate(lines, 1):
        rest = line.partition("//")[0].strip()
        if _RULE.fullmatch(rest):
            session += 1
            continue
        while rest:
            found = _TRANSACTION.match(rest)
            mops = None if found is None else _mops(found[1])
            if found is None or mops is None:
                what = f"{rest!r:.60} is no transaction such as [x:=1 y==2]"
                problems.append((f"line {number}", what))
                break
            kind = OpType.FAIL if found[2] else OpType.OK
            sessions.add(str(session), kind, mops, f"line {number}")
            rest = rest[found.end() :].strip()
    if problems:
        raise HistoryError(problems, file=file)
    return sessions.history()


def _mops(events: str) -> list[Mop] | None:
    """Return the micro-operations of a transaction, None where one is none."""
    mops = list[Mop]()
    for event in events.split():
        found = _EVENT.fullmatch(event)
        if found is None or event.endswith(":=?"):
            return None
        name, sign, version = found.groups()
        mops.append(("w" if sign == ":=" else "r", name, None if version == "?" else int(version)))
    return mops or None


def fit_dbcop(history: History) -> Fitted:
    """Return what the JSON form can tell of a history.

    Raises:
        HistoryError: The history holds what it cannot tell.
    """
    return numbered(fitted(history, "dbcop", keeps="all"))


def dbcop_lines(history: History) -> Iterator[str]:
    """Yield what was fitted as JSON, a session a line."""
    kinds = history.type.tolist()
    before = "["
    for _, found in _sessions(history, _event):
        rows = [_row(events, is_committed=kinds[place] != FAIL) for place, events in found]
        yield f"{before}[{','.join(rows)}]"
        before = ",\n"
    yield "]\n" if before == ",\n" else "[]\n"


def _row(events: list[str], *, is_committed: bool) -> str:
    return f'{{"events":[{",".join(events)}],"committed":{"true" if is_committed else "false"}}}'


def _event(f: int, key: int, value: int) -> str:
    name, shown = "Write" if f == WRITE else "Read", "null" if value == NIL else value
    return f'{{"{name}":{{"variable":{key},"version":{shown}}}}}'


def fit_hist(history: History) -> Fitted:
    """Return what the text form can tell of a history.

    Raises:
        HistoryError: The history holds what it cannot tell.
    """
    fit = fitted(history, "hist", keeps="all")
    found = fit.history
    used = np.unique(found.key).tolist()
    if not used or (
        found.has_named_keys and all(_NAME.fullmatch(found.strings[key]) for key in used)
    ):
        return fit
    fit = numbered(fit)
    remark = "keys are named k0, k1, ..., since the form spells no other ones"
    return Fitted(history=fit.history, remarks=(*fit.remarks, remark))


def hist_lines(history: History) -> Iterator[str]:
    """Yield the lines of what was fitted, a session's at once."""
    kinds = history.type.tolist()
    named = history.strings if history.has_named_keys else None

    def event(f: int, key: int, value: int) -> str:
        name = f"k{key}" if named is None else named[key]
        sign = ":=" if f == WRITE else "=="
        return f"{name}{sign}{'?' if value == NIL else value}"

    before = ""
    for _, found in _sessions(history, event):
        lines = [
            f"[{' '.join(events)}]{'!' if kinds[place] == FAIL else ''}\n"
            for place, events in found
            if events
        ]
        yield before + "".join(lines)
        before = "---\n"


def _sessions(
    history: History, event: Callable[[int, int, int], str]
) -> Iterator[tuple[int, Iterator[tuple[int, list[str]]]]]:
    """Yield the sessions, each with the places and events of its transactions."""
    processes = history.process.tolist()
    order = np.argsort(history.process, kind="stable")
    return groupby(transactions(history, event, order), key=lambda each: processes[each[0]])
