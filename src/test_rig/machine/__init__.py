"""States and handlers: a machine that connects to a database and runs what people wrote for it.

`StateMachine(url).run()` goes the standard path, from `Initial` to `GettingVersion`, with built-in
handlers that really do these things. `register_handler` adds states or takes their place.
`DynamicStateMachine` is the same with an open vocabulary.
"""

from test_rig.machine.builtin import (
    ConnectingHandler,
    GettingVersionHandler,
    InitialHandler,
    ParsingConfigHandler,
    TestingConnectionHandler,
    VerifyingDatabaseHandler,
)
from test_rig.machine.context import StateContext
from test_rig.machine.engine import DynamicStateMachine, StateMachine
from test_rig.machine.handler import StateHandler
from test_rig.machine.limits import Limits
from test_rig.machine.loading import (
    PluginHandlers,
    bound_state,
    handler_tables,
    is_handler,
    load_python_handlers,
    register_python_handler,
)
from test_rig.machine.multi import MultiConnectionTestHandler
from test_rig.machine.operations import OperationResult
from test_rig.machine.result import RunFailure, RunResult
from test_rig.machine.states import KNOWN_STATES, STANDARD_PATH, State, dynamic_state
from test_rig.machine.trace import Phase, Trace, TraceEntry, Visit

__all__ = [
    "KNOWN_STATES",
    "STANDARD_PATH",
    "ConnectingHandler",
    "DynamicStateMachine",
    "GettingVersionHandler",
    "InitialHandler",
    "Limits",
    "MultiConnectionTestHandler",
    "OperationResult",
    "ParsingConfigHandler",
    "Phase",
    "PluginHandlers",
    "RunFailure",
    "RunResult",
    "State",
    "StateContext",
    "StateHandler",
    "StateMachine",
    "TestingConnectionHandler",
    "Trace",
    "TraceEntry",
    "VerifyingDatabaseHandler",
    "Visit",
    "bound_state",
    "dynamic_state",
    "handler_tables",
    "is_handler",
    "load_python_handlers",
    "register_python_handler",
]
