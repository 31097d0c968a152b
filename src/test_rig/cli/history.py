"""`test-rig history`: files of histories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from test_rig.history import HistoryForm

__all__ = ["CUT", "app", "form_named", "history_file"]

app = typer.Typer(help="Files of histories.", no_args_is_help=True)

#: What is said of an Arrow file whose end is not there.
CUT = (
    "the file has no end: its writer was killed or goes on, or the file was cut; "
    "what follows the last whole batch is not in it"
)

Form = Annotated[
    str | None,
    typer.Option(
        help="Its form: arrow, parquet, edn, jsonl, plume, dbcop, hist, awdit; else its name tells."
    ),
]


@app.callback()
def _root() -> None:
    """Files of histories."""


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="The history to read.")],
    to: Annotated[Path, typer.Argument(help="The file to write.")],
    source_form: Form = None,
    to_form: Form = None,
) -> None:
    """Write a history of transactions in another form.

    Exit code 0 when it is written, 2 when it is malformed or the form cannot hold it.
    """
    from test_rig.errors import UsageError
    from test_rig.history import read_history, write_history

    if to.exists() and source.exists() and to.samefile(source):
        raise UsageError("is the file that is read", where=str(to), todo="name another one")
    source = history_file(source)
    forms = [form_named(name) for name in (source_form, to_form)]
    history = read_history(source, forms[0])
    if history.is_cut:
        typer.echo(CUT, err=True)
    for remark in write_history(history, to, forms[1]):
        typer.echo(remark, err=True)
    typer.echo(f"read {len(history)} transactions, wrote {to}", err=True)


def history_file(path: Path) -> Path:
    """Return the file of a history; a run's folder with only one in it will do.

    Raises:
        UsageError: The folder has none or several.
    """
    from test_rig.errors import UsageError

    if not path.is_dir():
        return path
    files = sorted(path.glob("histories/*"))
    if len(files) == 1:
        return files[0]
    what = "the folder has several histories" if files else "the folder has no histories"
    names = ", ".join(str(file) for file in files)
    raise UsageError(what, where=str(path), todo=f"name one: {names}" if files else "name a file")


def form_named(name: str | None) -> HistoryForm | None:
    """Return the form of a name; None for None."""
    from test_rig.errors import UnknownName
    from test_rig.history import HistoryForm

    known = [each.value for each in HistoryForm]
    if name is not None and name not in known:
        raise UnknownName("form of history", name, known)
    return None if name is None else HistoryForm(name)
