"""Every key there is: its check, its place, and the models made of checked values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from test_rig.settings.extension import extension_options
from test_rig.settings.merge import Check
from test_rig.settings.names import Vocabulary
from test_rig.settings.tables import FREE_TABLES, TABLES, Table

__all__ = ["checks", "models", "vocabulary"]


def vocabulary() -> Vocabulary:
    """Return the keys of the rig and of the extensions that are registered now."""
    tables: dict[str, set[str]] = {
        table: set(model.model_fields) for table, model in TABLES.items()
    }
    for option in extension_options():
        tables.setdefault(option.table, set()).add(option.key)
    return Vocabulary({table: frozenset(keys) for table, keys in tables.items()}, FREE_TABLES)


def checks() -> dict[tuple[str, str], Check]:
    """Return one check per key."""
    options = {(option.table, option.key): option.check for option in extension_options()}
    return {**_own_checks(), **options}


def models(values: Mapping[tuple[str, str], Any]) -> dict[str, Table]:
    """Return the tables with their values; defaults where there is none.

    Every value was checked by itself already, so the models are not checked again.
    """
    tables: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    for option in extension_options():
        tables.setdefault(option.table, {})[option.key] = option.default
    for (table, key), value in values.items():
        tables.setdefault(table, {})[key] = value
    return {
        table: TABLES.get(table, Table).model_construct(**keys) for table, keys in tables.items()
    }


@lru_cache(maxsize=1)
def _own_checks() -> dict[tuple[str, str], Check]:
    return {
        (table, key): _field_check(model, key)
        for table, model in TABLES.items()
        for key in model.model_fields
    }


def _field_check(model: type[Table], key: str) -> Check:
    info = model.model_fields[key]
    # Pydantic moves the metadata of an `Annotated` field from its annotation into the field.
    adapter: TypeAdapter[Any] = TypeAdapter(_annotated(info.annotation, info.metadata))

    def check(value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError as exc:
            told = exc.errors(include_input=False)[0]["msg"]
            raise ValueError(told.removeprefix("Value error, ")) from None

    return check


def _annotated(annotation: Any, metadata: Sequence[Any]) -> Any:
    return Annotated[annotation, *metadata] if metadata else annotation
