"""Private places to work in, and somebody who watches who waits there for whom."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from test_rig.errors import ErrorCategory, FailureKind, TargetError
from test_rig.targets.dialect import Dialect, LevelSpec
from test_rig.targets.session import Session
from test_rig.targets.url import TargetUrl

if TYPE_CHECKING:
    from test_rig.targets.target import Target

__all__ = ["Observer", "Opener", "Scratch"]


class Opener(Protocol):
    """Opens a session at an address of the target's server."""

    def __call__(self, name: str, url: TargetUrl, level: LevelSpec | None) -> Session:
        """Return the session, fit for scenarios: it fails or waits visibly."""


class Scratch:
    """A private namespace of a target. Made by `Target.scratch`.

    Args:
        target: Whose it is.
        name: The namespace's name on the server, or of the folder.
        place: The URL that leads into it.
        opener: How sessions are opened there.
    """

    def __init__(self, target: Target, name: str, place: TargetUrl, opener: Opener) -> None:
        self.target, self.name = target, name
        self._place, self._open = place, opener
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()

    @property
    def dialect(self) -> Dialect:
        """The target's dialect."""
        return self.target.dialect

    @property
    def url(self) -> TargetUrl:
        """The address that leads into it, for other processes."""
        return self._place

    def connect(self, name: str, *, level: LevelSpec | None = None) -> Session:
        """Open a session inside the namespace, fit for scenarios: it fails or waits visibly."""
        place = self._place
        if level is not None and level.options and place.is_embedded:
            # Journal modes belong to files, so each mode has one of its own.
            place = replace(place, path=f"{place.path}-{level.key}")
        if place.scheme in ("sqlite", "memory"):
            place = place.with_options(busy_timeout="0")
        session = self._open(name, place, level)
        self._sessions.add(session)
        return session

    def observer(self) -> Observer:
        """Return somebody who asks the server who waits for whom."""
        return self.target.observer()

    def end_sessions(self) -> None:
        """End the sessions that are still open: their locks would keep the namespace from going."""
        for session in list(self._sessions):
            if session.is_busy:
                session.cancel()  # a server does not notice a cut link while a statement waits
            session.give_up("its scratch namespace is gone")


#: So many questions in a row without an answer mean that there will be none.
_MOST_FAILURES = 10


class Observer:
    """Asks the server who waits for whom, on a session of its own.

    `can_tell` is False where the server does not say (no right to its lock views, connection
    lost): nobody is then ever said to be blocked, and `why_not` tells the reason.

    Args:
        session: What it asks with, and owns from now on.
    """

    def __init__(self, session: Session) -> None:
        self.can_tell = True
        self.why_not: str | None = None
        self._failures = 0
        self._session = session
        self._view = session.dialect.blocked_view(session.execute)
        #: Whether sessions of this database ever wait for each other at all.
        self.can_block = self._view is not None

    def blocked(self, sessions: Sequence[Session]) -> Mapping[str, tuple[str, ...]]:
        """Return the waiting sessions' names, each with those it waits for, as far as told."""
        if self._view is None or not self.can_tell or not sessions:
            return {}
        names = {session.backend_id: session.name for session in sessions}
        try:
            waits = self._view(list(names))
        except TargetError as error:
            self._failures += 1
            self.why_not = _why_not(error)
            self.can_tell = self._may_ask_again(error)
            return {}
        self._failures, self.why_not = 0, None
        return {
            names[one]: tuple(names[other] for other in others if other in names)
            for one, others in waits.items()
        }

    def _may_ask_again(self, error: TargetError) -> bool:
        # A question can fail for reasons of the moment; a missing right stays missing.
        return (
            self._session.is_usable
            and error.category is not ErrorCategory.PERMANENT
            and self._failures < _MOST_FAILURES
        )

    def close(self) -> None:
        """Close its session."""
        with suppress(TargetError):
            self._session.close()


def _why_not(error: TargetError) -> str:
    if error.failure.kind is FailureKind.PERMISSION:
        return f"the user may not see the lock views: {error.what}"
    return error.what
