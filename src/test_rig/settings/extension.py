"""Options that a plugin adds: on the command line, in the environment and in the files alike.

How to think of it: an extension declares options on an `ArgumentList` and, once all sources are
read and merged, may look at the values (`args`) and write into the draft of the settings. The
options of an extension are keys of the table that carries its name (`-` becomes `_`): extension
`load`, option `--test-rows` are `[load] test_rows`, `TEST_RIG_LOAD_TEST_ROWS`, `--test-rows`.

The registry is filled by calls, not by imports, and keyed by name: the last extension of a name
replaces the one before, in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from test_rig.errors import RigError, UnknownName, UsageError
from test_rig.settings.tables import TABLES

__all__ = [
    "ArgumentList",
    "Arguments",
    "ConfigExtension",
    "ExtensionOption",
    "clear_config_extensions",
    "config_extensions",
    "extension_options",
    "register_config_extension",
]

_OPTION = re.compile(r"^(--?)?(?P<name>[A-Za-z][A-Za-z0-9_-]*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionOption:
    """One option that an extension declared."""

    table: str
    key: str
    #: As on the command line: `--test-rows`, and short forms.
    names: tuple[str, ...]
    type: Callable[[Any], Any] = str
    default: Any = None
    help: str = ""
    choices: tuple[Any, ...] = ()
    #: A flag takes no value; this is what it sets.
    flag_value: bool | None = None
    metavar: str | None = None

    def check(self, value: Any) -> Any:
        """Return the value in the option's type.

        Raises:
            ValueError: It is none.
        """
        converted = _converted(self.type, value)
        if self.choices and converted not in self.choices:
            allowed = ", ".join(str(choice) for choice in self.choices)
            raise ValueError(f"must be one of {allowed}")
        return converted


class ArgumentList:
    """What `add_cli_args` gets: collects the options of one extension."""

    def __init__(self, extension: str) -> None:
        self._table = extension.replace("-", "_")
        self._options: dict[str, ExtensionOption] = {}

    def arg(
        self,
        *names: str,
        type: Callable[[Any], Any] = str,
        default: Any = None,
        help: str = "",
        choices: Sequence[Any] = (),
        action: str = "store",
        dest: str | None = None,
        metavar: str | None = None,
    ) -> ArgumentList:
        """Declare an option; the arguments mean what they do in argparse.

        Args:
            names: `--test-rows`, with short forms if wanted; `test-rows` means the same.
            type: Turns the given text into the value; raises `ValueError` for what is none.
            default: The value where no source gives one.
            help: One sentence for `--help` and the generated settings file.
            choices: The values there are, if they are few.
            action: `store`, `store_true` or `store_false`.
            dest: The key, if it shall differ from the first long name.
            metavar: What stands for the value in `--help`.

        Returns:
            The list itself, so that calls can be chained.
        """
        spelt = tuple(_option_name(name) for name in names)
        long = [name for name in spelt if name.startswith("--")]
        if not long:
            raise UsageError(f"an option needs a long name, not {names!r}", where=self._table)
        if action not in ("store", "store_true", "store_false"):
            raise UsageError(f"the action {action!r} is not served", where=f"{self._table}{long}")
        is_flag = action != "store"
        key = (dest or long[0].removeprefix("--")).replace("-", "_")
        if is_flag and default is None:
            default = action == "store_false"
        self._options[key] = ExtensionOption(
            table=self._table,
            key=key,
            names=spelt,
            type=bool if is_flag else type,
            default=default,
            help=help,
            choices=tuple(choices),
            flag_value=(action == "store_true") if is_flag else None,
            metavar=metavar,
        )
        return self

    add_argument = arg

    @property
    def options(self) -> tuple[ExtensionOption, ...]:
        """What was declared, in its order; the last of two with one key counts."""
        return tuple(self._options.values())


class Arguments:
    """What `build_config` gets: the extension's options with their values in force."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def get_one(self, name: str) -> Any:
        """Return the value of an option by its name: `test-rows`, `--test-rows`, `test_rows`.

        Raises:
            UnknownName: The extension declared no such option.
        """
        key = name.lstrip("-").replace("-", "_")
        if key not in self._values:
            raise UnknownName("option", name, sorted(self._values))
        return self._values[key]

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_values", {})
        if name not in values:
            raise AttributeError(f"no option {name!r}; there are: {', '.join(values) or 'none'}")
        return values[name]


