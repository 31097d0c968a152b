"""The options that all commands share, and how they become settings.

How to think of it: `@common_options` gives a command the options below and hands their values over
as one `CommonOptions`; `load_config(common, target=url)` puts them on top of environment and
files. A command that has an option of its own for a key passes it as `extra`.

    @app.command()
    @common_options
    def connect(common: CommonOptions, url: Target = None) -> None:
        config = load_config(common, target=url)

Options of extensions are no parameters of a command. `take_extension_options` takes them out of
the arguments before the command line is parsed, and `load_config` finds them again.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from test_rig.errors import UsageError

if TYPE_CHECKING:
    from test_rig.settings import AppConfig, ExtensionOption, OptionValue

__all__ = [
    "CommonOptions",
    "Target",
    "common_options",
    "extension_help",
    "load_config",
    "prompt_for_password",
    "take_extension_options",
]

_R = TypeVar("_R")

_TARGET = "Target"
_LOGGING = "Logging"
_SETTINGS = "Settings"

#: The target as a command's argument: a URL, or host:port.
Target = Annotated[
    str | None,
    typer.Argument(metavar="[URL]", help="The target: a URL or host:port.", show_default=False),
]


#: Every spelling of the options below, which an extension cannot have.
_TAKEN: set[str] = {"--help"}


def _option(*names: str, panel: str, about: str, **more: Any) -> Any:
    _TAKEN.update(spelt for name in names for spelt in name.split("/"))
    return typer.Option(*names, help=about, rich_help_panel=panel, show_default=False, **more)


Host = Annotated[
    str | None, _option("-H", "--host", panel=_TARGET, about="Server name, or host:port.")
]
Port = Annotated[int | None, _option("--port", panel=_TARGET, about="Server port.")]
User = Annotated[str | None, _option("-u", "--user", panel=_TARGET, about="Who connects.")]
Password = Annotated[
    str | None,
    _option(
        "--password",
        panel=_TARGET,
        about="The password. The prompt or TIDB_PASSWORD are safer: arguments can be read by "
        "others for a moment.",
    ),
]
NoPasswordPrompt = Annotated[
    bool | None,
    _option("--no-password-prompt", panel=_TARGET, about="Never ask for a password."),
]
Database = Annotated[
    str | None, _option("-d", "--database", panel=_TARGET, about="The database to connect to.")
]
Url = Annotated[str | None, _option("--url", panel=_TARGET, about="The target as one URL.")]
Verbose = Annotated[bool | None, _option("-v", "--verbose", panel=_LOGGING, about="Tell more.")]
LogLevel = Annotated[
    str | None,
    _option("--log-level", panel=_LOGGING, about="debug, info, warning, error or critical."),
]
LogFile = Annotated[
    str | None, _option("--log-file", panel=_LOGGING, about="A file that gets the log too.")
]
ShowSql = Annotated[
    bool | None,
    _option("--show-sql/--no-show-sql", panel=_LOGGING, about="Show every SQL statement."),
]
ShowOutput = Annotated[
    bool | None,
    _option("--show-output/--no-show-output", panel=_LOGGING, about="Show what handlers print."),
]
ConfigFiles = Annotated[
    list[Path] | None,
    _option(
        "--config",
        panel=_SETTINGS,
        about="A settings file instead of the default ones; the first of several wins.",
    ),
]
Seed = Annotated[int | None, _option("--seed", panel=_SETTINGS, about="Where chance starts.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """What was given for the options that all commands share; None where it was not."""

    host: Host = None
    port: Port = None
    user: User = None
    password: Password = field(default=None, repr=False)
    no_password_prompt: NoPasswordPrompt = None
    database: Database = None
    url: Url = field(default=None, repr=False)
    verbose: Verbose = None
    log_level: LogLevel = None
    log_file: LogFile = None
    show_sql: ShowSql = None
    show_output: ShowOutput = None
    config: ConfigFiles = None
    seed: Seed = None


#: From an option's field to the key it sets and to its name in messages.
_KEYS: dict[str, tuple[str, str]] = {
    "host": ("database.host", "--host"),
    "port": ("database.port", "--port"),
    "user": ("database.username", "--user"),
    "password": ("database.password", "--password"),
    "database": ("database.database", "--database"),
    "url": ("database.url", "--url"),
    "verbose": ("test.verbose", "-v"),
    "log_level": ("logging.level", "--log-level"),
    "log_file": ("logging.file", "--log-file"),
    "show_sql": ("logging.show_sql", "--show-sql"),
    "show_output": ("logging.show_output", "--show-output"),
    "seed": ("test.seed", "--seed"),
}

_EXTENSION_VALUES: ContextVar[Mapping[str, OptionValue] | None] = ContextVar(
    "extension_values", default=None
)


def common_options(command: Callable[..., _R]) -> Callable[..., _R]:
    """Give a command the shared options; it receives them as the argument `common`."""
    hints = inspect.get_annotations(CommonOptions, eval_str=True)
    names = [each.name for each in fields(CommonOptions)]
    # The prefix leaves the plain names (`url`, `config`) to the command's own parameters.
    added = [
        inspect.Parameter(
            f"common_{name}", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name]
        )
        for name in names
    ]

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> _R:
        common = CommonOptions(**{name: kwargs.pop(f"common_{name}", None) for name in names})
        return command(*args, common=common, **kwargs)

    signature = inspect.signature(command, eval_str=True)
    own = [each for name, each in signature.parameters.items() if name != "common"]
    wrapped.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]  # what typer reads
    wrapped.__annotations__ = {each.name: each.annotation for each in [*own, *added]}
    return wrapped


def load_config(
    common: CommonOptions,
    *,
    target: str | None = None,
    extra: Mapping[str, OptionValue] | None = None,
) -> AppConfig:
    """Return the settings in force for a command.

    Args:
        common: The shared options.
        target: The target given as an argument: a URL or host:port.
        extra: Values of the command's own options, by key.

    Raises:
        SettingsError: With all problems of all sources.
        UsageError: The target was given in two ways.
    """
    from test_rig.settings import AppConfig, OptionValue

    cli = {key: OptionValue(getattr(common, name), option) for name, (key, option) in _KEYS.items()}
    if common.no_password_prompt:
        cli["database.password_prompt"] = OptionValue(False, "--no-password-prompt")
    if target is not None:
        key = "database.url" if "://" in target else "database.host"
        if common.url is not None or common.host is not None:
            raise UsageError("the target is given as an argument and by --url or --host")
        cli[key] = OptionValue(target, "URL")
    cli |= _EXTENSION_VALUES.get() or {}
    cli |= extra or {}
    return AppConfig.from_sources(cli=cli, files=common.config or None)


def prompt_for_password(address: str, *, allowed: bool = True) -> str | None:
    """Ask for a password without showing it.

    Args:
        address: Who asks, for the prompt: the target without any password.
        allowed: The setting `database.password_prompt`.

    Returns:
        None where nobody can be asked: standard input is no terminal, or it is not allowed.
    """
    if not allowed or not sys.stdin.isatty():
        return None
    from getpass import getpass

    try:
        return getpass(f"Password for {address}: ", stream=sys.stderr)
    except EOFError:
        return None


def take_extension_options(arguments: Sequence[str]) -> list[str]:
    """Take the options of extensions out of the arguments, for `load_config` to find.

    Args:
        arguments: The command line. What follows `--` is left alone.

    Returns:
        The arguments that are left for the commands.

    Raises:
        UsageError: An option lacks its value, has one that it does not take, or has the name
            of a shared option.
    """
    from test_rig.settings import OptionValue, extension_options

    known = {name: option for option in extension_options() for name in option.names}
    for name in sorted(_TAKEN & known.keys()):
        where = f"extension option {known[name].table}.{known[name].key}"
        raise UsageError(f"the rig has the option {name} already", where=where)
    values: dict[str, OptionValue] = {}
    left: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return _keep(values, [*left, argument, *waiting])
        name, is_assigned, text = argument.partition("=")
        option = known.get(name)
        if option is None:
            left.append(argument)
            continue
        value = _value(option, name, text if is_assigned else None, waiting)
        values[f"{option.table}.{option.key}"] = OptionValue(value, name)
    return _keep(values, left)


def extension_help() -> str:
    """Return what `--help` says of the extensions' options; empty where there are none."""
    from test_rig.settings import config_extensions, extension_options

    lines: list[str] = []
    for name, extension in config_extensions().items():
        lines.append(f"{name}: {extension.get_help_text()}")
        home = name.replace("-", "_")
        lines += [_help_line(option) for option in extension_options() if option.table == home]
    return "\n".join(lines)


def _help_line(option: ExtensionOption) -> str:
    value = "" if option.flag_value is not None else f" {option.metavar or option.key.upper()}"
    choices = f" One of: {', '.join(map(str, option.choices))}." if option.choices else ""
    default = "" if option.default is None else f" [default: {option.default}]"
    return f"  {', '.join(option.names)}{value}  {option.help}{choices}{default}"


def _value(
    option: ExtensionOption, name: str, assigned: str | None, waiting: list[str]
) -> str | bool:
    if option.flag_value is not None:
        if assigned is not None:
            raise UsageError("the option takes no value", where=name)
        return option.flag_value
    if assigned is not None:
        return assigned
    if not waiting or waiting[0] == "--":
        raise UsageError("the option needs a value", where=name)
    return waiting.pop(0)


def _keep(values: Mapping[str, OptionValue], left: list[str]) -> list[str]:
    _EXTENSION_VALUES.set(values)
    return left
