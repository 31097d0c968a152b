"""Jepsen's EDN (https://github.com/edn-format/edn), as far as its histories use it.

How to think of it: one regular expression cuts the text into tokens; a stack of open collections
takes them. Keywords become texts without their colon, vectors and lists become lists, sets become
lists too; a tagged value (`#jepsen.history.Op {...}`) is the value alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from test_rig.errors import HistoryError
from test_rig.history.jsonl import error_text, op_of, shown

if TYPE_CHECKING:
    from test_rig.history.operation import Op
    from test_rig.history.pairs import Placed

__all__ = ["error_from_edn", "ops_from_edn", "ops_to_edn"]

_TOKEN = re.compile(
    r"""[\s,]*(?:;[^\n]*[\s,]*)*(?:
    (?P<open>\#\{|[\[({])|(?P<close>[\])}])|(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<discard>\#_)|(?P<tag>\#[a-zA-Z][\w./-]*)|(?P<char>\\(?:\w+|.))
    |(?P<atom>[^\s,;"\[\](){}]+)|(?P<end>\Z)|(?P<wrong>.))""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS = {"nil": None, "true": True, "false": False}
_PAIRS = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_WORD = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
_INT = re.compile(r"[+-]?\d+N?")
_FLOAT = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?M?")


class _SyntaxError(ValueError):
    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.at = at


def ops_from_edn(text: str, *, file: str | None = None) -> Iterator[Placed]:
    """Yield each operation with its line; they stand one after another or in one vector.

    Raises:
        HistoryError: What is no EDN, or no operation.
    """
    line, seen, at = 1, 0, 0
    try:
        for at, value in _unwrapped(text):
            line += text.count("\n", seen, at)
            seen = at
            yield f"line {line}", op_of(value)
    except _SyntaxError as error:
        where = f"line {text.count(chr(10), 0, error.at) + 1}"
        raise HistoryError([(where, f"no EDN: {error}")], file=file) from error
    except ValueError as error:
        where = f"line {text.count(chr(10), 0, at) + 1}"
        raise HistoryError([(where, f"no operation: {error}")], file=file) from error


def error_from_edn(span: bytes) -> str | None:
    """Return an operation's error as a text.

    Raises:
        ValueError: It is no EDN.
    """
    (found,) = _values(span.decode(), 0, is_inside=False)
    return error_text(found[1])


def _unwrapped(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the values at the top, or those inside where one vector is all there is."""
    begin = re.compile(r"(?:[\s,]|;[^\n]*)*").match(text)
    start = begin.end() if begin else 0
    if text[start : start + 1] not in ("[", "("):
        yield from _values(text, start, is_inside=False)
        return
    yield from _values(text, start + 1, is_inside=True, closing=_PAIRS[text[start]])


def _values(
    text: str, start: int, *, is_inside: bool, closing: str = ""
) -> Iterator[tuple[int, Any]]:
    # Each open collection: its bracket, what it holds so far, where it began.
    stack: list[tuple[str, list[Any], int]] = []
    skip: list[int] = []  # depths at which the next value is to be forgotten
    for token in _TOKEN.finditer(text, start):
        kind, word = token.lastgroup, token.group(token.lastgroup or 0)
        at = token.start(token.lastgroup or 0)
        value: Any
        if kind == "open":
            stack.append((word, [], at))
            continue
        if kind in ("tag", "end"):
            continue
        if kind == "discard":
            skip.append(len(stack))
            continue
        if kind == "close":
            if not stack and is_inside and word == closing:
                return
            if not stack or _PAIRS[stack[-1][0]] != word:
                raise _SyntaxError(f"{word} closes nothing", at)
            opened, inner, at = stack.pop()
            value = _collected(opened, inner, at)
        else:
            value = _atom(kind, word, at)
        if skip and skip[-1] == len(stack):
            skip.pop()
        elif stack:
            stack[-1][1].append(value)
        else:
            yield at, value
    if stack:
        raise _SyntaxError(f"{stack[-1][0]} is never closed", stack[-1][2])
    if is_inside:
        raise _SyntaxError("the vector around the history is never closed", len(text))


def _collected(opened: str, inner: list[Any], at: int) -> Any:
    if opened != "{":
        return inner
    if len(inner) % 2:
        raise _SyntaxError("a map has a key without a value", at)
    keys = [each if isinstance(each, str | int | float) else str(each) for each in inner[::2]]
    return dict(zip(keys, inner[1::2], strict=True))


def _atom(kind: str | None, word: str, at: int) -> Any:
    if kind == "atom":
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if word[0] == ":":
            return word[1:]
        if _INT.fullmatch(word):
            return int(word.rstrip("N"))
        return float(word.rstrip("M")) if _FLOAT.fullmatch(word) else word
    if kind == "string":
        try:
            return json.loads(word.replace("\n", "\\n").replace("\t", "\\t"))
        except ValueError as error:
            raise _SyntaxError(f"{word:.40} is no string", at) from error
    if kind == "char":
        return word[1:]
    raise _SyntaxError(f"{word!r} is not expected", at)


def ops_to_edn(ops: Iterable[Op]) -> Iterator[str]:
    """Yield the line of each operation, as Jepsen writes them."""
    keywords = ("type", "f")
    for op in ops:
        parts = [
            f":{name} {edn(value, is_first=name in keywords)}" for name, value in shown(op).items()
        ]
        yield f"{{{', '.join(parts)}}}\n"


def edn(value: Any, *, is_first: bool = False) -> str:
    """Return a value as EDN; the first word of a micro-operation is a keyword, as Jepsen has it."""
    if value is None:
        return "nil"
    if isinstance(value, list | tuple):
        is_mop = len(value) == 3 and isinstance(value[0], str)
        return f"[{' '.join(edn(each, is_first=is_mop and not n) for n, each in enumerate(value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{edn(key)} {edn(each)}' for key, each in value.items())}}}"
    if isinstance(value, str) and is_first and _WORD.fullmatch(value):
        return f":{value}"
    return json.dumps(value, ensure_ascii=False)
