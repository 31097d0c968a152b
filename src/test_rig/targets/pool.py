"""A bounded pool of sessions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from test_rig.errors import (
    ErrorCategory,
    Failure,
    FailureKind,
    Outcome,
    PoolExhausted,
    TargetError,
)
from test_rig.targets.connection import ConnectionConfig
from test_rig.targets.session import Session
from test_rig.targets.target import Target
from test_rig.targets.url import TargetUrl

__all__ = ["ConnectionPool", "PoolConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """How large a pool is, and how patient."""

    #: The most sessions open at a time.
    size: int = 5
    #: Seconds to wait for a free session.
    wait_s: float = 30.0
    #: Ask a session that was idle for longer than this many seconds for an answer before a loan.
    check_after_s: float = 1.0


class ConnectionPool:
    """A bounded pool of sessions of one target, opened as they are needed.

    A session is checked before it is lent again and replaced if it is dead; one that comes back
    with an open transaction is rolled back. Thread-safe.

    Args:
        pool_config: Its size and patience.
        connection_config: Where to connect: a target, a URL or its text, or its parts.
    """

    def __init__(
        self,
        pool_config: PoolConfig,
        connection_config: Target | TargetUrl | ConnectionConfig | str,
    ) -> None:
        if pool_config.size < 1:
            raise ValueError(f"a pool of {pool_config.size} sessions serves nobody: use 1 or more")
        self._config = pool_config
        if isinstance(connection_config, ConnectionConfig):
            connection_config = connection_config.url
        self._target = (
            connection_config
            if isinstance(connection_config, Target)
            else Target.open(connection_config)
        )
        self._free: deque[tuple[Session, float]] = deque()
        self._lent: set[Session] = set()
        # Places in the pool whose session is being opened or closed just now.
        self._reserved = 0
        self._made = 0
        self._closed = False
        self._changed = Condition()

    @property
    def open_count(self) -> int:
        """Sessions open now, lent or free."""
        with self._changed:
            return len(self._free) + len(self._lent) + self._reserved

    def get_connection(self) -> Session:
        """Lend a session, opening one where the size allows.

        Raises:
            PoolExhausted: None became free within the wait limit, or the pool is closed.
            ConnectFailed: A new session could not be opened.
        """
        until = time.monotonic() + self._config.wait_s
        while True:
            candidate = self._take(until)
            if candidate is None:
                return self._open()
            session, since = candidate
            try:
                if self._answers(session, since):
                    return session
            except BaseException:
                self._discard(session)
                raise
            self._discard(session)

    def _take(self, until: float) -> tuple[Session, float] | None:
        """Take a free session, or the right to open one (None)."""
        with self._changed:
            while True:
                if self._closed:
                    raise self._exhausted("the pool is closed")
                if self._free:
                    entry = self._free.pop()  # the last used is the likeliest to be alive
                    self._lent.add(entry[0])
                    return entry
                if len(self._lent) + self._reserved < self._config.size:
                    self._reserved += 1
                    return None
                if not self._changed.wait(until - time.monotonic()):
                    raise self._exhausted(
                        f"all {self._config.size} sessions were in use "
                        f"for {self._config.wait_s:g} s"
                    )

    def _open(self) -> Session:
        """Open a session in the place that `_take` has reserved."""
        with self._changed:
            name = f"pool_{self._made}"
            self._made += 1
        try:
            session = self._target.connect(name)
        except BaseException:
            self._settle(None)
            raise
        with self._changed:
            self._reserved -= 1
            self._lent.add(session)
        return session

    def _settle(self, session: Session | None) -> None:
        """Give a reserved place back, with the session that is free in it, if there is one."""
        with self._changed:
            self._reserved -= 1
            is_kept = session is not None and session.is_usable and not self._closed
            if session is not None and is_kept:
                self._free.append((session, time.monotonic()))
            self._changed.notify()
        if session is not None and not is_kept:
            session.close()

    def _answers(self, session: Session, since: float) -> bool:
        if time.monotonic() - since < self._config.check_after_s:
            return session.is_usable
        try:
            session.ping()
        except TargetError:
            return False
        return True

    def return_connection(self, session: Session) -> None:
        """Take a session back.

        Raises:
            ValueError: It is not lent by this pool: returned twice, or another's.
        """
        with self._changed:
            if session not in self._lent:
                raise ValueError(f"session {session.name} is not on loan from this pool")
            # Now, under the lock: of two threads that return it, one is told that it is wrong.
            self._lent.discard(session)
            self._reserved += 1
        try:
            if session.is_usable:
                session.rollback()
        except TargetError:
            session.close()
        finally:
            self._settle(session)

    def _discard(self, session: Session) -> None:
        with self._changed:
            self._lent.discard(session)
            self._reserved += 1
        session.close()
        self._settle(None)

    @contextmanager
    def connection(self) -> Iterator[Session]:
        """Lend a session for the time of a block."""
        session = self.get_connection()
        try:
            yield session
        finally:
            self.return_connection(session)

    def close(self) -> None:
        """Close the free sessions; lent ones are closed when they come back."""
        with self._changed:
            self._closed = True
            free, self._free = list(self._free), deque()
            self._changed.notify_all()
        for session, _ in free:
            session.close()

    def __enter__(self) -> ConnectionPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _exhausted(self, what: str) -> PoolExhausted:
        return PoolExhausted(
            what,
            failure=Failure(
                category=ErrorCategory.TRANSIENT,
                kind=FailureKind.RESOURCE,
                outcome=Outcome.FAIL,
                ends_transaction=False,
            ),
            address=self._target.url.address(),
            todo="return sessions sooner, or raise database.pool_size",
        )
