"""Options of drivers and pipes: read from a table, checked, every problem told at once.

How to think of it: one frozen pydantic model per kind; a field's description is its documentation,
and docs/actions.md has each of them. `EARLIER` of a model maps other spellings, which people's
configurations have, to a field and a conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from test_rig.errors import Problem, SettingsError
from test_rig.resilience import is_secret_name

__all__ = [
    "Count",
    "Names",
    "Options",
    "Seconds",
    "Size",
    "option_problems",
    "read_options",
    "same",
    "shown_options",
]

_O = TypeVar("_O", bound="Options")


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")  # noqa: TRY004 -- pydantic wants it
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
Size = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Seconds = Annotated[
    float, BeforeValidator(_no_bool), Field(ge=0, le=31_536_000, allow_inf_nan=False)
]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


def same(value: Any) -> Any:
    """Return the value: another spelling that means the same."""
    return value


class Options(BaseModel):
    """What the options of all kinds have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    #: Another spelling -> the field that it sets, and what makes the field's value of it.
    EARLIER: ClassVar[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {}

    def pipe_defaults(self) -> Mapping[str, Any]:
        """Return options of the pipe that follow from these, where they are not set there."""
        return {}

    def absent(self) -> Sequence[tuple[str, str]]:
        """Return which options name what is not there, each with what it names."""
        return ()


def read_options(model: type[_O], table: Mapping[str, Any], *, where: str) -> _O:
    """Return checked options.

    Args:
        model: The kind of options.
        table: What was given.
        where: What the table is called in messages.

    Raises:
        SettingsError: With every problem of the table.
    """
    found, problems = option_problems(model, table, where=where)
    if found is None:
        raise SettingsError(problems)
    return found


def option_problems(
    model: type[_O], table: Mapping[str, Any], *, where: str
) -> tuple[_O | None, list[Problem]]:
    """Return checked options, or None and every problem of the table."""
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    if "payload" in model.model_fields and not model.EARLIER.keys().isdisjoint(table):
        # Whoever has the earlier instrument's settings has receivers of its payloads too.
        table = {"payload": "instrument", **table}
    for key, value in table.items():
        name, convert = model.EARLIER.get(key, (key, same))
        if name not in model.model_fields:
            problems.append(_unknown(model, key, where))
            continue
        if name in values:
            what = f"the same as {name!r}, which is given too"
            problems.append(Problem(where=f"{where}.{key}", what=what, todo="give one of them"))
            continue
        try:
            values[name] = convert(value)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as exc:
            problems.append(Problem(where=f"{where}.{key}", what=f"cannot be used: {exc}"))
    try:
        made = model.model_validate(values)
    except ValidationError as exc:
        problems += _told(exc, where)
        return None, problems
    return (None, problems) if problems else (made, [])


def _unknown(model: type[Options], key: str, where: str) -> Problem:
    known = sorted({*model.model_fields, *model.EARLIER})
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    todo = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(model.model_fields)}"
    return Problem(where=f"{where}.{key}", what="unknown option", todo=todo)


def _told(exc: ValidationError, where: str) -> Iterator[Problem]:
    for error in exc.errors(include_input=False, include_url=False):
        place = ".".join([where, *(str(part) for part in error["loc"])])
        what = "is required" if error["type"] == "missing" else error["msg"]
        yield Problem(where=place, what=what.removeprefix("Value error, "))


def shown_options(options: Options) -> dict[str, Any]:
    """Return options as they may be printed: no secrets, nothing that is unset."""
    found: dict[str, Any] = {}
    for name in type(options).model_fields:
        value = getattr(options, name)
        if value is None:
            continue
        found[name] = "********" if _is_secret(name, value) else _plain(value)
    return found


def _is_secret(name: str, value: Any) -> bool:
    return isinstance(value, SecretStr) or (isinstance(value, str) and is_secret_name(name))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: "********" if _is_secret(key, each) else each for key, each in value.items()}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return list(value) if isinstance(value, tuple) else value
