"""Jepsen's EDN (https://github.com/edn-format/edn), as far as its histories use it.

How to think of it: one regular expression cuts the text into tokens; a stack of open collections
takes them. Keywords become texts without their colon, vectors and lists become lists, sets become
lists too; a tagged value (`#jepsen.history.Op {...}`) is the value alone. An error that is no text
is kept as it is spelled, so that it can be written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from test_rig.errors import HistoryError
from test_rig.history.jsonl import json_error, op_of, shown

if TYPE_CHECKING:
    from test_rig.history.operation import Op
    from test_rig.history.pairs import Placed

__all__ = ["error_from_edn", "error_to_edn", "ops_from_edn", "ops_to_edn"]

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
        for at, value, error in _unwrapped(text):
            line += text.count("\n", seen, at)
            seen = at
            if error is not None:
                value["error"] = _error_text(value["error"], text[error])
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
    text = span.decode()
    ((at, value, _),) = _values(text, 0, is_inside=False)
    return _error_text(value, text[at:].rstrip(" \t\r\n,"))


def _error_text(error: Any, spelled: str) -> str | None:
    is_text = isinstance(error, str) and spelled[0] == '"'
    return error if error is None or is_text else spelled


def error_to_edn(text: str) -> str:
    """Return an error's text as EDN, spelled as it was where it was no text."""
    if text[:1] in ("[", "{"):
        value = json_error(text)
        if value != text:
            return edn(value, has_mops=False)
    if text[:1] in (":", "[", "{", "(", "#", "\\"):
        try:
            found = [(at, value) for at, value, _ in _values(text, 0, is_inside=False)]
        except ValueError:
            found = []
        if len(found) == 1 and found[0][0] == 0 and not text[-1:].isspace():
            return text
    return json.dumps(text, ensure_ascii=False)


#: Where a value begins, the value, and of a map what spells its error.
_Found: TypeAlias = tuple[int, Any, slice | None]


def _unwrapped(text: str) -> Iterator[_Found]:
    """Yield the values at the top, or those inside where one vector is all there is."""
    begin = re.compile(r"(?:[\s,]|;[^\n]*)*").match(text)
    start = begin.end() if begin else 0
    if text[start : start + 1] not in ("[", "("):
        yield from _values(text, start, is_inside=False)
        return
    yield from _values(text, start + 1, is_inside=True, closing=_PAIRS[text[start]])


def _values(text: str, start: int, *, is_inside: bool, closing: str = "") -> Iterator[_Found]:
    # Each open collection: its bracket, what it holds so far, where it began.
    stack: list[tuple[str, list[Any], int]] = []
    skip: list[int] = []  # depths at which the next value is to be forgotten
    tag: int | None = None  # where the tag of the next value began
    error: slice | None = None
    for token in _TOKEN.finditer(text, start):
        kind, word = token.lastgroup, token.group(token.lastgroup or 0)
        at = token.start(token.lastgroup or 0)
        value: Any
        if kind == "tag" and tag is None:
            tag = at
        if kind in ("tag", "end"):
            continue
        if tag is not None and kind != "discard":
            at, tag = tag, None
        if kind == "open":
            stack.append((word, [], at))
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
            inner = stack[-1][1]
            if len(stack) == 1 and len(inner) % 2 and inner[-1] == "error":
                error = slice(at, token.end())
            inner.append(value)
        else:
            yield at, value, error if isinstance(value, dict) else None
            error = None
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
        parts += [] if op.error is None else [f":error {error_to_edn(op.error)}"]
        yield f"{{{', '.join(parts)}}}\n"


def edn(value: Any, *, is_first: bool = False, has_mops: bool = True) -> str:
    """Return a value as EDN; the first word of a micro-operation is a keyword, as Jepsen has it."""
    if value is None:
        return "nil"
    if isinstance(value, list | tuple):
        is_mop = has_mops and len(value) == 3 and isinstance(value[0], str)
        parts = [
            edn(each, is_first=is_mop and not n, has_mops=has_mops) for n, each in enumerate(value)
        ]
        return f"[{' '.join(parts)}]"
    if isinstance(value, dict):
        pairs = [f"{edn(key)} {edn(each, has_mops=has_mops)}" for key, each in value.items()]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, str) and is_first and _WORD.fullmatch(value):
        return f":{value}"
    return json.dumps(value, ensure_ascii=False)