@runtime_checkable
class _Extension(Protocol):
    def add_cli_args(self, app: ArgumentList) -> ArgumentList | None: ...
    def build_config(self, args: Arguments, config: Any) -> Any: ...
    def get_extension_name(self) -> str: ...
    def get_help_text(self) -> str: ...


class ConfigExtension:
    """Subclass this, say a name, declare options, and register an instance."""

    def get_extension_name(self) -> str:
        """Return the name: of the table, of the environment's variables, in the help."""
        raise NotImplementedError(f"{type(self).__name__} has no get_extension_name")

    def get_help_text(self) -> str:
        """Return one sentence that says what the options are for."""
        return ""

    def add_cli_args(self, app: ArgumentList) -> ArgumentList:
        """Declare the options: `return app.arg("--test-rows", type=int, default=1000)`."""
        return app

    def build_config(self, args: Arguments, config: Any) -> Any:
        """Write into the draft of the settings; new fields are welcome.

        Args:
            args: The values of this extension's options.
            config: The draft: `config.test.rows`, `config.test.concurrent_users = 10`.
        """


@dataclass(frozen=True, slots=True)
class _Registered:
    extension: _Extension
    # Declared once: an extension's code runs as seldom as it can.
    options: tuple[ExtensionOption, ...]


_EXTENSIONS: dict[str, _Registered] = {}


def register_config_extension(extension: ConfigExtension | type[ConfigExtension]) -> None:
    """Add an extension, or replace the one of the same name.

    Raises:
        UsageError: It has no usable name, lacks a method, or declares options wrongly.
    """
    found = extension() if isinstance(extension, type) else extension
    if not isinstance(found, _Extension):
        raise UsageError(
            f"{type(found).__name__} is no ConfigExtension",
            todo="it needs add_cli_args, build_config, get_extension_name and get_help_text",
        )
    name = found.get_extension_name()
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UsageError(f"{name!r} is no name for an extension", todo="letters, digits, - and _")
    options = _declared(name, found)
    _refuse_taken(name, options)
    _EXTENSIONS[name] = _Registered(found, options)


def config_extensions() -> dict[str, _Extension]:
    """Return the extensions by name, in the order of their registration."""
    return {name: each.extension for name, each in _EXTENSIONS.items()}


def clear_config_extensions() -> None:
    """Forget every extension."""
    _EXTENSIONS.clear()


def extension_options() -> tuple[ExtensionOption, ...]:
    """Return the options of all extensions, in the order of registration."""
    return tuple(option for each in _EXTENSIONS.values() for option in each.options)


def _declared(name: str, extension: _Extension) -> tuple[ExtensionOption, ...]:
    wanted = ArgumentList(name)
    try:
        answer = extension.add_cli_args(wanted)
    except RigError:
        raise
    except Exception as exc:  # an extension is the user's code: a door
        raise UsageError(
            f"add_cli_args failed: {type(exc).__name__}: {exc}", where=f"extension {name}"
        ) from exc
    options = (answer if isinstance(answer, ArgumentList) else wanted).options
    for option in options:
        own = TABLES.get(option.table)
        if own is not None and option.key in own.model_fields:
            raise UsageError(
                f"the rig has {option.table}.{option.key} already",
                where=f"extension {name}",
                todo="choose another name for the option or for the extension",
            )
    return options


def _refuse_taken(name: str, options: Sequence[ExtensionOption]) -> None:
    taken = {
        spelt: other
        for other, each in _EXTENSIONS.items()
        if other != name
        for option in each.options
        for spelt in option.names
    }
    for spelt in (spelt for option in options for spelt in option.names):
        if spelt in taken:
            raise UsageError(
                f"the extension {taken[spelt]} has the option {spelt} already",
                where=f"extension {name}",
            )


def _option_name(name: str) -> str:
    match = _OPTION.match(name)
    if match is None:
        raise UsageError(f"{name!r} is no name for an option", todo="such as --test-rows")
    if name.startswith("-"):
        return name
    return f"--{name}" if len(name) > 1 else f"-{name}"


def _converted(kind: Callable[[Any], Any], value: Any) -> Any:
    if kind in (int, float, bool, str):
        from pydantic import TypeAdapter, ValidationError

        if isinstance(value, bool) and kind in (int, float):
            raise ValueError("true and false are no numbers")
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError as exc:
            raise ValueError(exc.errors()[0]["msg"]) from None
    try:
        return kind(value)
    except (TypeError, ArithmeticError) as exc:
        raise ValueError(str(exc)) from exc
