"""Handlers of files run together: each file in a process of its own, each handler with its verdict.

How to think of it: a *conductor* stays with the results; a *worker* is a child process that loads
one file and runs its handlers, one machine each. What a handler can do to a process (loop for ever,
call `os._exit`, crash) it does to the worker: it costs that handler's verdict, its sessions are
ended on the server, and another worker goes on with the next handler. What a handler did to the
database is *evidence*: every statement of every session that it opened. The *judge* reads both.
"""

from test_rig.suite.conduct import (
    FileDone,
    FileTask,
    HandlerBegan,
    HandlerDone,
    SuiteEvent,
    conduct,
)
from test_rig.suite.files import file_tasks
from test_rig.suite.order import HandlerLimits, Order, Selection
from test_rig.suite.standing import suite_verdict

__all__ = [
    "FileDone",
    "FileTask",
    "HandlerBegan",
    "HandlerDone",
    "HandlerLimits",
    "Order",
    "Selection",
    "SuiteEvent",
    "conduct",
    "file_tasks",
    "suite_verdict",
]
