"""The operations of a history, line by line, as EDN or as JSON.

How to think of it: `to_ops` gives operations one by one, as objects; here they are text at once,
some thousands of them with one look into the columns. The lines are those that `ops_to_edn` and
`ops_to_jsonl` make of the same operations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from test_rig.history.columns import (
    NIL,
    OK,
    READ,
    READ_LIST,
    History,
    Int64s,
    Timescale,
    spread,
    starts,
)
from test_rig.history.edn import error_to_edn
from test_rig.history.jsonl import error_to_json
from test_rig.history.pairs import events

__all__ = ["edn_lines", "jsonl_lines"]

#: So many operations become text at once.
_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How the parts of an operation are spelled."""

    line: str
    error: str
    #: Gives an error's value from its text.
    error_of: Callable[[str], str]
    types: tuple[str, str, str, str]
    #: A micro-operation's beginning for APPEND, WRITE, READ and READ_LIST, up to its key.
    mops: tuple[str, str, str, str]
    #: What stands between values.
    comma: str
    nothing: str


_EDN = _Form(
    line="{:index %d, :type %s, :process %s, :f :txn, :value [%s], :time %d%s}\n",
    error=", :error ",
    error_of=error_to_edn,
    types=(":ok", ":fail", ":info", ":invoke"),
    mops=("[:append ", "[:w ", "[:r ", "[:r "),
    comma=" ",
    nothing="nil",
)
_JSON = _Form(
    line='{"index":%d,"type":%s,"process":%s,"f":"txn","value":[%s],"time":%d%s}\n',
    error=',"error":',
    error_of=error_to_json,
    types=('"ok"', '"fail"', '"info"', '"invoke"'),
    mops=('["append",', '["w",', '["r",', '["r",'),
    comma=",",
    nothing="null",
)


def edn_lines(history: History) -> Iterator[str]:
    """Yield the lines of a history's operations as EDN, many at once."""
    return _lines(history, _EDN)


def jsonl_lines(history: History) -> Iterator[str]:
    """Yield the lines of a history's operations as JSON, many at once."""
    return _lines(history, _JSON)


def _lines(history: History, form: _Form) -> Iterator[str]:
    places, are_ends, moments = events(history)
    texts = [json.dumps(each, ensure_ascii=False) for each in history.strings]
    processes = [
        str(int(name)) if name.isdecimal() else text
        for name, text in zip(history.strings, texts, strict=True)
    ]
    codes = np.unique(history.error_class[history.error_class >= 0]).tolist()
    errors = {-1: ""} | {code: form.error + form.error_of(history.strings[code]) for code in codes}
    has_times = history.clock is Timescale.NS
    for first in range(0, len(places), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        place = places[part]
        values = _values(history, place, are_ends[part], texts, form)
        columns = (
            are_ends[part].tolist(),
            history.type[place].tolist(),
            history.process[place].tolist(),
            history.error_class[place].tolist(),
            moments[part].tolist(),
            values,
        )
        yield "".join(
            form.line
            % (
                index,
                form.types[kind if is_end else 3],
                processes[process],
                value,
                moment if has_times else 0,
                errors[error] if is_end else "",
            )
            for index, (is_end, kind, process, error, moment, value) in enumerate(
                zip(*columns, strict=True), first
            )
        )


def _values(
    history: History, place: Int64s, are_ends: Int64s, texts: list[str], form: _Form
) -> list[str]:
    """Return the micro-operations of transactions as text, those of each one together."""
    counts = history.mop_start[place + 1] - history.mop_start[place]
    mops = spread(history.mop_start[place], counts)
    is_known = ((are_ends == 1) & (history.type[place] == OK)).repeat(counts).tolist()
    keys = history.key[mops].tolist()
    names = [texts[key] for key in keys] if history.has_named_keys else map(str, keys)
    columns = (
        history.f[mops].tolist(),
        names,
        history.value[mops].tolist(),
        history.element_start[mops].tolist(),
        history.element_count[mops].tolist(),
        is_known,
    )
    comma, nothing = form.comma, form.nothing
    found = []
    for f, name, value, start, many, known in zip(*columns, strict=True):
        if f >= READ and not known:
            what = nothing
        elif f == READ_LIST:
            what = str(history.element[start : start + many].tolist()).replace(", ", comma)
        else:
            what = nothing if value == NIL else str(value)
        found.append(f"{form.mops[f]}{name}{comma}{what}]")
    bounds = starts(counts).tolist()
    return [comma.join(found[begin:end]) for begin, end in pairwise(bounds)]
