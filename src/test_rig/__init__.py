"""test-rig: find out, with evidence, what a SQL database really does.

The names that people's scripts use are here; each is imported from its room when it is first asked
for, so that a command line which needs one of them does not pay for all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # What `__getattr__` gives, for type checkers; the `as` says that it is meant for others.
    from test_rig.actions import create_driver as create_driver
    from test_rig.bulk import ImportJobConfig as ImportJobConfig
    from test_rig.bulk import JobMonitor as JobMonitor
    from test_rig.bulk import TestDataFactory as TestDataFactory
    from test_rig.errors import CircuitBreakerOpen as CircuitBreakerOpen
    from test_rig.errors import ErrorCategory as ErrorCategory
    from test_rig.errors import RigError as RigError
    from test_rig.joining import JoinOutcome as JoinOutcome
    from test_rig.joining import JoinSet as JoinSet
    from test_rig.joining import JoinStatus as JoinStatus
    from test_rig.joining import join as join
    from test_rig.machine import CheckingImportJobsHandler as CheckingImportJobsHandler
    from test_rig.machine import (
        CheckingImportJobsHandlerAdapter as CheckingImportJobsHandlerAdapter,
    )
    from test_rig.machine import ConnectingHandler as ConnectingHandler
    from test_rig.machine import ConnectingHandlerAdapter as ConnectingHandlerAdapter
    from test_rig.machine import ConnectionCoordinator as ConnectionCoordinator
    from test_rig.machine import ConnectionState as ConnectionState
    from test_rig.machine import ConnectionStatus as ConnectionStatus
    from test_rig.machine import CoordinatedResult as CoordinatedResult
    from test_rig.machine import DynamicStateMachine as DynamicStateMachine
    from test_rig.machine import GettingVersionHandler as GettingVersionHandler
    from test_rig.machine import GettingVersionHandlerAdapter as GettingVersionHandlerAdapter
    from test_rig.machine import GlobalConfig as GlobalConfig
    from test_rig.machine import InitialHandler as InitialHandler
    from test_rig.machine import InitialHandlerAdapter as InitialHandlerAdapter
    from test_rig.machine import Limits as Limits
    from test_rig.machine import MultiConnectionStateMachine as MultiConnectionStateMachine
    from test_rig.machine import MultiConnectionTestHandler as MultiConnectionTestHandler
    from test_rig.machine import NextStateVersionHandler as NextStateVersionHandler
    from test_rig.machine import OperationResult as OperationResult
    from test_rig.machine import ParsingConfigHandler as ParsingConfigHandler
    from test_rig.machine import ParsingConfigHandlerAdapter as ParsingConfigHandlerAdapter
    from test_rig.machine import RunResult as RunResult
    from test_rig.machine import SharedState as SharedState
    from test_rig.machine import ShowingImportJobDetailsHandler as ShowingImportJobDetailsHandler
    from test_rig.machine import (
        ShowingImportJobDetailsHandlerAdapter as ShowingImportJobDetailsHandlerAdapter,
    )
    from test_rig.machine import (
        SimpleMultiConnectionCoordinator as SimpleMultiConnectionCoordinator,
    )
    from test_rig.machine import State as State
    from test_rig.machine import StateContext as StateContext
    from test_rig.machine import StateHandler as StateHandler
    from test_rig.machine import StateMachine as StateMachine
    from test_rig.machine import TestingConnectionHandler as TestingConnectionHandler
    from test_rig.machine import TestingConnectionHandlerAdapter as TestingConnectionHandlerAdapter
    from test_rig.machine import VerifyingDatabaseHandler as VerifyingDatabaseHandler
    from test_rig.machine import VerifyingDatabaseHandlerAdapter as VerifyingDatabaseHandlerAdapter
    from test_rig.machine import dynamic_state as dynamic_state
    from test_rig.machine import load_python_handlers as load_python_handlers
    from test_rig.machine import register_python_handler as register_python_handler
    from test_rig.metrics import instrument as instrument
    from test_rig.metrics import log_performance_metric as log_performance_metric
    from test_rig.metrics import timer as timer
    from test_rig.resilience import CircuitBreakerConfig as CircuitBreakerConfig
    from test_rig.resilience import ConnectError as ConnectError
    from test_rig.resilience import ErrorContext as ErrorContext
    from test_rig.resilience import ErrorContextBuilder as ErrorContextBuilder
    from test_rig.resilience import RetryConfig as RetryConfig
    from test_rig.resilience import classify_error as classify_error
    from test_rig.settings import AppConfig as AppConfig
    from test_rig.settings import ConfigExtension as ConfigExtension
    from test_rig.settings import register_config_extension as register_config_extension
    from test_rig.targets import ConnectionConfig as ConnectionConfig
    from test_rig.targets import ConnectionPool as ConnectionPool
    from test_rig.targets import PoolConfig as PoolConfig
    from test_rig.targets import Row as Row
    from test_rig.targets import Session as Session
    from test_rig.targets import Target as Target
    from test_rig.targets import TargetUrl as TargetUrl
    from test_rig.targets import batch_insert as batch_insert
    from test_rig.targets import temp_table as temp_table
    from test_rig.targets import unique_name as unique_name
    from test_rig.telemetry import Alert as Alert
    from test_rig.telemetry import Measurement as Measurement
    from test_rig.telemetry import Severity as Severity

#: Public name -> the room that has it.
_ROOMS = {
    "Alert": "telemetry",
    "AppConfig": "settings",
    "CheckingImportJobsHandler": "machine",
    "CheckingImportJobsHandlerAdapter": "machine",
    "CircuitBreakerConfig": "resilience",
    "CircuitBreakerOpen": "errors",
    "ConfigExtension": "settings",
    "ConnectError": "resilience",
    "ConnectingHandler": "machine",
    "ConnectingHandlerAdapter": "machine",
    "ConnectionConfig": "targets",
    "ConnectionCoordinator": "machine",
    "ConnectionPool": "targets",
    "ConnectionState": "machine",
    "ConnectionStatus": "machine",
    "CoordinatedResult": "machine",
    "DynamicStateMachine": "machine",
    "ErrorCategory": "errors",
    "ErrorContext": "resilience",
    "ErrorContextBuilder": "resilience",
    "GettingVersionHandler": "machine",
    "GettingVersionHandlerAdapter": "machine",
    "GlobalConfig": "machine",
    "ImportJobConfig": "bulk",
    "InitialHandler": "machine",
    "InitialHandlerAdapter": "machine",
    "JobMonitor": "bulk",
    "JoinOutcome": "joining",
    "JoinSet": "joining",
    "JoinStatus": "joining",
    "Limits": "machine",
    "Measurement": "telemetry",
    "MultiConnectionStateMachine": "machine",
    "MultiConnectionTestHandler": "machine",
    "NextStateVersionHandler": "machine",
    "OperationResult": "machine",
    "ParsingConfigHandler": "machine",
    "ParsingConfigHandlerAdapter": "machine",
    "PoolConfig": "targets",
    "RetryConfig": "resilience",
    "RigError": "errors",
    "Row": "targets",
    "RunResult": "machine",
    "Session": "targets",
    "Severity": "telemetry",
    "SharedState": "machine",
    "ShowingImportJobDetailsHandler": "machine",
    "ShowingImportJobDetailsHandlerAdapter": "machine",
    "SimpleMultiConnectionCoordinator": "machine",
    "State": "machine",
    "StateContext": "machine",
    "StateHandler": "machine",
    "StateMachine": "machine",
    "Target": "targets",
    "TargetUrl": "targets",
    "TestDataFactory": "bulk",
    "TestingConnectionHandler": "machine",
    "TestingConnectionHandlerAdapter": "machine",
    "VerifyingDatabaseHandler": "machine",
    "VerifyingDatabaseHandlerAdapter": "machine",
    "batch_insert": "targets",
    "classify_error": "resilience",
    "create_driver": "actions",
    "dynamic_state": "machine",
    "instrument": "metrics",
    "join": "joining",
    "load_python_handlers": "machine",
    "log_performance_metric": "metrics",
    "register_config_extension": "settings",
    "register_python_handler": "machine",
    "temp_table": "targets",
    "timer": "metrics",
    "unique_name": "targets",
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
