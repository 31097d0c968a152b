"""What a handler gets to work with: where to connect, the connection, a store, and the way out.

How to think of it: one context lives as long as its machine and is handed to every call. Handlers
read and write its fields; the machine fills in what the standard path finds out. What was opened
with `close_at_end` is closed when the run ends, in reverse order, however it ended.

The password is a plain attribute, since scripts need it, and is in no text the context gives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from test_rig.clock import SYSTEM_CLOCK, Clock
from test_rig.errors import MachineError, UsageError
from test_rig.machine.limits import NEVER_NS
from test_rig.machine.states import State, key_of
from test_rig.resilience import ConnectionInfo, Deadline
from test_rig.targets import ConnectionPool, PoolConfig, Session, Target, TargetUrl
from test_rig.telemetry import Alert, Emit, Measurement, emit_nothing

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from test_rig.machine.coordination import ConnectionCoordinator

__all__ = ["StateContext"]


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Close it."""


C = TypeVar("C", bound=Closable)

#: A run keeps so many measurements; listeners are told of all.
KEPT_MEASUREMENTS = 100_000


class StateContext:
    """What handlers share during a run.

    Args:
        host: A server: `host`, `host:port`, or a whole URL. Nothing at all given means a private
            SQLite file.
        port: Its port, where `host` does not say it.
        username: Who connects.
        password: Never printed.
        database: The database to work in.
        connection: An open session, which stays the caller's to close.
        connections: Open sessions of a handler that needs several.
        target: Instead of all these: a URL, or a `Target`, which stays the caller's to close.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        database: str | None = None,
        connection: Session | None = None,
        connections: list[Session] | None = None,
        *,
        target: str | TargetUrl | Target | None = None,
    ) -> None:
        self.host, self.port, self.username, self.password = host, port, username, password
        self.database = database
        #: The session in use; None before `Connecting`.
        self.connection = connection
        self.connections: list[Session] = [] if connections is None else connections
        #: As the server tells it; None before `GettingVersion`.
        self.server_version: str | None = None
        #: "PostgreSQL", "MariaDB", ...; None before `GettingVersion`.
        self.product: str | None = None
        #: How many sessions `pool()` opens at most.
        self.pool_size = 5
        self._pool: ConnectionPool | None = None
        #: Why the last run failed; None while it has not.
        self.error_message: str | None = None
        #: Where the machine is.
        self.current_state: State = State.Initial
        self._coordinator: ConnectionCoordinator | None = None
        self._opener: Callable[[TargetUrl], Target] = Target.open
        self._target: Target | None = None
        self._url: TargetUrl | None = None
        if target is not None:
            self._take_target(target)
        self._data: dict[str, Any] = {}
        self._handler_contexts: dict[str, Any] = {}
        self._to_close: list[Closable] = []
        self._listener: Emit = emit_nothing
        self._measurements: list[Measurement] = []
        self._alerts: list[Alert] = []
        self._next_state: Callable[[], State] | None = None
        self._due_ns: Callable[[], int] = _never_ns
        self._clock: Clock = SYSTEM_CLOCK

    def _take_target(self, target: str | TargetUrl | Target) -> None:
        given = (self.host, self.port, self.username, self.password, self.database)
        if any(part is not None for part in given):
            raise UsageError(
                "the target is given twice: as a target and by its parts", where="StateContext"
            )
        if isinstance(target, Target):
            self._target, url = target, target.url
        else:
            url = TargetUrl.parse(target) if isinstance(target, str) else target
        self._remember(url)

    def _remember(self, url: TargetUrl) -> None:
        self._url = url
        self.host, self.port, self.username = url.host, url.port, url.user
        self.password, self.database = url.password, url.database

    # Where to connect

    @property
    def version(self) -> str | None:
        """The server's version; another name of `server_version`."""
        return self.server_version

    @version.setter
    def version(self, value: str | None) -> None:
        self.server_version = value

    @property
    def url(self) -> TargetUrl:
        """The target's address, made of the fields as they are now.

        Raises:
            TargetUrlError: They name no target.
        """
        parts = (self.host, self.port, self.username, self.password, self.database)
        known = self._url
        if known is None or known.is_embedded:
            if all(part is None for part in parts):
                return known or TargetUrl.parse("sqlite://")
            scheme, options, port = None, {}, self.port
        elif parts == (known.host, known.port, known.user, known.password, known.database):
            return known
        else:
            scheme, options = known.scheme, dict(known.options)
            # Who sets another host with a port in it does not mean the port of the old one.
            is_stale = self.port == known.port and _names_port(self.host)
            port = None if is_stale else self.port
        made = TargetUrl.from_parts(
            host=self.host,
            port=port,
            user=self.username,
            password=self.password,
            database=self.database,
            scheme=scheme,
        )
        return replace(made, options={**options, **made.options})

    @property
    def target(self) -> Target | None:
        """The database under test, once `ParsingConfig` or `Connecting` have opened it."""
        return self._target

    def open_target(self, opener: Callable[[TargetUrl], Target] | None = None) -> Target:
        """Return the target that the fields name: the one that is open, or a new one.

        A new one is closed when the run ends. The fields are filled from its URL.

        Args:
            opener: Makes a target of an address; None: as the machine does.
        """
        opener = opener or self._opener
        url = self.url
        if self._target is None or self._target.url != url:
            self._target = self.close_at_end(opener(url))
        self._remember(url)
        return self._target

    def pool(self) -> ConnectionPool:
        """Return a pool of the target's sessions, which is closed when the run ends.

        Raises:
            MachineError: There is no target yet.
        """
        if self._target is None:
            raise MachineError("there is no target yet", todo="go through Connecting first")
        if self._pool is None:
            pool = ConnectionPool(PoolConfig(size=self.pool_size), self._target)
            self._pool = self.close_at_end(pool)
        return self._pool

    def connection_info(self) -> ConnectionInfo:
        """Return where the connection leads, without the password, for messages."""
        try:
            url = self.url
        except UsageError:
            return ConnectionInfo(
                host=str(self.host), port=self.port, user=self.username, database=self.database
            )
        if url.is_embedded:
            return ConnectionInfo(host=url.address())
        return ConnectionInfo(
            host=url.host or "", port=url.port, user=url.user, database=url.database
        )

    @property
    def coordinator(self) -> ConnectionCoordinator:
        """What connects the handler with those of other connections.

        Raises:
            MachineError: It runs for itself, not in a `MultiConnectionStateMachine`.
        """
        if self._coordinator is None:
            raise MachineError(
                "there is no coordinator: the handler runs by itself",
                todo="run it in a MultiConnectionStateMachine",
            )
        return self._coordinator

    # The store

    def set_data(self, key: str, value: Any) -> None:
        """Keep a value for later states and for whoever started the run."""
        self._data[key] = value

    def get_data(self, key: str, default: Any = None) -> Any:
        """Return a kept value, or the default."""
        return self._data.get(key, default)

    set_custom_data = set_data
    get_custom_data = get_data

    def set_handler_context(self, state: str, value: Any) -> None:
        """Keep a value that belongs to a state."""
        self._handler_contexts[key_of(state)] = value

    def get_handler_context(self, state: str, default: Any = None) -> Any:
        """Return what belongs to a state, or the default."""
        return self._handler_contexts.get(key_of(state), default)

    def remove_handler_context(self, state: str) -> Any:
        """Take away what belongs to a state and return it; None where there is nothing."""
        return self._handler_contexts.pop(key_of(state), None)

    def move_handler_context(self, from_state: str, to_state: str) -> bool:
        """Hand what belongs to one state to another; return whether there was anything."""
        source = key_of(from_state)
        if source not in self._handler_contexts:
            return False
        self._handler_contexts[key_of(to_state)] = self._handler_contexts.pop(source)
        return True

    # What goes out

    def emit(self, item: Measurement | Alert) -> None:
        """Send out a measurement or an alert. Measurements are in the run's result, too."""
        if isinstance(item, Alert):
            self._alerts.append(item)
        elif isinstance(item, Measurement):
            if len(self._measurements) < KEPT_MEASUREMENTS:
                self._measurements.append(item)
        else:
            raise UsageError(
                f"emit takes a Measurement or an Alert, not {type(item).__name__}",
                where=f"handler of {self.current_state}",
            )
        self._listener(item)

    @property
    def logger(self) -> FilteringBoundLogger:
        """A log that knows the state: `context.logger.info("loaded", rows=3)`."""
        import structlog

        log: FilteringBoundLogger = structlog.wrap_logger(
            logging.getLogger("test_rig.machine"), state=str(self.current_state)
        )
        return log

    @property
    def deadline(self) -> Deadline | None:
        """By when the running call must be over; None where there is no limit."""
        due_ns = self._due_ns()
        return None if due_ns >= NEVER_NS else Deadline(at_ns=due_ns, clock=self._clock)

    @property
    def next_state(self) -> State:
        """Where the machine would go from here by itself, for handlers that do not care.

        Raises:
            MachineError: No machine is running with this context.
        """
        if self._next_state is None:
            raise MachineError("there is no next state: no machine runs with this context")
        return self._next_state()

    # Life

    def close_at_end(self, resource: C) -> C:
        """Have something closed when the run ends, however it ends; return it."""
        self._to_close.append(resource)
        return resource

    def close_now(self, resource: Closable) -> bool:
        """Close what was to be closed at the end; return False, doing nothing, for all else."""
        if not any(resource is each for each in self._to_close):
            return False
        self._to_close = [each for each in self._to_close if each is not resource]
        resource.close()
        return True

    def sessions(self) -> list[Session]:
        """Return the sessions at hand, each once: whatever can be rolled back is one."""
        found = [self.connection, *self.connections, *self._to_close]
        once = {id(each): each for each in found if hasattr(each, "rollback")}
        return cast("list[Session]", list(once.values()))

    def __repr__(self) -> str:
        where = "?"
        with suppress(UsageError):
            where = self.url.safe()
        return f"<StateContext {where} in {self.current_state}>"


