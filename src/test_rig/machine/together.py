"""Several machines at the same time, each with a connection and handlers of its own.

Each machine runs as always, in threads of its own; an event loop that belongs to this run alone
only waits for them, so that Ctrl-C, or cancelling the task that awaits, ends all of them with their
`exit` called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar, cast

from test_rig.errors import MachineError, UsageError
from test_rig.machine.awaiting import Finished, Pending
from test_rig.machine.context import StateContext, coordinate
from test_rig.machine.coordination import ConnectionCoordinator, Party
from test_rig.machine.engine import DynamicStateMachine, Handler, StateMachine
from test_rig.machine.handler import StateHandler
from test_rig.machine.limits import Limits
from test_rig.machine.loading import bound_state
from test_rig.machine.result import RunResult
from test_rig.machine.run import is_in_event_loop
from test_rig.machine.shared import ConnectionState
from test_rig.machine.states import OFF_PATH, STANDARD_PATH, State
from test_rig.targets import ConnectionConfig, Target, TargetUrl

__all__ = ["CoordinatedResult", "MultiConnectionStateMachine", "run_machines", "wait_or_pend"]

T = TypeVar("T")
#: Where a connection leads.
Place = str | TargetUrl | Target | ConnectionConfig


class CoordinatedResult(dict[str, RunResult], Finished):
    """The result of each connection's run, by its name. Awaiting it gives itself."""

    @property
    def passed(self) -> bool:
        """Whether every connection's run passed."""
        return all(result.passed for result in self.values())


class _Context(StateContext):
    """A context that tells the others how far it is."""

    _name: str | None = None

    def tell(self, coordinator: ConnectionCoordinator, name: str) -> None:
        """From now on, keep the status of this connection."""
        coordinate(self, coordinator)
        self._name = name

    @property
    def current_state(self) -> State:
        """Where the machine is."""
        return self._current

    @current_state.setter
    def current_state(self, state: State) -> None:
        self._current = state
        if self._name is not None:
            self._told(self._name, _progress(state))

    def _told(self, name: str, status: ConnectionState) -> None:
        shared = self.coordinator.shared_state
        with shared.changed:
            before = shared.connection_status[name].status
            shared.update_status(name, status)
            if status is ConnectionState.CONNECTED and before is ConnectionState.CONNECTING:
                shared.record("ConnectionEstablished", connection_id=name)
                if self.coordinator.all_connections_ready():
                    shared.record("AllConnectionsReady")


def _progress(state: State) -> ConnectionState:
    if state in OFF_PATH:
        return ConnectionState.MONITORING
    if state not in STANDARD_PATH:
        return ConnectionState.TESTING
    place = STANDARD_PATH.index(state)
    connecting = STANDARD_PATH.index(State.Connecting)
    if place <= connecting:
        return ConnectionState.CONNECTING if place == connecting else ConnectionState.DISCONNECTED
    return ConnectionState.CONNECTED


