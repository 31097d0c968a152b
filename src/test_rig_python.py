"""The names that handlers written for the earlier rig import; all of them are `test_rig`'s own."""

from test_rig.machine import (
    MultiConnectionTestHandler,
    load_python_handlers,
    register_python_handler,
)
from test_rig.machine import State as PyState
from test_rig.machine import StateContext as PyStateContext
from test_rig.machine import StateHandler as PyStateHandler
from test_rig.python_bindings import real_py_connection as RealPyConnection  # noqa: N812 - its name
from test_rig.targets import Session as PyConnection

__all__ = [
    "MultiConnectionTestHandler",
    "PyConnection",
    "PyState",
    "PyStateContext",
    "PyStateHandler",
    "RealPyConnection",
    "load_python_handlers",
    "register_python_handler",
]
