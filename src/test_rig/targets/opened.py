"""Telling of sessions as they are opened, whoever opens them.

For evidence: what a handler did is known only if each of its sessions is, also one that it opened
through a target of its own. What the rig opens for itself (observers, greetings, helpers that
cancel and kill) is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from test_rig.targets.session import Session

__all__ = ["observe_sessions", "tell_of"]

Told = Callable[[Session], None]
_TOLD: list[Told] = []


@contextmanager
def observe_sessions(told: Told) -> Iterator[None]:
    """Be told of every session that is opened in this process while the block runs.

    Args:
        told: Called in the thread that opens it, before anything else is sent.
    """
    _TOLD.append(told)
    try:
        yield
    finally:
        _TOLD.remove(told)


def tell_of(session: Session) -> None:
    """Tell whoever observes."""
    for told in tuple(_TOLD):
        told(session)
