"""What a handler did to the database: every statement, and whether it looked at the answers."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, SupportsIndex

import msgspec

from test_rig.machine import State
from test_rig.resilience import MASK, without_passwords
from test_rig.suite.journal import Journal
from test_rig.suite.order import sendable
from test_rig.targets import Row, Session, SqlEvent, foreign_to
from test_rig.verdict import StatementRecord

__all__ = ["Evidence", "Recorder", "noted"]

#: So many statements are kept from the beginning of a handler, and as many from its end.
KEPT = 500
#: Longer texts and messages are cut.
LONGEST_SQL = 4000
_SECRET = re.compile(
    r"((?:IDENTIFIED\s+(?:WITH\s+\S+\s+)?BY|PASSWORD)\s*(?:=|\()?\s*)('(?:[^']|'')*'|\"[^\"]*\")",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen of one handler."""

    #: Those that it sent itself, in order.
    statements: tuple[StatementRecord, ...] = ()
    #: How many there were.
    count: int = 0
    #: How many answers with rows it got, and how many of them it looked at.
    answers: int = 0
    looked_at: int = 0
    #: Sessions that it opened itself and left open, by name.
    left_open: tuple[str, ...] = ()


class _Answer(list[Row]):
    """Rows that note when somebody first looks at them."""

    __slots__ = ("looks",)

    #: Goes on by one at the first look.
    looks: Iterator[int] | None

    def _looked(self) -> None:
        looks = self.looks
        if looks is not None:
            self.looks = None
            next(looks)

    def __iter__(self) -> Iterator[Row]:
        self._looked()
        return super().__iter__()

    def __len__(self) -> int:
        self._looked()
        return super().__len__()

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        self._looked()
        return super().__getitem__(index)

    def __contains__(self, item: object) -> bool:
        self._looked()
        return super().__contains__(item)

    def __eq__(self, other: object) -> bool:
        self._looked()
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        self._looked()
        return super().__ne__(other)

    __hash__ = None  # as a list

    def __repr__(self) -> str:
        self._looked()
        return super().__repr__()


#: An event, the state that the machine was in, and the dialect's family and product.
_Seen = tuple[SqlEvent, str, str, str]
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Seen)


class Recorder:
    """Keeps the evidence of one handler's run.

    Args:
        state: Where the machine is.
        is_own: Whether what is done in a state is the handler's doing, not the rig's.
        secret: The target's password, which is in no evidence.
        on_session: Told the server's number of every session.
        journal: Where statements are noted, as they come; it holds nothing yet.
    """

    def __init__(
        self,
        state: Callable[[], State],
        is_own: Callable[[State], bool],
        *,
        secret: str | None,
        on_session: Callable[[int], None],
        journal: Journal,
    ) -> None:
        self._state, self._is_own, self._secret = state, is_own, secret
        self._on_session, self._journal = on_session, journal
        self._guard = threading.Lock()
        # Counting by `next` needs no lock.
        self._answers, self._looks = count(), count()
        # Where the machine was when it was last asked; a name, and whether that is the handler's.
        self._here: State | None = None
        self._name, self._is_watched = "", False
        self._own_sessions: list[Session] = []

    def opened(self, session: Session) -> None:
        """Note that a session was opened, and listen to it."""
        self._on_session(session.backend_id)
        dialect = session.dialect
        if self._is_own(self._state()):
            self._own_sessions.append(session)
        session.hand_over = self._hand_over
        session.listen(self._listener(dialect.family, dialect.product))

    def evidence(self) -> Evidence:
        """Close what the handler left open, and return what was seen."""
        left = [session for session in self._own_sessions if session.is_usable]
        for session in left:
            session.close()
        with self._guard:
            self._is_own, self._here = _nobodys, None
            how_many, notes = self._journal.read()
        return Evidence(
            statements=noted(notes, self._secret),
            count=how_many,
            answers=next(self._answers),
            looked_at=next(self._looks),
            left_open=tuple(session.name for session in left),
        )

    def _hand_over(self, rows: list[Row]) -> list[Row]:
        # What the statement was recorded as, a moment ago.
        if not rows or not self._is_watched:
            return rows
        next(self._answers)
        answer = _Answer(rows)
        answer.looks = self._looks
        return answer

    def _arrive(self, state: State) -> None:
        self._name, self._is_watched, self._here = str(state), self._is_own(state), state

    def _listener(self, family: str, product: str) -> Callable[[SqlEvent], None]:
        """Return what records the statements of a session: little, since each of them waits."""
        state_now, guard = self._state, self._guard
        note, encode = self._journal.note, _ENCODER.encode

        def record(event: SqlEvent) -> None:
            state = state_now()
            if state is not self._here:
                self._arrive(state)
            if not self._is_watched:
                return
            if type(event.sql) is not str or len(event.sql) > LONGEST_SQL:
                event = event._replace(sql=_text(event.sql))
            seen = (event, self._name, family, product)
            try:
                text = encode(seen)
            except UnicodeEncodeError:
                text = encode(sendable(msgspec.to_builtins(seen)))
            with guard:
                note(text)

        return record


def _nobodys(_: State) -> bool:
    """Say of any state that what is done there counts no more."""
    return False


def _text(sql: object) -> str:
    """Return a statement's text, cut; some drivers take bytes."""
    if isinstance(sql, bytes | bytearray):
        return bytes(sql[:LONGEST_SQL]).decode("utf-8", "replace")
    return str(sql)[:LONGEST_SQL]


def noted(notes: Sequence[bytes], secret: str | None) -> tuple[StatementRecord, ...]:
    """Return the statements of which notes were kept: the first ones and the last."""
    if len(notes) > 2 * KEPT:
        notes = (*notes[:KEPT], *notes[-KEPT:])
    return tuple(_told(seen, secret) for note in notes for seen in _decoded(note))


def _decoded(note: bytes) -> Iterator[_Seen]:
    with suppress(msgspec.MsgspecError):  # the process that has ended wrote over it
        yield _DECODER.decode(note)


def _told(seen: _Seen, secret: str | None) -> StatementRecord:
    event, state, family, product = seen
    failure = event.failure
    foreign = None
    if failure is not None and not failure.ends_session:
        foreign = foreign_to(event.sql, family=family, product=product)
    return StatementRecord(
        session=event.session,
        state=state,
        sql=_safe(event.sql, secret),
        duration_s=event.duration_s,
        row_count=event.row_count,
        error=event.error,
        code=None if failure is None else failure.code,
        sqlstate=None if failure is None else failure.sqlstate,
        message=None if failure is None else _safe(failure.message, secret),
        unsupported=foreign,
        warnings=tuple(_safe(text, secret) for text in event.notices[:20]),
    )


def _safe(text: str, secret: str | None) -> str:
    text = _SECRET.sub(rf"\1'{MASK}'", text[:LONGEST_SQL])
    if secret is not None and len(secret) >= 3:
        text = text.replace(secret, MASK)
    return without_passwords(text)
