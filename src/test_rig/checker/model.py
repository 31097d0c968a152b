"""Which model a history is of: lists or registers; never both at once."""

from __future__ import annotations

import numpy as np

from test_rig.errors import HistoryError, UnknownName, UsageError
from test_rig.history import APPEND, NIL, READ, READ_LIST, WRITE, History, models

__all__ = ["MODELS", "of_model"]

#: What can be judged.
MODELS = ("list-append", "rw-register")


def of_model(history: History, asked: str | None) -> tuple[str, History]:
    """Return the model, and what a history holds of it.

    Args:
        history: The history.
        asked: The model; None takes the one that the history is of. Of a history of both the keys
            of the other one are left out, which makes no anomaly.

    Raises:
        UnknownName: There is no such model.
        UsageError: The history is of both and none is asked for, or of the other one.
        HistoryError: A key is a list and a register.
    """
    if asked is not None and asked not in MODELS:
        raise UnknownName("model", asked, list(MODELS))
    found = models(history)
    if len(found) == 2:
        _refuse_double_keys(history)
        if asked is None:
            raise UsageError(
                "the history holds lists and registers, which are judged apart",
                todo=f"name a model: {' or '.join(MODELS)}",
            )
        return asked, _part(history, asked)
    model = next(iter(found), asked or MODELS[0])
    if asked not in (None, model):
        raise UsageError(f"the history holds {_WORDS[model]}, not {_WORDS[str(asked)]}")
    return model, history


_WORDS = {"list-append": "lists", "rw-register": "registers"}


def _register_keys(history: History) -> np.ndarray:
    is_register = (history.f == WRITE) | ((history.f == READ) & (history.value != NIL))
    return np.unique(history.key[is_register])


def _refuse_double_keys(history: History) -> None:
    lists = np.unique(history.key[(history.f == APPEND) | (history.f == READ_LIST)])
    both = np.intersect1d(lists, _register_keys(history))
    if len(both):
        raise HistoryError(
            [
                (f"key {history.key_name(key)}", "it is a list and a register")
                for key in both[:100].tolist()
            ]
        )


def _part(history: History, model: str) -> History:
    keep = np.isin(history.key, _register_keys(history))
    if model == "list-append":
        keep = ~keep
    return history.select(np.ones(len(history), dtype=np.bool_), keep)
