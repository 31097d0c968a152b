"""One session of a script, and the thread that speaks through it.

How to think of it: the run hands a player one statement at a time and goes on; the player's
thread waits for the server and puts what came of it, as an event, into the run's queue. Closing a
player always ends: it cancels what runs, then cuts the connection, and joins the thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue

from test_rig.clock import Clock
from test_rig.errors import TargetError
from test_rig.scenario.moves import Ended, Noticed, RolledBack
from test_rig.targets import Result, Session

__all__ = ["Answer", "Player"]

#: How long a cancelled statement may take to end before its connection is cut, and a cut one.
_CANCEL_S = 3.0
_CUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one statement."""

    event: Ended | RolledBack | Noticed
    sql: str = ""
    start_ns: int = 0
    end_ns: int = 0
    result: Result | None = None
    error: TargetError | None = None


class Player:
    """A session with a thread of its own.

    Args:
        session: The open session, which the player owns from now on.
        answers: Where answers go; many players share it.
        clock: For the times of answers.
        deadline_s: A last limit on each statement, far beyond the schedule's own.
    """

    def __init__(
        self, session: Session, answers: SimpleQueue[Answer], *, clock: Clock, deadline_s: float
    ) -> None:
        self.session = session
        self._answers, self._clock, self._deadline_s = answers, clock, deadline_s
        self._hears_live = session.on_notice(self._notice)
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_busy = threading.Event()
        name = f"scenario-{session.name}"
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def send(self, index: int, sql: str) -> None:
        """Send a step; its `Ended` comes as an answer."""
        self._is_busy.set()
        self._jobs.put(lambda: self._play(index, sql))

    def rollback(self) -> None:
        """Roll back what is open; `RolledBack` comes as an answer."""
        self._is_busy.set()
        self._jobs.put(self._roll_back)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            self._is_busy.clear()

    def _play(self, index: int, sql: str) -> None:
        start_ns = self._clock.now_ns()
        result, error = self._execute(sql)
        end_ns = self._clock.now_ns()
        if result is not None and not self._hears_live:
            for notice in result.notices:
                self._notice(notice)
        self._answers.put(
            Answer(
                event=Ended(index=index, is_failed=error is not None),
                sql=sql,
                start_ns=start_ns,
                end_ns=end_ns,
                result=result,
                error=error,
            )
        )

    def _execute(self, sql: str) -> tuple[Result | None, TargetError | None]:
        if not sql.strip(" \t\r\n\f\v;"):
            return Result(), None  # some servers refuse an empty text, for others it is a step
        try:
            return self.session.execute(sql, deadline_s=self._deadline_s), None
        except TargetError as error:
            return None, error

    def _roll_back(self) -> None:
        start_ns, sql = self._clock.now_ns(), ""
        error: TargetError | None = None
        # After an error MySQL's protocol may still say that a transaction is open, or not yet.
        if self.session.is_usable and (
            self.session.in_transaction or self.session.dialect.family == "mysql"
        ):
            sql = "ROLLBACK"
            _, error = self._execute(sql)
        self._answers.put(
            Answer(
                event=RolledBack(session=self.session.name),
                sql=sql,
                start_ns=start_ns,
                end_ns=self._clock.now_ns(),
                error=error,
            )
        )

    def _notice(self, text: str) -> None:
        self._answers.put(Answer(event=Noticed(session=self.session.name, text=text)))

    def stop(self) -> bool:
        """End the thread, cancelling or cutting what runs; return whether the session is whole."""
        self._jobs.put(None)
        if self._is_busy.is_set():
            self.session.cancel()
        self._thread.join(_CANCEL_S)
        if self._thread.is_alive():
            self.session.give_up("a cancelled statement did not end")
            self._thread.join(_CUT_S)
        return not self._thread.is_alive() and self.session.is_usable

    def close(self) -> None:
        """End thread, transaction and session. Never raises an error of the database."""
        if self.stop():
            with suppress(TargetError):
                self.session.rollback()
        self.session.close()
