"""The judge of histories: what one shows, and which levels that rules out."""

from test_rig.checker.evidence import history_of, one_of_each, witness_of
from test_rig.checker.judge import Checked, check
from test_rig.checker.model import of_model
from test_rig.checker.ready import prepare
from test_rig.checker.reduction import Reduced, reduce
from test_rig.checker.witness import Edge, EdgeKind, Seen, told

__all__ = [
    "Checked",
    "Edge",
    "EdgeKind",
    "Reduced",
    "Seen",
    "check",
    "history_of",
    "of_model",
    "one_of_each",
    "prepare",
    "reduce",
    "told",
    "witness_of",
]
