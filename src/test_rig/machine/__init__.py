"""States and handlers: a machine that connects to a database and runs what people wrote for it.

`StateMachine(url).run()` goes the standard path, from `Initial` to `GettingVersion`, with built-in
handlers that really do these things. `register_handler` adds states or takes their place.
`DynamicStateMachine` is the same with an open vocabulary.
"""

from test_rig.machine.adapters import (
    CheckingImportJobsHandlerAdapter,
    ConnectingHandlerAdapter,
    GettingVersionHandlerAdapter,
    InitialHandlerAdapter,
    NextStateVersionHandler,
    ParsingConfigHandlerAdapter,
    ShowingImportJobDetailsHandlerAdapter,
    TestingConnectionHandlerAdapter,
    VerifyingDatabaseHandlerAdapter,
)
from test_rig.machine.builtin import (
    ConnectingHandler,
    GettingVersionHandler,
    InitialHandler,
    ParsingConfigHandler,
    TestingConnectionHandler,
    VerifyingDatabaseHandler,
)
from test_rig.machine.context import StateContext
from test_rig.machine.coordination import ConnectionCoordinator, Message
from test_rig.machine.engine import DynamicStateMachine, StateMachine
from test_rig.machine.handler import StateHandler
from test_rig.machine.imports import (
    CheckingImportJobsHandler,
    ShowingImportJobDetailsHandler,
)
from test_rig.machine.limits import Limits, checked_seconds
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
from test_rig.machine.several import (
    ConnectionPhase,
    ConnectionResult,
    ConnectionResults,
    SharedTestState,
    SimpleMultiConnectionCoordinator,
)
from test_rig.machine.shared import (
    ConnectionState,
    ConnectionStatus,
    CoordinationEvent,
    GlobalConfig,
    SharedState,
)
from test_rig.machine.states import KNOWN_STATES, STANDARD_PATH, State, dynamic_state
from test_rig.machine.together import CoordinatedResult, MultiConnectionStateMachine
from test_rig.machine.trace import Phase, Trace, TraceEntry, Visit
from test_rig.machine.waiting import Waiting

__all__ = [
    "KNOWN_STATES",
    "STANDARD_PATH",
    "CheckingImportJobsHandler",
    "CheckingImportJobsHandlerAdapter",
    "ConnectingHandler",
    "ConnectingHandlerAdapter",
    "ConnectionCoordinator",
    "ConnectionPhase",
    "ConnectionResult",
    "ConnectionResults",
    "ConnectionState",
    "ConnectionStatus",
    "CoordinatedResult",
    "CoordinationEvent",
    "DynamicStateMachine",
    "GettingVersionHandler",
    "GettingVersionHandlerAdapter",
    "GlobalConfig",
    "InitialHandler",
    "InitialHandlerAdapter",
    "Limits",
    "Message",
    "MultiConnectionStateMachine",
    "MultiConnectionTestHandler",
    "NextStateVersionHandler",
    "OperationResult",
    "ParsingConfigHandler",
    "ParsingConfigHandlerAdapter",
    "Phase",
    "PluginHandlers",
    "RunFailure",
    "RunResult",
    "SharedState",
    "SharedTestState",
    "ShowingImportJobDetailsHandler",
    "ShowingImportJobDetailsHandlerAdapter",
    "SimpleMultiConnectionCoordinator",
    "State",
    "StateContext",
    "StateHandler",
    "StateMachine",
    "TestingConnectionHandler",
    "TestingConnectionHandlerAdapter",
    "Trace",
    "TraceEntry",
    "VerifyingDatabaseHandler",
    "VerifyingDatabaseHandlerAdapter",
    "Visit",
    "Waiting",
    "bound_state",
    "checked_seconds",
    "dynamic_state",
    "handler_tables",
    "is_handler",
    "load_python_handlers",
    "register_python_handler",
]
