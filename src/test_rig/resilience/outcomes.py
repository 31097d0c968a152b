"""What a failed operation left behind: nothing for certain, or nobody knows.

How to think of it: the codes alone cannot say it, since it matters what was in flight.

| in flight | the answer | outcome |
|---|---|---|
| any statement of a transaction, before its COMMIT | whatever | fail: the server rolls back |
| COMMIT | a definite abort | fail |
| COMMIT | anything else | info |
| a statement of its own (autocommit) | lost | info |
| a statement of its own (autocommit) | an error of the server | fail |

A definite abort is a list of kinds, not the absence of doubt: a server that was cancelled, shut
down or out of disk in the middle of a COMMIT may have written its commit record before.
"""

from __future__ import annotations

from test_rig.errors import Failure, FailureKind, Outcome

__all__ = ["outcome_of"]

_DEFINITE_ABORTS = frozenset(
    {
        FailureKind.DEADLOCK,
        FailureKind.SERIALIZATION,
        FailureKind.BUSY,
        FailureKind.CONSTRAINT,
        FailureKind.TRANSACTION_ABORTED,
        FailureKind.READ_ONLY,
    }
)


def outcome_of(failure: Failure, *, at_commit: bool, in_transaction: bool) -> Outcome:
    """Return what is known of the effect of the operation that ended with `failure`.

    Args:
        failure: What the codes say.
        at_commit: A COMMIT was in flight, or a statement that commits by itself (DDL on MySQL).
        in_transaction: A transaction was open when the operation began.
    """
    if at_commit:
        is_abort = failure.outcome is Outcome.FAIL and failure.kind in _DEFINITE_ABORTS
        return Outcome.FAIL if is_abort else Outcome.INFO
    return Outcome.FAIL if in_transaction else failure.outcome
