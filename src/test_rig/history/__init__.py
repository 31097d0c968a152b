"""Histories: what processes did, as operations and as columns of transactions.

An `Op` is one operation, for the edges. A `HistoryBuilder` takes transactions: `record` costs a
thread one append to a list; `take` gives what came since the last call, as a `History` whose arrays
a `HistoryFile` writes as one batch; `history` gives all. `validate` refuses what no judge may look
at. Files are read and written by `read_history` and `write_history` (transactions) and by
`read_ops` and `write_ops` (operations of any kind).
"""

from test_rig.history.arrow import HistoryFile
from test_rig.history.builder import HistoryBuilder, Mop
from test_rig.history.columns import (
    APPEND,
    FAIL,
    INFO,
    NEVER,
    NIL,
    OK,
    READ,
    READ_LIST,
    UNENDED,
    WRITE,
    History,
    Timescale,
    joined,
    settled,
    spread,
)
from test_rig.history.files import (
    HistoryForm,
    form_of,
    read_history,
    read_ops,
    write_history,
    write_ops,
)
from test_rig.history.operation import Op, OpType, Origin
from test_rig.history.pairs import from_ops, to_ops
from test_rig.history.validate import models, validate

__all__ = [
    "APPEND",
    "FAIL",
    "INFO",
    "NEVER",
    "NIL",
    "OK",
    "READ",
    "READ_LIST",
    "UNENDED",
    "WRITE",
    "History",
    "HistoryBuilder",
    "HistoryFile",
    "HistoryForm",
    "Mop",
    "Op",
    "OpType",
    "Origin",
    "Timescale",
    "form_of",
    "from_ops",
    "joined",
    "models",
    "read_history",
    "read_ops",
    "settled",
    "spread",
    "to_ops",
    "validate",
    "write_history",
    "write_ops",
]
