"""What a person writes for a state: what to do on the way in, while there, and on the way out."""

from __future__ import annotations

from collections.abc import Awaitable

from test_rig.machine.context import StateContext
from test_rig.machine.states import State

__all__ = ["Answer", "StateHandler"]

#: A state, by any spelling of its name; or something to await that gives one.
Answer = str | Awaitable[str]


class StateHandler:
    """What happens in a state. Subclass it and override what is needed; each may be `async def`.

    At every visit the machine calls `enter` once, `execute` until it answers another state, and
    `exit` once: always, whatever happened before. An instance serves all visits of its state.

    >>> class Reporting(StateHandler):
    ...     def execute(self, context: StateContext) -> str:
    ...         rows = context.connection.execute_query("SELECT count(*) FROM orders")
    ...         return State.completed() if rows[0]["col_0"] else State.error("no orders")
    """

    def enter(self, context: StateContext) -> Answer:
        """Prepare. The answer announces a state; an error state ends the run, others do not divert.

        The announcement is checked and written into the trace; where to go is said by `execute`.
        """
        del context
        return State.Connecting

    def execute(self, context: StateContext) -> Answer:
        """Do the work and answer the state to go to; the own one means: call `execute` again."""
        del context
        return State.Completed

    def exit(self, context: StateContext) -> Awaitable[None] | None:
        """Clean up. Called also after an error; an open transaction is rolled back before."""
        del context
        return None
