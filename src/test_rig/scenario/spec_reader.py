"""Reads specification files of PostgreSQL's isolation tester as they are.

How to think of it: the grammar is that of PostgreSQL 15 to 18 (src/test/isolation/README there):
setup blocks, a teardown, sessions with steps, permutations. Words and punctuation come from one
regular expression; a SQL block runs from its brace to the first closing brace, whatever stands
between (the language has no way to write a closing brace in SQL). A text that breaks the grammar
is an error at once, with line and column; what the grammar allows but makes no sense (a step that
does not exist, a name used twice) is collected and told all at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from test_rig.errors import Problem, SpecSyntaxError
from test_rig.scenario.spec import (
    KEYWORDS,
    Blocker,
    Permutation,
    PermutationStep,
    SessionSpec,
    Spec,
    Step,
)

__all__ = ["parse_spec", "read_spec"]

# What the tester's scanner skips; a newline is skipped between tokens too, but stays in SQL.
_SPACE = " \t\r\f\v"
_TOKEN = re.compile(
    rf"(?P<skip>[{_SPACE}\n]+|\#[^\n\r]*)"
    r"|(?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)"
    r'|(?P<quoted>"(?:[^"\n]|"")*")'
    r"|(?P<block>\{[^}]*\})"
    r"|(?P<number>[0-9]+)"
    r"|(?P<sign>[,()*])"
)
_NAME = "a name"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    """A word, name, block, number or sign. `kind` is what the grammar asks for."""

    kind: str
    text: str
    offset: int


def read_spec(path: str | Path) -> Spec:
    """Return the specification in a file.

    Raises:
        SpecSyntaxError: The file cannot be read, or is no specification.
    """
    file = str(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecSyntaxError(f"cannot be read: {reason}", file=file, line=1, column=1) from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        raise SpecSyntaxError(
            "is no UTF-8 text",
            file=file,
            line=before.count(b"\n") + 1,
            column=len(before) - (before.rfind(b"\n") + 1) + 1,
            todo="save it as UTF-8",
        ) from error
    return parse_spec(text, file=file)


def parse_spec(text: str, *, file: str = "<spec>") -> Spec:
    """Return the specification that a text holds.

    Args:
        text: The specification.
        file: What error messages call it.

    Raises:
        SpecSyntaxError: It breaks the grammar (told at the first such place), or it names what is
            not there or names something twice (all such places in one message).
    """
    return _Parser(text, file).spec()


class _Parser:
    """A recursive descent over the tokens; remembers where names stood, for the checks."""

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file = text, file
        self._tokens = list(self._scan())
        self._next = 0
        self._problems: list[Problem] = []
        #: Where each name of the sessions and steps stood first.
        self._sessions: dict[str, _Token] = {}
        self._steps: dict[str, str] = {}
        #: Permutations with their names' tokens, checked when every step is known.
        self._claims: list[list[tuple[_Token, list[_Token]]]] = []

    # Tokens

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                self._unreadable(at)
            if match.lastgroup != "skip":
                yield self._token(match.lastgroup, match.group(), at)
            at = match.end()
        yield _Token(kind="the end", text="", offset=at)

    @staticmethod
    def _token(group: str, text: str, at: int) -> _Token:
        if group == "quoted":
            return _Token(kind=_NAME, text=text[1:-1].replace('""', '"'), offset=at)
        if group == "word":
            return _Token(kind=text if text in KEYWORDS else _NAME, text=text, offset=at)
        if group == "block":
            return _Token(kind="a { SQL } block", text=text[1:-1].strip(_SPACE), offset=at)
        return _Token(kind="a number" if group == "number" else text, text=text, offset=at)

    def _unreadable(self, at: int) -> NoReturn:
        character = self._text[at]
        if character == "{":
            self._fail("this SQL block has no closing brace", at, todo="add }")
        if character == '"':
            ends = "is not closed before the end of its line"
            self._fail(f"this quoted name {ends}", at, todo='add "')
        self._fail(f"unexpected character {character!r}", at)

    def _where(self, offset: int) -> tuple[int, int]:
        before = self._text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def _fail(self, what: str, offset: int, *, todo: str | None = None) -> NoReturn:
        line, column = self._where(offset)
        raise SpecSyntaxError(what, file=self._file, line=line, column=column, todo=todo)

    @property
    def _kind(self) -> str:
        return self._tokens[self._next].kind

    def _take(self, kind: str, what: str | None = None) -> _Token:
        token = self._tokens[self._next]
        if token.kind != kind:
            found = token.kind if token.kind == "the end" else repr(token.text)
            if token.kind == "a { SQL } block":
                found = token.kind
            todo = None
            if kind == _NAME and token.kind in KEYWORDS:
                todo = f'a keyword used as a name must be quoted: "{token.text}"'
            self._fail(f"expected {what or kind}, found {found}", token.offset, todo=todo)
        self._next += 1
        return token

    def _many(self, kind: str, parse: Callable[[], object]) -> None:
        while self._kind == kind:
            parse()

    # The grammar

    def spec(self) -> Spec:
        """Return the whole text's spec, after the checks."""
        setup: list[str] = []
        sessions: list[SessionSpec] = []
        permutations: list[Permutation] = []
        self._many("setup", lambda: setup.append(self._after("setup")))
        teardown = self._after("teardown") if self._kind == "teardown" else None
        sessions.append(self._session())
        self._many("session", lambda: sessions.append(self._session()))
        self._many("permutation", lambda: permutations.append(self._permutation()))
        self._take("the end", "session, permutation or the end")
        self._check_permutations()
        self._tell_problems()
        return Spec(
            setup=tuple(setup),
            teardown=teardown,
            sessions=tuple(sessions),
            permutations=tuple(permutations),
        )

    def _after(self, word: str) -> str:
        self._take(word)
        return self._take("a { SQL } block", f"a {{ SQL }} block after {word}").text

    def _session(self) -> SessionSpec:
        self._take("session")
        name = self._take(_NAME, "the session's name")
        if name.text in self._sessions:
            self._problem(f"there is already a session {name.text!r}", name)
        self._sessions.setdefault(name.text, name)
        setup = self._after("setup") if self._kind == "setup" else None
        steps = [self._step(name.text)]
        self._many("step", lambda: steps.append(self._step(name.text)))
        teardown = self._after("teardown") if self._kind == "teardown" else None
        return SessionSpec(name=name.text, steps=tuple(steps), setup=setup, teardown=teardown)

    def _step(self, session: str) -> Step:
        self._take("step", "step, with which every session needs to have at least one")
        name = self._take(_NAME, "the step's name")
        if name.text in self._steps:
            other = self._steps[name.text]
            self._problem(f"there is already a step {name.text!r}, of session {other!r}", name)
        self._steps.setdefault(name.text, session)
        sql = self._take("a { SQL } block", f"the {{ SQL }} block of step {name.text!r}").text
        return Step(name=name.text, sql=sql)

    def _permutation(self) -> Permutation:
        self._take("permutation")
        self._claims.append([])
        steps = [self._permutation_step()]
        while self._kind == _NAME:
            steps.append(self._permutation_step())
        return Permutation(steps=tuple(steps))

    def _permutation_step(self) -> PermutationStep:
        name = self._take(_NAME, "a step's name")
        marks: list[_Token] = []
        self._claims[-1].append((name, marks))
        if self._kind != "(":
            return PermutationStep(step=name.text)
        self._take("(")
        blockers = [self._blocker(marks)]
        while self._kind == ",":
            self._take(",")
            blockers.append(self._blocker(marks))
        self._take(")", ", or )")
        return PermutationStep(step=name.text, blockers=tuple(blockers))

    def _blocker(self, marks: list[_Token]) -> Blocker:
        if self._kind == "*":
            self._take("*")
            return Blocker()
        name = self._take(_NAME, "* or a step's name")
        marks.append(name)
        if self._kind != "notices":
            return Blocker(step=name.text)
        self._take("notices")
        number = self._take("a number", "the number of notices")
        if len(number.text) > _DIGITS:
            self._problem("so many notices will never come", number)
            return Blocker(step=name.text, notices=0)
        return Blocker(step=name.text, notices=int(number.text))

    # What the grammar cannot say

    def _problem(self, what: str, token: _Token, todo: str | None = None) -> None:
        line, column = self._where(token.offset)
        self._problems.append(Problem(where=f"{self._file}:{line}:{column}", what=what, todo=todo))

    def _check_permutations(self) -> None:
        known = ", ".join(self._steps)
        for claim in self._claims:
            present = {name.text for name, _ in claim}
            for name, marks in claim:
                if name.text not in self._steps:
                    self._problem(f"there is no step {name.text!r}", name, f"known: {known}")
                for mark in marks:
                    self._check_marker(name.text, mark, present)

    def _check_marker(self, step: str, mark: _Token, present: set[str]) -> None:
        if mark.text not in present:
            self._problem(f"step {mark.text!r} is not in this permutation", mark)
        elif step in self._steps and self._steps.get(mark.text) == self._steps[step]:
            self._problem(f"step {step!r} cannot be held up by its own session", mark)

    def _tell_problems(self) -> None:
        if not self._problems:
            return
        first, *others = self._problems
        line, column = (int(part) for part in first.where.rsplit(":", 2)[1:])
        more = "".join(f"\n{problem}" for problem in others)
        todo = first.todo if not more else None
        hint = f" ({first.todo})" if more and first.todo else ""
        what = f"{first.what}{hint}{more}"
        raise SpecSyntaxError(what, file=self._file, line=line, column=column, todo=todo)


#: More digits than any count of notices needs, and fewer than Python refuses to read.
_DIGITS = 9
