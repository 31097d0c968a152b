"""Histories read from files and written to them, whatever the form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from test_rig.errors import HistoryError, UsageError
from test_rig.history.arrow import read_arrow, read_parquet, write_arrow, write_parquet
from test_rig.history.awdit import awdit_lines, fit_awdit, from_awdit
from test_rig.history.columns import History
from test_rig.history.dbcop import (
    columns_of_dbcop,
    dbcop_lines,
    fit_dbcop,
    fit_hist,
    from_dbcop,
    from_hist,
    hist_lines,
)
from test_rig.history.edn import error_from_edn, ops_from_edn, ops_to_edn
from test_rig.history.jsonl import error_from_json, ops_from_jsonl, ops_to_jsonl
from test_rig.history.op_columns import columns_of_edn, columns_of_jsonl, is_worth_it
from test_rig.history.op_lines import edn_lines, jsonl_lines
from test_rig.history.operation import Op
from test_rig.history.pairs import Placed, from_ops
from test_rig.history.plume import columns_of_plume, fit_plume, from_plume, plume_lines
from test_rig.history.sessions import Fitted
from test_rig.history.validate import validate

__all__ = ["HistoryForm", "form_of", "read_history", "read_ops", "write_history", "write_ops"]


class HistoryForm(Enum):
    """The forms of a history in a file."""

    ARROW = "arrow"
    PARQUET = "parquet"
    EDN = "edn"
    JSONL = "jsonl"
    PLUME = "plume"
    DBCOP = "dbcop"
    HIST = "hist"
    AWDIT = "awdit"


_BY_SUFFIX = {
    ".arrow": HistoryForm.ARROW,
    ".arrows": HistoryForm.ARROW,
    ".parquet": HistoryForm.PARQUET,
    ".edn": HistoryForm.EDN,
    ".jsonl": HistoryForm.JSONL,
    ".ndjson": HistoryForm.JSONL,
    ".plume": HistoryForm.PLUME,
    ".txt": HistoryForm.PLUME,
    ".json": HistoryForm.DBCOP,
    ".hist": HistoryForm.HIST,
    ".awdit": HistoryForm.AWDIT,
}

#: What the first event of a text looks like, since checkers of registers all call theirs `.txt`.
_BY_BEGINNING = (
    (re.compile(r"[rw]\s+\d"), HistoryForm.AWDIT),
    (re.compile(r"\[|//"), HistoryForm.HIST),
)

_Reader: TypeAlias = Callable[..., History]
_FROM_LINES: dict[HistoryForm, _Reader] = {
    HistoryForm.PLUME: from_plume,
    HistoryForm.HIST: from_hist,
    HistoryForm.AWDIT: from_awdit,
}
_OF_LARGE: dict[HistoryForm, Callable[[bytes], History | None]] = {
    HistoryForm.EDN: lambda content: columns_of_edn(content, error_from_edn),
    HistoryForm.JSONL: lambda content: columns_of_jsonl(content, error_from_json),
    HistoryForm.PLUME: columns_of_plume,
    HistoryForm.DBCOP: columns_of_dbcop,
}
_Fit: TypeAlias = Callable[[History], Fitted]
_Lines: TypeAlias = Callable[[History], Iterator[str]]
_TO_SESSIONS: dict[HistoryForm, tuple[_Fit, _Lines]] = {
    HistoryForm.PLUME: (fit_plume, plume_lines),
    HistoryForm.DBCOP: (fit_dbcop, dbcop_lines),
    HistoryForm.HIST: (fit_hist, hist_lines),
    HistoryForm.AWDIT: (fit_awdit, awdit_lines),
}


def form_of(path: Path) -> HistoryForm:
    """Return the form that a file's name tells.

    Raises:
        UsageError: It tells none.
    """
    form = _BY_SUFFIX.get(path.suffix.lower())
    if form is None:
        known = ", ".join(_BY_SUFFIX)
        raise UsageError(
            f"the name tells no form of history; known: {known}",
            where=str(path),
            todo="name the form",
        )
    return form


def read_history(path: Path, form: HistoryForm | None = None) -> History:
    """Read a history of transactions and refuse one that is not well formed.

    Args:
        path: The file.
        form: Its form, where its name does not tell.

    Raises:
        HistoryError: It is malformed: each place with its reason.
        UsageError: The file cannot be read.
    """
    try:
        form = form or _form_found(path)
        if form in (HistoryForm.ARROW, HistoryForm.PARQUET):
            history = _table(path, form)
            _validate(history, path)
            return history
        if form in _OF_LARGE and is_worth_it(path.stat().st_size):
            columns = _OF_LARGE[form](path.read_bytes())
            if columns is not None:
                _validate(columns, path)
                return columns
        if form is HistoryForm.DBCOP:
            return from_dbcop(path.read_text(encoding="utf-8"), file=str(path))
        if form in _FROM_LINES:
            with path.open(encoding="utf-8") as lines:
                return _FROM_LINES[form](lines, file=str(path))
        return from_ops(read_ops(path, form), file=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", where=str(path)) from error


def _form_found(path: Path) -> HistoryForm:
    """Return the form that the name tells, or of a text its first event."""
    form = form_of(path)
    if path.suffix.lower() != ".txt":
        return form
    with path.open(encoding="utf-8") as lines:
        first = next((line.strip() for line in lines if line.strip()), "")
    return next((each for begins, each in _BY_BEGINNING if begins.match(first)), form)


def _table(path: Path, form: HistoryForm) -> History:
    import pyarrow as pa

    try:
        return (read_arrow if form is HistoryForm.ARROW else read_parquet)(path)
    except (pa.ArrowException, SystemError, AttributeError) as error:
        # A damaged file may say anything of itself: that it is larger than memory, has texts of
        # negative lengths, or columns of other kinds.
        raise HistoryError([(form.value, f"cannot be read: {error}")], file=str(path)) from error


def _validate(history: History, path: Path) -> None:
    try:
        validate(history)
    except HistoryError as error:
        raise HistoryError(error.problems, file=str(path)) from error


def read_ops(path: Path, form: HistoryForm | None = None) -> list[Placed]:
    """Read the operations of an EDN or JSON lines file, whatever they do, each with its line.

    They stand as their lines do; `from_ops` finds the order that their indexes and times tell.

    Raises:
        HistoryError: What is no operation.
        UsageError: The form has no operations.
        OSError: The file cannot be read.
    """
    form = form or form_of(path)
    if form is HistoryForm.EDN:
        return list(ops_from_edn(path.read_text(encoding="utf-8"), file=str(path)))
    if form is HistoryForm.JSONL:
        with path.open(encoding="utf-8") as lines:
            return list(ops_from_jsonl(lines, file=str(path)))
    raise UsageError(f"the form {form.value} has transactions, not operations", where=str(path))


def write_history(history: History, path: Path, form: HistoryForm | None = None) -> tuple[str, ...]:
    """Write a history of transactions, in place of what the file had.

    Returns:
        What the form does not tell, or tells otherwise, of transactions of this history.

    Raises:
        HistoryError: The history holds what the form cannot tell.
        UsageError: The file cannot be written.
    """
    form = form or form_of(path)
    try:
        if form in (HistoryForm.ARROW, HistoryForm.PARQUET):
            (write_arrow if form is HistoryForm.ARROW else write_parquet)(history, path)
        elif form in _TO_SESSIONS:
            fit, lines_of = _TO_SESSIONS[form]
            fitted = fit(history)
            _write_lines(lines_of(fitted.history), path)
            return fitted.remarks
        else:
            _write_lines((edn_lines if form is HistoryForm.EDN else jsonl_lines)(history), path)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error
    return ()


def write_ops(ops: Iterable[Op], path: Path, form: HistoryForm | None = None) -> None:
    """Write operations, whatever they do, as EDN or JSON lines.

    Raises:
        UsageError: The form has no operations.
        OSError: The file cannot be written.
    """
    form = form or form_of(path)
    if form is HistoryForm.EDN:
        _write_lines(ops_to_edn(ops), path)
    elif form is HistoryForm.JSONL:
        _write_lines(ops_to_jsonl(ops), path)
    else:
        raise UsageError(f"the form {form.value} has transactions, not operations", where=str(path))


def _write_lines(lines: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(lines)
