"""The rig's errors, and the words in which a failure of a database is told.

How to think of it: an error class says who must act. Everything below hangs on one root::

    RigError                    the root; never raised itself
    |- UsageError               the person at the keyboard: exit code 2
    |  |- SettingsError         a settings source, all problems at once
    |  |- TargetUrlError        a URL that names no target
    |  |- MissingExtra          an optional dependency that is not installed
    |  |- SpecSyntaxError       a scenario file, with line and column
    |  |- HistoryError          a history that cannot be judged, each problem with its place
    |  |- PluginError           users' files, all problems at once, each with file and line
    |  |- UnknownName           a name that nothing has, with the near ones
    |  |- CampaignInvalid       a campaign's file, all problems at once, each with its line
    |  |- WorkflowInvalid       a workflow that cannot run, all problems at once
    |  |- ContextInvalid        a context that is no JSON, or too large, with the keys
    |  |- WorkflowUrlError      a URL that a workflow's store is not at
    |  `- RunRefused            what a run's state or version does not allow; a WorkflowError too
    |- TargetError              the database, or the way to it: exit code 3
    |  |- ConnectFailed         no session was made
    |  |- StatementFailed       the database refused or lost a statement
    |  |- DeadlineExceeded      the rig cancelled a statement that was too late
    |  |- SessionUnusable       a closed session, or one whose state is in doubt
    |  `- PoolExhausted         no connection became free within the wait limit
    |- MachineError             a state machine: an unknown state, a refused transition, a limit
    |  `- CoordinationTimeout   connections waited for each other for too long
    |- NotAccepted              events that no queue had room for
    |- WorkflowError            a workflow's run, its store or its engine cannot go on
    |- CircuitBreakerOpen       a breaker kept an operation from running
    `- RunFolderError           a run folder that cannot be written or read

Findings of the rig are no errors: they are values (`test_rig.verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "CampaignInvalid",
    "CircuitBreakerOpen",
    "ConnectFailed",
    "ContextInvalid",
    "CoordinationTimeout",
    "DeadlineExceeded",
    "ErrorCategory",
    "Failure",
    "FailureKind",
    "HistoryError",
    "MachineError",
    "MissingExtra",
    "NotAccepted",
    "Outcome",
    "PluginError",
    "PoolExhausted",
    "Problem",
    "RigError",
    "RunFolderError",
    "RunRefused",
    "SessionUnusable",
    "SettingsError",
    "SpecSyntaxError",
    "StatementFailed",
    "TargetError",
    "TargetUrlError",
    "UnknownName",
    "UsageError",
    "WorkflowError",
    "WorkflowInvalid",
    "WorkflowUrlError",
    "one_line",
    "text_of",
]


class ErrorCategory(Enum):
    """Whether doing the same thing again can help."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


class Outcome(Enum):
    """What is known of an operation's effect once its answer is in, or lost."""

    OK = "ok"
    #: Certainly no effect.
    FAIL = "fail"
    #: Unknown: the answer was lost, so the effect may or may not be there.
    INFO = "info"


