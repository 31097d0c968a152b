"""Living with failures: telling errors apart, trying again, keeping away, running out of time.

- `classify`, `classify_error`, `outcome_of`: what an error says, from its codes.
- `RetryConfig`, `CircuitBreakerConfig`: `.execute(name, operation)`, sync or async.
- `Deadline`: a moment that several steps share.
- `ErrorContextBuilder`: the circumstances of an error on one line, without secrets.
"""

from __future__ import annotations

from test_rig.resilience.breaker import (
    BreakerPhase,
    BreakerState,
    CallEvent,
    CircuitBreakerConfig,
    admit,
    breaker_state,
    reset_breakers,
    settle,
)
from test_rig.resilience.classify import classify, classify_error, family_of
from test_rig.resilience.connect_error import ConnectError
from test_rig.resilience.context import ConnectionInfo, ErrorContext, ErrorContextBuilder
from test_rig.resilience.deadline import Deadline
from test_rig.resilience.outcomes import outcome_of
from test_rig.resilience.retry import Attempt, RetryConfig, attempts_of
from test_rig.resilience.secrets import MASK, clean_message, is_secret_name, without_passwords

__all__ = [
    "MASK",
    "Attempt",
    "BreakerPhase",
    "BreakerState",
    "CallEvent",
    "CircuitBreakerConfig",
    "ConnectError",
    "ConnectionInfo",
    "Deadline",
    "ErrorContext",
    "ErrorContextBuilder",
    "RetryConfig",
    "admit",
    "attempts_of",
    "breaker_state",
    "classify",
    "classify_error",
    "clean_message",
    "family_of",
    "is_secret_name",
    "outcome_of",
    "reset_breakers",
    "settle",
    "without_passwords",
]
