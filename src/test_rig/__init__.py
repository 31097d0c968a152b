"""test-rig: find out, with evidence, what a SQL database really does.

The names that people's scripts use are here; each is imported from its room when it is first asked
for, so that a command line which needs one of them does not pay for all.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Public name -> the room that has it.
_ROOMS = {
    "AppConfig": "settings",
    "CircuitBreakerConfig": "resilience",
    "CircuitBreakerOpen": "errors",
    "ConfigExtension": "settings",
    "ConnectionConfig": "targets",
    "ConnectionCoordinator": "machine",
    "ConnectionPool": "targets",
    "DynamicStateMachine": "machine",
    "ErrorCategory": "errors",
    "ErrorContext": "resilience",
    "ErrorContextBuilder": "resilience",
    "GlobalConfig": "machine",
    "MultiConnectionStateMachine": "machine",
    "MultiConnectionTestHandler": "machine",
    "PoolConfig": "targets",
    "RetryConfig": "resilience",
    "RigError": "errors",
    "Row": "targets",
    "RunResult": "machine",
    "Session": "targets",
    "SharedState": "machine",
    "SimpleMultiConnectionCoordinator": "machine",
    "State": "machine",
    "StateContext": "machine",
    "StateHandler": "machine",
    "StateMachine": "machine",
    "Target": "targets",
    "TargetUrl": "targets",
    "classify_error": "resilience",
    "dynamic_state": "machine",
    "load_python_handlers": "machine",
    "register_config_extension": "settings",
    "register_python_handler": "machine",
}

__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    """Import a public name from its room (PEP 562)."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names without importing them."""
    return sorted({*globals(), *_ROOMS})
