"""`test-rig config`: what is set, from where, and a file to start from."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from test_rig.cli.options import CommonOptions, Target, common_options, load_config
from test_rig.errors import UsageError

if TYPE_CHECKING:
    from test_rig.settings import Setting

__all__ = ["app"]

app = typer.Typer(
    help="Show the settings in force, or write a settings file.", no_args_is_help=True
)


class FileFormat(Enum):
    """What a settings file can be."""

    TOML = "toml"
    JSON = "json"


@app.command()
@common_options
def show(
    common: CommonOptions,
    url: Target = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print every setting with where it came from. Passwords are hidden."""
    settings = list(load_config(common, target=url).settings())
    if as_json:
        typer.echo(json.dumps({each.name: _as_data(each) for each in settings}, indent=2))
        return
    width = max(len(_pair(each)) for each in settings if len(_pair(each)) < 60)
    for each in settings:
        hides = "".join(f", hides {value} from {where}" for where, value in each.origin.hid)
        typer.echo(f"{_pair(each):{width}}  # {each.origin}{hides}")


@app.command()
def generate(
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="The format; that of the file's name, else toml."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to write; standard output if not given."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if there is one.")
    ] = False,
) -> None:
    """Write a settings file with every key, its meaning and its default."""
    from test_rig.settings import generated_json, generated_toml

    wanted = _format(file_format, output)
    text = generated_toml() if wanted is FileFormat.TOML else generated_json()
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            "there is such a file already", where=str(output), todo="--force replaces it"
        ) from None
    except OSError as exc:
        raise UsageError(f"cannot be written: {exc.strerror}", where=str(output)) from exc
    typer.echo(f"wrote {output}", err=True)


def _format(wanted: FileFormat | None, output: Path | None) -> FileFormat:
    if output is None:
        return wanted or FileFormat.TOML
    # A file is read by its name, so a name that says otherwise would never load.
    named = {f".{each.value}": each for each in FileFormat}.get(output.suffix.lower())
    if named is None:
        raise UsageError("neither .toml nor .json", where=str(output), todo="rename it")
    if wanted not in (None, named):
        raise UsageError(
            f"the name says {named.value}, --format something else",
            where=str(output),
            todo="leave --format away",
        )
    return named


def _pair(setting: Setting) -> str:
    value = "(not set)" if setting.value is None else json.dumps(setting.value, default=str)
    return f"{setting.name} = {value}"


def _as_data(setting: Setting) -> dict[str, object]:
    origin = setting.origin
    return {
        "value": setting.value,
        "source": origin.source.value,
        "where": origin.where,
        "hid": [{"where": where, "value": value} for where, value in origin.hid],
    }
