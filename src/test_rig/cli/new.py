"""`test-rig new`: files to start from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from test_rig.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="Write a file to start from.", no_args_is_help=True)

_HANDLER = '''"""{title}: a test of a database, for `test-rig run {file}`."""

from test_rig import State, StateContext, StateHandler


class {name}(StateHandler):
    """Makes a table, works with it, and looks at what came of it."""

    def __init__(self, rows: int = 10) -> None:
        self.rows = rows  # from the settings: test.rows, [handlers], --set rows=3

    def enter(self, context: StateContext) -> str:
        """Prepare: the connection is there already."""
        context.connection.query_drop("DROP TABLE IF EXISTS {table}")
        context.connection.query_drop("CREATE TABLE {table} (id INTEGER, name VARCHAR(20))")
        return State.connecting()

    def execute(self, context: StateContext) -> str:
        """Do the work, and say what came of it."""
        mark = context.connection.dialect.placeholder
        rows = [(number, f"name {{number}}") for number in range(self.rows)]
        with context.connection.transaction() as session:
            session.execute_batch(f"INSERT INTO {table} VALUES ({{mark}}, {{mark}})", rows)
        found = context.connection.execute_query("SELECT COUNT(*) AS n FROM {table}")
        if found[0]["n"] != self.rows:
            return State.error(f"{{found[0]['n']}} rows instead of {{self.rows}}")
        return State.completed()

    def exit(self, context: StateContext) -> None:
        """Clean up: called always, also after an error."""
        context.connection.query_drop("DROP TABLE IF EXISTS {table}")


if __name__ == "__main__":
    import sys

    from test_rig.cli import main

    main(["run", __file__, *sys.argv[1:]])
'''


@app.command()
def handler(
    name: Annotated[str, typer.Argument(help="Its name, such as OrderCount.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to write; test_<name>.py here if not given."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if there is one.")
    ] = False,
) -> None:
    """Write a handler that runs as it stands."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name.removesuffix("Handler"))
    if not words or not re.fullmatch(r"[A-Za-z][\w\- ]*", name):
        raise UsageError("a name needs letters", where=name, todo="try OrderCount")
    title = " ".join(words).capitalize()
    snake = "_".join(word.lower() for word in words)
    path = Path(f"test_{snake}.py") if output is None else output
    text = _HANDLER.format(
        title=title,
        file=path.name,
        name="".join(word[:1].upper() + word[1:] for word in words) + "Handler",
        table=f"{snake}_rows",
    )
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            "there is such a file already", where=str(path), todo="--force replaces it"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(path)) from error
    typer.echo(f"wrote {path}", err=True)
    typer.echo(f"run it: test-rig run {path}", err=True)