class MultiConnectionStateMachine:
    """Runs a machine for each connection at the same time; a coordinator lets them meet.

    >>> machine = MultiConnectionStateMachine(ConnectionCoordinator(), target="sqlite://")
    >>> class Meeting(StateHandler):
    ...     def execute(self, context):
    ...         context.coordinator.barrier("met")
    ...         return "Completed"
    >>> machine.add_connection("primary", Meeting)
    >>> machine.add_connection("secondary", Meeting)
    >>> machine.run_with_coordination().passed
    True

    Args:
        coordinator: What handlers find as `context.coordinator`; a new one if None.
        target: Where connections lead that say nothing else; None: a private SQLite file that all
            of them share.
        limits: When a connection's run is ended; None: `GlobalConfig.test_duration` limits it.
    """

    def __init__(
        self,
        coordinator: ConnectionCoordinator | None = None,
        *,
        target: Place | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._coordinator = coordinator or ConnectionCoordinator()
        self._default = target
        config = self._coordinator.shared_state.global_config
        self._limits = limits or Limits(run_s=config.test_duration, run_name="test_duration")
        self._machines: dict[str, StateMachine] = {}

    @property
    def coordinator(self) -> ConnectionCoordinator:
        """What lets the connections meet."""
        return self._coordinator

    def get_coordinator(self) -> ConnectionCoordinator:
        """Return what lets the connections meet."""
        return self._coordinator

    def state_machine_count(self) -> int:
        """Return how many connections there are."""
        return len(self._machines)

    def add_connection(
        self,
        name: str,
        handler_or_info: Handler | Iterable[Handler] | Place | None = None,
        info: Place | None = None,
    ) -> None:
        """Add a connection.

        Its machine goes the standard path, then calls its handlers: one with a class attribute
        `state` at that state, any other as a whole test.

        Args:
            name: How results, messages and reports call it.
            handler_or_info: A handler, its class, or several; or where it leads, where nothing but
                the standard path is wanted.
            info: Where it leads: a URL, `host:port`, a `ConnectionConfig` or a `Target`; None: to
                the target of the whole.

        Raises:
            UsageError: There is a connection of that name, or something is no handler.
            TargetUrlError: The place is no address.
        """
        handlers: Iterable[Handler] = ()
        if isinstance(handler_or_info, str | TargetUrl | Target | ConnectionConfig):
            if info is not None:
                raise UsageError("where it leads is given twice", where=f"add_connection({name!r})")
            info = handler_or_info
        elif isinstance(handler_or_info, Iterable):
            handlers = handler_or_info
        elif handler_or_info is not None:
            handlers = (handler_or_info,)
        target = self._shared_target() if info is None else _target_of(info)
        machine = DynamicStateMachine(context=_Context(target=target), limits=self._limits)
        for handler in handlers:
            _register(machine, handler)
        url = target.url
        self._coordinator.add_connection(
            name, host=url.host or url.address(), port=url.port, username=url.user
        )
        self._machines[name] = machine

    def _shared_target(self) -> Target:
        if not isinstance(self._default, Target):
            self._default = _target_of(self._default or "sqlite://")
        return self._default

    def run_with_coordination(self) -> CoordinatedResult:
        """Run all connections at the same time and return their results, which may be awaited.

        Within an event loop it does not block: it must be awaited there, and runs then. When a
        connection has ended, whoever waits for it is told so.

        Raises:
            MachineError: There is no connection, or one is running already.
        """
        return cast("CoordinatedResult", wait_or_pend(self._run(), "run_with_coordination()"))

    run_all = run_with_coordination

    async def _run(self) -> CoordinatedResult:
        if not self._machines:
            raise MachineError("there is no connection", todo="add_connection(name, handler)")
        self._coordinator.begin()
        try:
            results = await run_machines(
                {name: self._one(name, machine) for name, machine in self._machines.items()}
            )
        finally:
            self._coordinator.end("the run is over")
        self._coordinator.shared_state.record("TestCompleted")
        return CoordinatedResult(results)

    async def _one(self, name: str, machine: StateMachine) -> RunResult:
        context, shared = machine.get_context(), self._coordinator.shared_state
        shared.update_status(name, ConnectionState.DISCONNECTED)
        cast("_Context", context).tell(self._coordinator, name)
        self._coordinator.enter_as(Party(name=name, context=context))
        running: asyncio.Task[RunResult] = asyncio.ensure_future(machine.run())
        try:
            result = await asyncio.shield(running)
        except asyncio.CancelledError:
            self._coordinator.end("the run was interrupted")
            if not running.cancelling():  # as it is where the loop ends as a whole
                running.cancel()
            await asyncio.wait([running])
            raise
        if result.error is None:
            shared.update_status(name, ConnectionState.COMPLETED)
            shared.record("ConnectionCompleted", connection_id=name)
        else:
            message = result.error.message
            shared.update_status(name, ConnectionState.ERROR, error_message=message)
            shared.record("ConnectionFailed", connection_id=name, detail=message)
        return result


def _target_of(info: Place) -> Target:
    if isinstance(info, Target):
        return info
    return Target.open(info.url if isinstance(info, ConnectionConfig) else info)


def _register(machine: StateMachine, handler: Handler) -> None:
    kind = handler if isinstance(handler, type) else type(handler)
    state = bound_state(kind) if issubclass(kind, StateHandler) else None
    if state is None:
        machine.register_test(handler)
    else:
        machine.register_handler(state, handler)


async def run_machines(runs: Mapping[str, Coroutine[Any, Any, T]]) -> dict[str, T]:
    """Await runs at the same time and return what each gives, by its name.

    All are awaited to their end, also when one raises, or when this is cancelled.
    """
    # Without `return_exceptions` the first that raises, or is cancelled, would be the end of it.
    results = await asyncio.gather(*runs.values(), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return dict(zip(runs, cast("list[T]", results), strict=True))


def wait_or_pend(run: Coroutine[Any, Any, T], name: str) -> T | Pending[T]:
    """Return what a run gives; within an event loop, what is to be awaited there."""
    if is_in_event_loop():
        return Pending(
            run, frozenset({"passed", "items", "values"}), todo=f"write `await` before {name}"
        )
    return asyncio.run(run)
