"""One error with kinds, as existing scripts raise it: `raise ConnectError.Connection("no host")`.

A kind is a class of its own, so that it can be caught by itself. Made of an exception, it takes
over what that one says: its message, and by its codes the category.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from test_rig.errors import ErrorCategory, Failure, FailureKind, Outcome, TargetError
from test_rig.resilience.classify import classify
from test_rig.resilience.secrets import clean_message, without_passwords

__all__ = ["ConnectError"]

_PERMANENT, _TRANSIENT = ErrorCategory.PERMANENT, ErrorCategory.TRANSIENT
_UNKNOWN = ErrorCategory.UNKNOWN


class ConnectError(TargetError):
    """Something failed, of one of these kinds; raise `ConnectError.Database(...)` and its like.

    >>> from test_rig.resilience import classify_error
    >>> error = ConnectError.Authentication("wrong password")
    >>> print(error, classify_error(error))
    Authentication error: wrong password ErrorCategory.PERMANENT

    Args:
        cause: A message, or the exception that it is made of.
    """

    #: How the message begins.
    title: ClassVar[str] = "Unknown error"
    category_by_kind: ClassVar[ErrorCategory] = _UNKNOWN
    failure_kind: ClassVar[FailureKind] = FailureKind.OTHER
    #: Nothing is known of what the caller did before; without a connection it was nothing.
    outcome_by_kind: ClassVar[Outcome] = Outcome.INFO

    Connection: ClassVar[type[ConnectError]]
    Authentication: ClassVar[type[ConnectError]]
    Configuration: ClassVar[type[ConnectError]]
    StateMachine: ClassVar[type[ConnectError]]
    Database: ClassVar[type[ConnectError]]
    IsolationTest: ClassVar[type[ConnectError]]
    CliArgument: ClassVar[type[ConnectError]]
    Logging: ClassVar[type[ConnectError]]
    Io: ClassVar[type[ConnectError]]
    Parse: ClassVar[type[ConnectError]]
    Validation: ClassVar[type[ConnectError]]
    Timeout: ClassVar[type[ConnectError]]
    Retry: ClassVar[type[ConnectError]]
    CircuitBreaker: ClassVar[type[ConnectError]]
    Network: ClassVar[type[ConnectError]]
    Protocol: ClassVar[type[ConnectError]]
    Resource: ClassVar[type[ConnectError]]
    Unknown: ClassVar[type[ConnectError]]

    def __init__(self, cause: str | BaseException = "") -> None:
        if isinstance(cause, BaseException):
            message, failure = clean_message(cause), classify(cause)
            self.__cause__ = cause
            if failure.kind is FailureKind.OTHER:
                failure = replace(failure, category=self.category_by_kind, kind=self.failure_kind)
        else:
            message = without_passwords(cause)
            failure = Failure(
                category=self.category_by_kind,
                kind=self.failure_kind,
                outcome=self.outcome_by_kind,
                ends_transaction=False,
                message=message,
            )
        super().__init__(f"{self.title}: {message}", failure=failure)

    @property
    def kind(self) -> str:
        """The kind's name: "Connection", "Database", ..."""
        return type(self).__name__


#: Name, how its message begins, and what it says where no exception says more.
_KINDS = (
    ("Connection", "Connection error", _TRANSIENT, FailureKind.CONNECT),
    ("Authentication", "Authentication error", _PERMANENT, FailureKind.AUTHENTICATION),
    ("Configuration", "Configuration error", _PERMANENT, FailureKind.CONFIGURATION),
    ("StateMachine", "State machine error", _PERMANENT, FailureKind.OTHER),
    ("Database", "Database error", _UNKNOWN, FailureKind.OTHER),
    ("IsolationTest", "Isolation test error", _PERMANENT, FailureKind.OTHER),
    ("CliArgument", "CLI argument error", _PERMANENT, FailureKind.CONFIGURATION),
    ("Logging", "Logging error", _UNKNOWN, FailureKind.OTHER),
    ("Io", "IO error", _UNKNOWN, FailureKind.OTHER),
    ("Parse", "Parse error", _PERMANENT, FailureKind.DATA),
    ("Validation", "Validation error", _PERMANENT, FailureKind.DATA),
    ("Timeout", "Timeout error", _TRANSIENT, FailureKind.TIMEOUT),
    ("Retry", "Retry error", _UNKNOWN, FailureKind.OTHER),
    ("CircuitBreaker", "Circuit breaker error", _TRANSIENT, FailureKind.RESOURCE),
    ("Network", "Network error", _TRANSIENT, FailureKind.CONNECTION_LOST),
    ("Protocol", "Protocol error", _UNKNOWN, FailureKind.OTHER),
    ("Resource", "Resource error", _TRANSIENT, FailureKind.RESOURCE),
    ("Unknown", "Unknown error", _UNKNOWN, FailureKind.OTHER),
)


#: Kinds that say that nothing was done at all: trying again repeats nothing.
_WITHOUT_EFFECT = ("Connection", "CircuitBreaker")


def _define_kinds() -> None:
    for name, title, category, kind in _KINDS:
        members = {
            "__doc__": f"A {title}.",
            "__module__": __name__,
            "__qualname__": f"ConnectError.{name}",
            "title": title,
            "category_by_kind": category,
            "failure_kind": kind,
            "outcome_by_kind": Outcome.FAIL if name in _WITHOUT_EFFECT else Outcome.INFO,
        }
        setattr(ConnectError, name, type(name, (ConnectError,), members))


_define_kinds()
