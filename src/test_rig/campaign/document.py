"""The campaign's file: what may stand in it, and everything that is wrong with it at once."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from test_rig.errors import CampaignInvalid, Problem, UsageError
from test_rig.settings import toml_positions

__all__ = ["Document", "IncludeTable", "Place", "read_document"]

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=10_000)]
Seconds = Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False, strict=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
SEVERAL = 10_000


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class CampaignTable(_Table):
    """`[campaign]`: its name and its limits."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$")]
    description: str = ""
    parallel: Count = 2
    parallel_per_target: Count = 1
    time_limit_secs: Seconds = 600.0
    retries: Annotated[int, Field(ge=0, le=100)] = 0


class MatrixTable(_Table):
    """`[matrix]`: what is multiplied."""

    targets: Annotated[list[Text], Field(min_length=1)]
    levels: list[Text] = []
    workloads: list[Text] = []
    handlers: list[Text] = []
    audit: bool = False
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=SEVERAL)] = [1]


class TargetTable(_Table):
    """`[targets.NAME]`: an address, and where its password is."""

    url: Text
    password_env: Text | None = None
    password_file: Text | None = None
    parallel: Count | None = None


class IncludeTable(_Table):
    """`[[include]]`: one more run."""

    target: Text
    level: Text | None = None
    workload: Text | None = None
    handlers: Text | None = None
    audit: bool = False
    seed: Seed | None = None


class ExcludeTable(_Table):
    """`[[exclude]]`: runs that are left out; each key one value or a list."""

    target: Text | list[Text] = []
    level: Text | list[Text] = []
    workload: Text | list[Text] = []
    handlers: Text | list[Text] = []
    audit: bool = False
    seed: Seed | list[Seed] = []


class Document(_Table):
    """The whole file."""

    campaign: CampaignTable
    matrix: MatrixTable
    targets: dict[str, TargetTable] = {}
    include: list[IncludeTable] = []
    exclude: list[ExcludeTable] = []
    #: Settings of the rig for these runs, by table and key.
    settings: dict[str, dict[str, Any]] = {}


class Place:
    """Where in the file a key stands, for messages."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self._lines = toml_positions(text)

    def of(self, *keys: str | int) -> str:
        """Return `FILE:LINE: key`."""
        names = tuple(str(key) for key in keys if not isinstance(key, int))
        line = next(
            (
                self._lines[names[:length]]
                for length in range(len(names), 0, -1)
                if names[:length] in self._lines
            ),
            1,
        )
        return f"{self.file}:{line}: {_dotted(keys)}"


def _dotted(keys: tuple[str | int, ...]) -> str:
    text = ""
    for key in keys:
        text += f"[{key + 1}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def read_document(path: Path) -> tuple[Document, Place, list[Problem]]:
    """Return what a campaign's file says, where it does, and what of it is no such key or value.

    What is wrong is left out of the document, so that the rest can be looked at too.

    Raises:
        UsageError: It cannot be read, or is no TOML.
        CampaignInvalid: With what is wrong, where nothing can be made of the rest.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 at byte {error.start}", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"not TOML: {error}", where=str(path)) from error
    place = Place(path, text)
    problems: list[Problem] = []
    for _ in range(2):
        try:
            return Document.model_validate(content), place, problems
        except ValidationError as error:
            for each in error.errors(include_url=False, include_input=False):
                keys = _keys(each["loc"])
                problem = _problem(keys, each["type"], each["msg"], place)
                if problem not in problems:
                    problems.append(problem)
                _leave_out(content, keys)
    raise CampaignInvalid(problems, file=str(path))


def _keys(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the path of a key, without the member of a union that pydantic tried there."""
    if loc and loc[0] == "exclude":
        return tuple(key for key in loc[:3])
    return loc


def _leave_out(content: Any, keys: tuple[int | str, ...]) -> None:
    """Take the value of a key out, or the list that holds it; a name is replaced."""
    *way, last = keys
    while way and isinstance(last, int):
        *way, last = way
    for key in way:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(content, dict):
        content.pop(last, None)
        if last == "name":
            content[last] = "unnamed"


#: The keys of each table, for suggestions.
_KEYS: dict[str, type[BaseModel]] = {
    "campaign": CampaignTable,
    "matrix": MatrixTable,
    "targets": TargetTable,
    "include": IncludeTable,
    "exclude": ExcludeTable,
}
_SAID = {
    "missing": "is missing",
    "extra_forbidden": "there is no such key",
    "string_pattern_mismatch": "letters, digits, dots, hyphens and underscores are wanted",
    "too_short": "is empty",
}


def _problem(keys: tuple[int | str, ...], kind: str, message: str, place: Place) -> Problem:
    todo = None
    if kind == "extra_forbidden":
        table = _KEYS.get(str(keys[0])) if len(keys) > 1 else Document
        known = list((table or Document).model_fields)
        near = get_close_matches(str(keys[-1]), known, n=1)
        todo = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    what = _SAID.get(kind, message[:1].lower() + message[1:])
    if keys[0] == "exclude" and kind.endswith("_type"):
        what = "one value or a list is wanted"
    return Problem(where=place.of(*keys), what=what, todo=todo)
