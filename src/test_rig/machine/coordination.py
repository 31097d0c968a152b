"""How the connections of one test meet: barriers, messages, shared values.

How to think of it: everything is kept here and waited for in the `waitroom`. Who it is that waits
is known by a context variable, which the machine of each connection carries into all its calls;
from elsewhere `connection` says it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from test_rig.errors import MachineError, UsageError
from test_rig.machine.context import StateContext
from test_rig.machine.shared import ConnectionState, ConnectionStatus, SharedState
from test_rig.machine.waiting import Waiting
from test_rig.machine.waitroom import WaitRoom, Want

__all__ = ["ConnectionCoordinator", "Message", "Party"]

_ANY: Any = object()
#: How reports call whoever is no connection.
_OUTSIDE = "the outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one connection told another."""

    #: None where it came from outside of the test.
    sender: str | None
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who is running: a connection, with the context of its machine."""

    name: str
    context: StateContext


@dataclass(slots=True)
class _Barrier:
    """One passing of a barrier."""

    parties: frozenset[str] | None
    arrived: list[str] = field(default_factory=list)
    is_open: bool = False
    #: Why nobody can pass any more.
    broken: MachineError | None = None


class ConnectionCoordinator:
    """Connects the handlers of several connections with each other. Thread-safe.

    >>> coordinator = ConnectionCoordinator(SharedState())
    >>> coordinator.set_value("rows", 3)
    >>> coordinator.wait_for_value("rows")
    3

    Args:
        shared_state: What the connections share; a new one if None.
    """

    _current: ContextVar[Party] = ContextVar("test_rig_connection")

    def __init__(self, shared_state: SharedState | None = None) -> None:
        self._shared = SharedState() if shared_state is None else shared_state
        self._changed = self._shared.changed
        self._barriers: dict[str, _Barrier] = {}
        self._mail: dict[str, deque[Message]] = {}
        self._room = WaitRoom(self._shared)

    # Who takes part

    @property
    def shared_state(self) -> SharedState:
        """What the connections share."""
        return self._shared

    def get_shared_state(self) -> SharedState:
        """Return what the connections share."""
        return self._shared

    def add_connection(
        self,
        name: str,
        *,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
    ) -> None:
        """Let a connection take part.

        Raises:
            UsageError: There is one of that name, or there are as many as may be.
        """
        if not name or not isinstance(name, str):
            raise UsageError(f"{name!r} is no name of a connection", where="add_connection")
        with self._changed:
            self._shared.add_connection(
                ConnectionStatus(
                    connection_id=name,
                    host=host,
                    port=port,
                    username=username,
                    last_activity=self._shared.clock.utc(),
                )
            )
            self._mail[name] = deque()

    def get_connection(self, name: str) -> ConnectionStatus:
        """Return what is known of a connection.

        Raises:
            UsageError: There is none of that name.
        """
        return self._shared.connection_status[self._known(name)]

    def all_connections_ready(self) -> bool:
        """Return whether every connection is connected or further; False where there are none."""
        early = (ConnectionState.DISCONNECTED, ConnectionState.CONNECTING, ConnectionState.ERROR)
        status = self._shared.connection_status.values()
        return bool(status) and all(each.status not in early for each in status)

    # Barriers

    def barrier(
        self,
        name: str,
        *,
        parties: Sequence[str] | None = None,
        timeout_s: float | None = None,
        connection: str | None = None,
    ) -> None:
        """Wait until all have come to the barrier of that name. It can be passed again and again.

        Args:
            name: The barrier.
            parties: Who must come; None: every connection of the test.
            timeout_s: The limit; `GlobalConfig.coordination_timeout` if None.
            connection: Who comes, where the caller is no handler of a connection.

        Raises:
            CoordinationTimeout: Not all came; nobody who waits passes then.
            MachineError: Somebody who must come has ended.
            UsageError: `parties` are not those that others named, or lack the caller.
        """
        me = self._me(connection)
        with self._changed:
            barrier = self._barriers.setdefault(name, _Barrier(self._checked(parties, me)))
            if barrier.parties != (None if parties is None else frozenset(parties)):
                raise UsageError(
                    f"barrier {name!r} has other parties", where=me, todo="name the same ones"
                )
            if me in barrier.arrived:
                raise UsageError(f"{me} waits at barrier {name!r} already", where=me)
            barrier.arrived.append(me)
            if not self._missing_at(barrier):
                self._open(name, barrier)
                return
            want = Want(
                what=f"barrier {name!r}",
                has_come=lambda: barrier.is_open or barrier.broken is not None,
                waits_for=lambda: self._missing_at(barrier),
            )
            with self._breaking(name, barrier):
                self._wait(me, want, timeout_s)
            if barrier.broken is not None:
                raise type(barrier.broken)(
                    f"barrier {name!r} is broken: {barrier.broken}", where=me
                )

    def _checked(self, parties: Sequence[str] | None, me: str) -> frozenset[str] | None:
        if parties is None:
            return None
        found = frozenset(self._known(name) for name in parties)
        if me not in found:
            raise UsageError(f"{me} is not among the parties of its barrier", where=me)
        return found

    def _missing_at(self, barrier: _Barrier) -> tuple[str, ...]:
        names = self._mail if barrier.parties is None else sorted(barrier.parties)
        return tuple(name for name in names if name not in barrier.arrived)

    def _open(self, name: str, barrier: _Barrier) -> None:
        barrier.is_open = True
        del self._barriers[name]
        self._shared.record("BarrierPassed", detail=name)

    @contextmanager
    def _breaking(self, name: str, barrier: _Barrier) -> Iterator[None]:
        """Let nobody pass a barrier to which somebody will not come."""
        try:
            yield
        except MachineError as error:
            if barrier.broken is None and not barrier.is_open:
                barrier.broken = error
                self._barriers.pop(name, None)
                self._changed.notify_all()
            raise

    # Messages

    def send_message(
        self,
        to: str,
        body: Any,
        *,
        timeout_s: float | None = None,
        connection: str | None = None,
    ) -> None:
        """Send something to a connection; wait where it has too many messages to read already.

        Raises:
            CoordinationTimeout: It did not read any within the limit.
            MachineError: It has ended.
            UsageError: There is no such connection.
        """
        self._known(to)
        sender = self._known_or_none(connection)
        capacity = self._shared.global_config.message_capacity
        with self._changed:
            want = Want(
                what=f"room for a message to {to}",
                has_come=lambda: len(self._mail[to]) < capacity,
                waits_for=lambda: (to,),
            )
            self._room.refuse_hopeless(sender or _OUTSIDE, want)
            self._wait(sender or _OUTSIDE, want, timeout_s)
            self._mail[to].append(Message(sender=sender, body=body))
            self._changed.notify_all()

    def broadcast(self, body: Any, *, connection: str | None = None) -> None:
        """Send something to every other connection that has not ended; see `send_message`."""
        me = self._known_or_none(connection)
        for name in self._others(me):
            self.send_message(name, body, connection=connection)

    def receive_message(
        self,
        sender: str | None = None,
        *,
        timeout_s: float | None = None,
        connection: str | None = None,
    ) -> Message:
        """Take the oldest message, waiting for it.

        Args:
            sender: From whom; None: from anyone.
            timeout_s: The limit; `GlobalConfig.coordination_timeout` if None.
            connection: To whom, where the caller is no handler of a connection.

        Raises:
            CoordinationTimeout: None came.
            MachineError: Whoever could send one has ended.
        """
        me = self._me(connection)
        if sender is not None:
            self._known(sender)

        def mine() -> Message | None:
            fits = (each for each in self._mail[me] if sender in (None, each.sender))
            return next(fits, None)

        with self._changed:
            want = Want(
                what=f"a message from {'anyone' if sender is None else sender}",
                has_come=lambda: mine() is not None,
                waits_for=lambda: self._others(me) if sender is None else (sender,),
                is_any=sender is None,
            )
            self._wait(me, want, timeout_s)
            message = mine()
            if message is None:
                raise MachineError("two callers receive for one connection", where=me)
            self._mail[me].remove(message)
            self._changed.notify_all()
            return message

    # Values

    def set_value(self, key: str, value: Any) -> None:
        """Share a value with all connections."""
        self._shared.set(key, value)

    def get_value(self, key: str, default: Any = None) -> Any:
        """Return a shared value, or the default."""
        return self._shared.get(key, default)

    def wait_for_value(
        self,
        key: str,
        value: Any = _ANY,
        *,
        timeout_s: float | None = None,
        connection: str | None = None,
    ) -> Any:
        """Wait until a value is shared under that key, or until it is this one; return it.

        Raises:
            CoordinationTimeout: It did not come.
            MachineError: Whoever could share it has ended.
        """
        me = self._known_or_none(connection)

        def is_there() -> bool:
            return self._shared.has(key) and (value is _ANY or self._shared.get(key) == value)

        want = Want(
            what=f"value {key!r}" if value is _ANY else f"value {key!r} to be {value!r}",
            has_come=is_there,
            waits_for=lambda: self._others(me),
            is_any=True,
        )
        with self._changed:
            self._wait(me or _OUTSIDE, want, timeout_s)
            return self._shared.get(key)

    # Waiting

    def waits(self) -> list[Waiting]:
        """Return who waits for whom right now."""
        return self._room.waits()

    def wait_report(self) -> str:
        """Return who waits for whom right now, as text, a line for each connection."""
        return self._room.report()

    def _wait(self, me: str, want: Want, timeout_s: float | None) -> None:
        party = self._current.get(None)
        deadline = None if party is None else party.context.deadline
        self._room.wait(me, want, timeout_s, deadline)

    # Names

    def _known(self, name: str) -> str:
        if name not in self._mail:
            raise UsageError(
                f"there is no connection {name!r}", todo=f"known: {', '.join(self._mail) or 'none'}"
            )
        return name

    def _others(self, me: str | None) -> tuple[str, ...]:
        status = self._shared.connection_status
        return tuple(
            name for name in self._mail if name != me and not status[name].status.is_over
        ) or tuple(name for name in self._mail if name != me)

    def _known_or_none(self, connection: str | None) -> str | None:
        if connection is not None:
            return self._known(connection)
        party = self._current.get(None)
        return party.name if party is not None and party.name in self._mail else None

    def _me(self, connection: str | None) -> str:
        found = self._known_or_none(connection)
        if found is not None:
            return found
        raise UsageError(
            "it is not known who waits: this is no handler of a connection",
            todo="say connection='name'",
        )

    # For the machine that runs the connections

    def enter_as(self, party: Party) -> None:
        """Say who runs from here on, in this thread or task and what it starts."""
        self._current.set(party)

    def begin(self) -> None:
        """Say that the connections run: when all others have ended, nothing more can come."""
        with self._changed:
            self._room.is_closed_circle, self._room.why_closed = True, None
            self._barriers.clear()
            for mail in self._mail.values():
                mail.clear()

    def end(self, reason: str) -> None:
        """End every wait, for a reason that the errors will tell."""
        with self._changed:
            self._room.is_closed_circle, self._room.why_closed = False, reason
            self._changed.notify_all()