class FailureKind(Enum):
    """What went wrong, in words that all databases share."""

    DEADLOCK = "deadlock"
    SERIALIZATION = "serialization failure"
    LOCK_TIMEOUT = "lock timeout"
    BUSY = "busy"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    CONNECT = "cannot connect"
    CONNECTION_LOST = "connection lost"
    SERVER_STARTING = "server starting"
    TOO_MANY_CONNECTIONS = "too many connections"
    RESOURCE = "out of a resource"
    DISK_FULL = "disk full"
    AUTHENTICATION = "authentication"
    PERMISSION = "permission denied"
    READ_ONLY = "read only"
    UNKNOWN_DATABASE = "unknown database"
    UNKNOWN_OBJECT = "unknown object"
    SYNTAX = "syntax"
    UNSUPPORTED = "not supported here"
    CONSTRAINT = "constraint"
    DATA = "bad value"
    TRANSACTION_ABORTED = "transaction is aborted"
    CONFIGURATION = "configuration"
    INDETERMINATE = "indeterminate commit"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A database's failure, told by its codes.

    `ends_transaction` is what the server did to the open transaction: True where it rolled the
    whole of it back (or made it useless), False where only the statement was undone.
    """

    category: ErrorCategory
    kind: FailureKind
    #: What the codes say of the effect while a statement other than COMMIT was in flight.
    outcome: Outcome
    ends_transaction: bool
    #: The connection cannot serve any more.
    ends_session: bool = False
    #: The server's own number, as text: errno, SQLite's extended result code, ...
    code: str | None = None
    sqlstate: str | None = None
    #: The server's message, passwords taken out.
    message: str = ""

    def label(self) -> str:
        """Return a short name for tables: the kind, with the code that told it."""
        code = self.sqlstate or self.code
        return f"{self.kind.value} ({code})" if code else self.kind.value


class RigError(Exception):
    """The root of all errors that the rig raises on purpose.

    Args:
        what: What is wrong, in one sentence.
        where: Where: a file and line, a settings key, a connection's address.
        todo: What the reader can do about it.
    """

    #: The exit code of a command that ends with this error (contract 10).
    exit_code = 3

    def __init__(self, what: str, *, where: str | None = None, todo: str | None = None) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(what)

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.todo is None else f"{text} ({self.todo})"


class UsageError(RigError):
    """The person at the keyboard must change something."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with what was given: where, what, and what to do."""

    where: str
    what: str
    todo: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return text if self.todo is None else f"{text} ({self.todo})"


class SettingsError(UsageError):
    """Settings that cannot be used: every problem of every source at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' * (count != 1)} in the settings")

    def __str__(self) -> str:
        return "\n".join([f"{self.what}:", *(f"  {problem}" for problem in self.problems)])


class TargetUrlError(UsageError):
    """A URL that names no target."""


class MissingExtra(UsageError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(what, todo=f"install it with: pip install 'test-rig[{extra}]'")


class SpecSyntaxError(UsageError):
    """A scenario file that cannot be read. Line and column count from 1."""

    def __init__(self, what: str, *, file: str, line: int, column: int, todo: str | None = None):
        self.file, self.line, self.column = file, line, column
        super().__init__(what, where=f"{file}:{line}:{column}", todo=todo)


class HistoryError(UsageError):
    """A history that is not well formed: pairs of a place and what is wrong there.

    Args:
        problems: What was found; many are told as the first few and their number.
        file: The file they were found in.
    """

    _SHOWN = 10

    def __init__(self, problems: Sequence[tuple[str, str]], *, file: str | None = None) -> None:
        self.problems = tuple(problems)
        self.file = file
        prefix = "" if file is None else f"{file}: "
        lines = [f"{prefix}{where}: {what}" for where, what in self.problems[: self._SHOWN]]
        if (more := len(self.problems) - self._SHOWN) > 0:
            lines.append(f"{prefix}and {more} more")
        super().__init__("\n".join(lines))


class PluginError(UsageError):
    """Users' files or classes that cannot be used: every problem of every file at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class UnknownName(UsageError):
    """A name that nothing has.

    Args:
        kind: What was looked for ("scenario", "level", "state", ...).
        name: The name that was given.
        known: The names there are; many are told on lines of their own.
    """

    _MOST_ON_A_LINE = 150

    def __init__(
        self, kind: str, name: str, known: Sequence[str], *, where: str | None = None
    ) -> None:
        from difflib import get_close_matches  # an error path: not paid at start

        spelt = {each.lower().replace("-", " "): each for each in reversed(known)}
        near = get_close_matches(name.lower().replace("-", " "), spelt, n=1, cutoff=0.6)
        self._hint = f"did you mean {spelt[near[0]]!r}? " if near else ""
        self._names = f"known: {', '.join(known) or 'none'}"
        super().__init__(
            f"there is no {kind} {name!r}", where=where, todo=f"{self._hint}{self._names}"
        )
        self.kind, self.name, self.known = kind, name, tuple(known)

    def __str__(self) -> str:
        if len(self._names) <= self._MOST_ON_A_LINE:
            return super().__str__()
        from textwrap import wrap

        what = self.what if self.where is None else f"{self.where}: {self.what}"
        first = f"{what} ({self._hint.strip()})" if self._hint else what
        # A name of several words stays on one line.
        kept = "known: " + ", ".join(each.replace(" ", "\0") for each in self.known)
        lines = wrap(kept, 76, break_long_words=False, break_on_hyphens=False)
        return "\n".join([first, *(f"  {line}" for line in lines)]).replace("\0", " ")


