"""What people must know at once: broken claims, and connections that were lost."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from test_rig.clock import SYSTEM_CLOCK
from test_rig.errors import FailureKind, Outcome, TargetError
from test_rig.settings import AppConfig
from test_rig.targets import SqlEvent, SqlListener, Target, TargetUrl
from test_rig.telemetry import Alert, AlertStatus, Emit, Severity, emit_nothing

__all__ = ["ConnectionAlerts", "anomaly_found"]

_LOST = "connection_lost"
#: What a target is told of by the same alert as one whose connection broke.
_UNREACHABLE = frozenset({FailureKind.CONNECTION_LOST, FailureKind.CONNECT})


def anomaly_found(
    *,
    product: str,
    level: str,
    target: str,
    comparison: str,
    anomalies: Iterable[str],
    source: str,
) -> Alert:
    """Return the alert of a claim that is broken."""
    return Alert(
        alert_type="anomaly_found",
        severity=Severity.CRITICAL,
        message=f"{product} does not keep what {level} claims",
        data={"comparison": comparison, "anomalies": list(anomalies)},
        labels=(("level", level), ("target", target)),
        time_ns=SYSTEM_CLOCK.now_ns(),
        source=source,
    )


class ConnectionAlerts:
    """Alerts of connections that are lost, once for a target, until one of them works again.

    Args:
        config: Where it names no driver of actions, nobody is told, and statements cost nothing.
        source: The part of the rig that works.
    """

    def __init__(self, config: AppConfig, source: str) -> None:
        #: Who is told; set once somebody listens.
        self.emit: Emit = emit_nothing
        self._is_wanted, self._source = bool(config.actions.drivers), source
        self._guard = threading.Lock()
        #: By target: the sessions whose connections were lost.
        self._lost: dict[str, set[str]] = {}

    def listener(self, url: TargetUrl | str, also: SqlListener | None) -> SqlListener | None:
        """Return who is to be told of a target's statements: `also`, and these alerts."""
        if not self._is_wanted:
            return also
        where = (TargetUrl.parse(url) if isinstance(url, str) else url).safe()

        def listen(event: SqlEvent) -> None:
            if also is not None:
                also(event)
            failure = event.failure
            if failure is not None and failure.kind is FailureKind.CONNECTION_LOST:
                self._lose(where, event.session, failure.label())
            elif where in self._lost and event.outcome is Outcome.OK:
                self._find(where, event.session)

        return listen

    def failed(self, target: Target, error: TargetError) -> None:
        """Tell of a target that could not be used, where its connection is why."""
        if error.failure.kind in _UNREACHABLE:
            self._lose(target.url.safe(), "", error.failure.label())

    def _lose(self, where: str, session: str, why: str) -> None:
        with self._guard:
            is_first = where not in self._lost
            self._lost.setdefault(where, set()).add(session)
        if is_first:
            self._tell(where, f"the connection to {where} was lost: {why}", AlertStatus.FIRING)

    def _find(self, where: str, session: str) -> None:
        with self._guard:
            if session not in self._lost.get(where, ()):
                return  # another one, which may not have been asked since
            del self._lost[where]
        self._tell(where, f"{where} is connected again", AlertStatus.RESOLVED)

    def _tell(self, where: str, message: str, status: AlertStatus) -> None:
        self.emit(
            Alert(
                alert_type=_LOST,
                severity=Severity.CRITICAL,
                message=message,
                labels=(("target", where),),
                time_ns=SYSTEM_CLOCK.now_ns(),
                source=self._source,
                status=status,
            )
        )
