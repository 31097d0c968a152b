"""Who got in: which clients have had a session, and why the server turned others away.

How to think of it: a server has so many connections and no more, and it serves others too. Who is
turned away tries again, ever less often, because each try costs the server something. Where the
server says that it is full, a client that never got in stays out after some tries, and of those
that are in some leave again: otherwise nobody else could connect as long as the workload runs.
Where nobody gets in at all there is no run.
"""

from __future__ import annotations

import threading

from test_rig.errors import ConnectFailed, FailureKind, TargetError

__all__ = ["Admission"]

#: So often a client tries while it has never got in.
_TRIES = 4
#: The pauses between tries, in seconds: twice as long each time, within these limits.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
#: Of a server that is full so many connections are given back, at most a tenth of one's own.
_GIVEN_BACK = 3


class Admission:
    """Counts who got in. From any thread.

    Args:
        clients: How many want to.
    """

    def __init__(self, clients: int) -> None:
        self._lock = threading.Lock()
        self._clients = clients
        self._inside: set[int] = set()
        self._given_up = 0
        self._is_over = False
        self._given_back = 0
        #: By kind and code: how often, and what was told first.
        self._refusals: dict[str, tuple[int, str]] = {}
        self._last: TargetError | None = None

    def let_in(self, client: int) -> None:
        """Note that a client has a session."""
        with self._lock:
            if not self._is_over:
                self._inside.add(client)

    def end(self) -> None:
        """Note that the run is over: who gets in now has not worked."""
        with self._lock:
            self._is_over = True

    def refused(self, client: int, error: TargetError, tries: int) -> bool:
        """Note that a client was turned away; return whether it may try again.

        Args:
            client: Its number.
            error: What the server said.
            tries: How often in a row it has tried now.

        Raises:
            TargetError: Nobody has got in, often as they tried.
        """
        is_full = error.failure.kind is FailureKind.TOO_MANY_CONNECTIONS
        with self._lock:
            label = error.failure.label()
            count, told = self._refusals.get(label, (0, error.what))
            self._refusals[label] = (count + 1, told)
            self._last = error
            if tries < _TRIES:
                return True
            if not self._inside:
                raise self._nobody(error)
            stays_out = is_full and client not in self._inside
            self._given_up += stays_out
            return not stays_out

    def should_leave(self) -> bool:
        """Return whether who asks is to give its connection back, so that others can have it."""
        if not self._given_up:
            return False
        with self._lock:
            if self._given_up + len(self._inside) < self._clients:
                return False  # who still tries would take what is given back
            should = self._given_back < min(_GIVEN_BACK, len(self._inside) // 10)
            self._given_back += should
            return should

    @staticmethod
    def pause_s(tries: int) -> float:
        """Return how long to wait after so many tries in a row."""
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(tries - 1, 10))

    def check(self) -> None:
        """Look, when the run is over, whether there was one.

        Raises:
            TargetError: Nobody has got in, and the server said why.
        """
        with self._lock:
            if self._last is not None and not self._inside:
                raise self._nobody(self._last)

    def _nobody(self, error: TargetError) -> TargetError:
        return ConnectFailed(
            f"none of {self._clients} clients got a connection: {error.what}",
            failure=error.failure,
            address=error.where or "",
            todo=error.todo,
        )

    @property
    def outside(self) -> int:
        """How many clients have never had a session."""
        with self._lock:
            return self._clients - len(self._inside)

    @property
    def given_back(self) -> int:
        """How many have left again because the server was full."""
        return self._given_back

    def refusals(self) -> tuple[tuple[str, int], ...]:
        """Return what the server said and how often, the most frequent first."""
        with self._lock:
            every = [(f"{label}: {told}", count) for label, (count, told) in self._refusals.items()]
        return tuple(sorted(every, key=lambda each: -each[1]))
