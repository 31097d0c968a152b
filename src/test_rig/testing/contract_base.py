"""What the contract tests of a target stand on: its claims, and places to work in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import ClassVar, Generic, TypeVar
from unittest import SkipTest

from test_rig.errors import FailureKind
from test_rig.targets import LevelSpec, Scratch, Session, Target

__all__ = ["ContractBase", "Expected", "Running"]

E = TypeVar("E", bound=BaseException)

#: Longer than anything here takes, and shorter than a test's own limit.
PATIENCE_S = 20.0


class Running:
    """A call on a thread of its own, as a session's is that waits or takes long."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.error: BaseException | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 - the thread's top: becomes a value
            self.error = error

    def has_ended(self, within_s: float = PATIENCE_S) -> bool:
        """Wait for its end; return whether it came in time."""
        self._thread.join(within_s)
        return not self._thread.is_alive()


class Expected(Generic[E]):
    """A block that must end in an error of a class."""

    error: E

    def __init__(self, kind: type[E]) -> None:
        self._kind = kind

    def __enter__(self) -> Expected[E]:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        assert error is not None, f"no {self._kind.__name__} was raised"
        if isinstance(error, self._kind):
            self.error = error
            return True
        return False


class ContractBase:
    """The claims of a database, and the scratch namespace that a test works in."""

    #: Where the target is. Its user must be able to make schemas or databases.
    url: ClassVar[str]
    #: A statement that runs for a minute unless it is stopped.
    slow_sql: ClassVar[str]
    #: Counts the connections `{id}` that are running a statement; None where nobody can tell.
    running_sql: ClassVar[str | None] = None
    #: A column that numbers its rows by itself, where the protocol tells the number.
    auto_key: ClassVar[str | None] = None
    #: A statement that succeeds with a warning or notice, and a word that it has in it.
    warning: ClassVar[tuple[str, str] | None] = None
    #: Types of columns; None where the driver cannot store Python's value as it is.
    decimal_type: ClassVar[str | None] = "DECIMAL(12, 3)"
    date_type: ClassVar[str | None] = "DATE"
    #: Whether a second writer of a row waits for the first.
    blocks: ClassVar[bool] = True
    #: Whether others read on, the old state, while a transaction writes.
    reads_during_writes: ClassVar[bool] = True
    #: Whether an error makes the open transaction useless.
    error_aborts: ClassVar[bool] = False
    #: What the codes can tell of a table that is not there.
    unknown_table: ClassVar[FailureKind] = FailureKind.UNKNOWN_OBJECT

    target: Target
    scratch: Scratch
    _stack: ExitStack

    def setup_method(self) -> None:
        """Open the target and a scratch namespace, with a table `t (id, v)`."""
        self._stack = ExitStack()
        self.target = self._stack.enter_context(Target.open(self.url))
        self.scratch = self._stack.enter_context(self.target.scratch())
        with self.scratch.connect("setup") as session:
            session.execute("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))")

    def teardown_method(self) -> None:
        """Remove them."""
        self._stack.close()

    def open(self, name: str = "a", level: LevelSpec | None = None) -> Session:
        """Open a session in the scratch namespace, closed at the test's end."""
        session = self.scratch.connect(name, level=level)
        self._stack.callback(session.close)
        return session

    def rows(self, sql: str = "SELECT id, v FROM t ORDER BY id") -> tuple[tuple[object, ...], ...]:
        """Return what a new session sees."""
        with self.scratch.connect("reader") as session:
            return session.execute(sql).rows

    def marks(self, count: int) -> str:
        """Return placeholders for so many values."""
        return ", ".join([self.target.dialect.placeholder] * count)

    def claim(self, value: str | None, what: str) -> str:
        """Return a claimed value; skip the test where the database does not claim it."""
        if value is None:
            raise SkipTest(f"{self.target.dialect.product} does not claim: {what}")
        return value

    def fails(self, kind: type[E]) -> Expected[E]:
        """Expect an error of a class in a block; `.error` is it afterwards."""
        return Expected(kind)

    def is_in_transaction(self, session: Session) -> bool:
        """Return whether a transaction is open."""
        return session.in_transaction

    def ends(self, running: Running, stop: Callable[[], None]) -> bool:
        """Stop a call until it ends: a stop that comes before its statement finds nothing."""

        def stopped() -> bool:
            stop()
            return running.has_ended(0.05)

        return self.until(stopped)

    def until(self, is_so: Callable[[], bool], *, within_s: float = PATIENCE_S) -> bool:
        """Ask again until something is so; return whether it came in time."""
        end = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > end:
                return False
        return True