def _names_port(host: str | None) -> bool:
    return host is not None and ("://" in host or "]:" in host or host.count(":") == 1)


def _never_ns() -> int:
    return NEVER_NS


def begin(
    context: StateContext,
    *,
    listener: Emit,
    next_state: Callable[[], State],
    clock: Clock,
    due_ns: Callable[[], int],
) -> None:
    """Make a context ready for a run. For the machine.

    Args:
        context: The context.
        listener: Gets what handlers emit.
        next_state: Tells where the machine goes by itself.
        clock: The run's.
        due_ns: Tells by when the running call must be over, on that clock.
    """
    context.error_message = None
    context._clock, context._due_ns = clock, due_ns
    context._listener, context._next_state = listener, next_state
    context._measurements, context._alerts = [], []


def open_with(context: StateContext, opener: Callable[[TargetUrl], Target]) -> None:
    """Say how targets are opened. For the machine."""
    context._opener = opener


def coordinate(context: StateContext, coordinator: ConnectionCoordinator) -> None:
    """Connect a context with those of other connections. For the machine."""
    context._coordinator = coordinator


def release(context: StateContext) -> list[BaseException]:
    """Close what a run opened, the last first; return what went wrong. For the machine."""
    problems: list[BaseException] = []
    while context._to_close:
        resource = context._to_close.pop()
        if resource is context.connection:
            context.connection = None
        if resource is context._target:
            context._target = None
        if resource is context._pool:
            context._pool = None
        try:
            resource.close()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - the door: it may be a handler's own resource
            problems.append(error)
    closed = [each for each in context.connections if not getattr(each, "is_usable", True)]
    context.connections = [each for each in context.connections if each not in closed]
    context._next_state, context._due_ns = None, _never_ns
    return problems


def emitted(context: StateContext) -> tuple[tuple[Measurement, ...], tuple[Alert, ...]]:
    """Return what the run emitted. For the machine."""
    return tuple(context._measurements), tuple(context._alerts)
