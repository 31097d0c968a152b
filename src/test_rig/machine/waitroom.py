"""Where connections wait for each other, under one lock, each with a limit.

Theory of operation. All waits stand on one condition, that of the `SharedState`: whoever changes
something notifies, whoever waits looks again. A wait ends when what it waits for has come, when it
cannot come any more (a connection that is waited for has ended), or at its limit; then the error
says who waits for whom, as it was at that moment. A limit never goes beyond the handler's own
deadline, so the report comes before the handler is ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from test_rig.errors import CoordinationTimeout, MachineError
from test_rig.machine.limits import checked_seconds
from test_rig.machine.shared import SharedState
from test_rig.machine.waiting import Waiting, report_of
from test_rig.resilience import Deadline

__all__ = ["WaitRoom", "Want"]

#: The report must come before the handler's time is over.
_MARGIN_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What somebody waits for."""

    #: In words: "barrier 'loaded'".
    what: str
    has_come: Callable[[], bool]
    #: The connections that can bring it.
    waits_for: Callable[[], tuple[str, ...]]
    #: Whether any of them can; otherwise it needs all of them.
    is_any: bool = False


@dataclass(slots=True)
class _Guest:
    name: str
    want: Want
    since_ns: int


class WaitRoom:
    """Everybody who waits.

    Args:
        shared: Whose condition is waited on, and who has ended.
    """

    def __init__(self, shared: SharedState) -> None:
        self._shared = shared
        self._guests: list[_Guest] = []
        #: Whether all that can bring something are connections of the test.
        self.is_closed_circle = False
        #: Why nobody may wait any more.
        self.why_closed: str | None = None

    def wait(
        self, name: str, want: Want, timeout_s: float | None, deadline: Deadline | None
    ) -> None:
        """Wait until it has come. Called with the lock held, which is free meanwhile.

        Args:
            name: Who waits.
            want: What for.
            timeout_s: The limit; that of the shared state if None.
            deadline: The end of the handler's time.

        Raises:
            CoordinationTimeout: It did not come within the limit.
            MachineError: It cannot come any more.
        """
        if want.has_come():
            return
        clock = self._shared.clock
        until = Deadline.after(self._limit_s(timeout_s, deadline), clock)
        guest = _Guest(name, want, clock.now_ns())
        self._guests.append(guest)
        try:
            while not want.has_come():
                self.refuse_hopeless(name, want)
                if until.expired:
                    raise CoordinationTimeout(
                        f"{want.what} did not come within the limit; who waits for whom:\n"
                        f"{self.report()}",
                        where=name,
                    )
                self._shared.changed.wait(until.remaining_s)
        finally:
            self._guests.remove(guest)

    def _limit_s(self, timeout_s: float | None, deadline: Deadline | None) -> float:
        limit_s = self._shared.global_config.coordination_timeout
        if timeout_s is not None:
            limit_s = checked_seconds(timeout_s, where="timeout_s")
        if deadline is None:
            return limit_s
        left_s = deadline.remaining_s
        return max(min(limit_s, left_s - min(_MARGIN_S, left_s / 10)), 0.001)

    def refuse_hopeless(self, name: str, want: Want) -> None:
        """Raise if what somebody waits for cannot come any more."""
        if self.why_closed is not None:
            raise MachineError(f"waiting for {want.what} was ended: {self.why_closed}", where=name)
        status = self._shared.connection_status
        needed = want.waits_for()
        over = [each for each in needed if status[each].status.is_over]
        is_open = len(over) < len(needed) or not self.is_closed_circle
        if not over or (want.is_any and is_open):
            return
        ends = [
            f"{each} has ended ({status[each].error_message or status[each].status.value})"
            for each in over
        ]
        raise MachineError(f"{want.what} cannot come any more: {', '.join(ends)}", where=name)

    def waits(self) -> list[Waiting]:
        """Return who waits for whom right now."""
        now_ns = self._shared.clock.now_ns()
        with self._shared.changed:
            return [
                Waiting(
                    connection=guest.name,
                    what=guest.want.what,
                    waits_for=guest.want.waits_for(),
                    waited_s=(now_ns - guest.since_ns) / 1e9,
                )
                for guest in self._guests
            ]

    def report(self) -> str:
        """Return who waits for whom right now, as text, a line for each connection."""
        waits = self.waits()
        waiting = {each.connection for each in waits}
        others = [
            (name, each.status.value)
            for name, each in self._shared.connection_status.items()
            if name not in waiting
        ]
        return report_of(waits, others)