class TargetError(RigError):
    """The database, or the way to it, failed.

    `failure` tells category, kind and codes; `sql` is the statement (never its parameters);
    `address` is where the session led, without the password.
    """

    def __init__(
        self,
        what: str,
        *,
        failure: Failure,
        outcome: Outcome | None = None,
        sql: str | None = None,
        address: str | None = None,
        todo: str | None = None,
    ) -> None:
        super().__init__(what, where=address, todo=todo)
        self.failure = failure
        self.outcome = failure.outcome if outcome is None else outcome
        self.sql = sql
        self.address = address

    @property
    def category(self) -> ErrorCategory:
        """Whether doing the same thing again can help."""
        return self.failure.category


class ConnectFailed(TargetError):
    """No session was made."""


class StatementFailed(TargetError):
    """The database refused a statement, or its answer was lost."""


class DeadlineExceeded(TargetError):
    """A statement outlived its deadline; the rig cancelled it and gave the session up."""


class SessionUnusable(TargetError):
    """The session is closed, or what the server holds for it is in doubt."""


class PoolExhausted(TargetError):
    """No connection became free within the wait limit."""


class MachineError(RigError):
    """A state machine cannot go on: an unknown state, a refused transition, a limit reached."""


class CoordinationTimeout(MachineError):
    """A connection waited for another one in vain; the message says who waits for whom."""


class NotAccepted(RigError):
    """Events of a source were not taken: the queues are full, or the actions are being stopped."""


class CircuitBreakerOpen(RigError):
    """A breaker kept an operation from running."""

    def __init__(self, name: str, *, retry_after_s: float) -> None:
        self.name, self.retry_after_s = name, retry_after_s
        super().__init__(
            f"the circuit breaker {name!r} is open",
            todo=f"it lets a trial through in {retry_after_s:.1f} s",
        )


class RunFolderError(UsageError):
    """A run folder that cannot be written or read."""


class WorkflowInvalid(UsageError, ValueError):
    """A workflow that cannot run: everything that is wrong with it, before anything runs."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' * (count != 1)} in the workflow")

    def __str__(self) -> str:
        return "\n".join([f"{self.what}:", *(f"  {problem}" for problem in self.problems)])


class CampaignInvalid(UsageError):
    """A campaign's file that cannot be run: everything that is wrong with it at once."""

    def __init__(self, problems: Sequence[Problem], *, file: str) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' * (count != 1)} in the campaign {file}")

    def __str__(self) -> str:
        return "\n".join([f"{self.what}:", *(f"  {problem}" for problem in self.problems)])


class ContextInvalid(UsageError, ValueError):
    """A context that cannot be kept: each value that is to blame, by its key."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class WorkflowUrlError(UsageError, ValueError):
    """A URL that the workflow store of a backend is not at."""


class WorkflowError(RigError):
    """A run of a workflow, its store or its engine cannot go on."""


class RunRefused(UsageError, WorkflowError):
    """What somebody asked of a workflow's run, and its state or its version does not allow."""


def text_of(error: BaseException) -> str:
    """Return what an exception says; also of one of users' code whose `str()` fails.

    >>> text_of(ValueError("too long"))
    'too long'
    """
    try:
        return str(error)
    except BaseException as why:  # noqa: BLE001 - users' code, which may even call sys.exit
        return f"it cannot tell what: its __str__ raised {type(why).__name__}"


def one_line(error: BaseException) -> str:
    """Return an exception's class and text on one line.

    >>> one_line(ValueError("too   long")), one_line(KeyError())
    ('ValueError: too long', 'KeyError')
    """
    text = " ".join(text_of(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
