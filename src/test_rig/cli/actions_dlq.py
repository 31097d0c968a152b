"""`test-rig actions dlq`: what could not be delivered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson

if TYPE_CHECKING:
    from test_rig.actions import DeadLetter, DeadLetters

__all__ = ["app"]

app = typer.Typer(
    help="Dead letters: events that a driver refused, or that were given up.",
    no_args_is_help=True,
)

Folder = Annotated[
    str | None,
    typer.Option("--folder", help="The setting actions.folder.", show_default=False),
]
DriverName = Annotated[str, typer.Argument(metavar="DRIVER", help="The driver's name.")]
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="The letter's number.")]
OptionalNumber = Annotated[
    int | None,
    typer.Argument(metavar="[NUMBER]", help="One letter; all if none.", show_default=False),
]


def _stores(common: CommonOptions, folder: str | None, name: str | None) -> dict[str, DeadLetters]:
    """Return the letters of one driver, or of all that have a file."""
    from test_rig.actions import DeadLetters, spool_path
    from test_rig.cli.actions import configured, planned
    from test_rig.errors import UnknownName

    plan = planned(configured(common, folder=folder))
    names = [each.name for each in plan.drivers]
    if name is not None and name not in names:
        raise UnknownName("driver", name, names)
    wanted = names if name is None else [name]
    paths = {each: spool_path(plan.folder, each) for each in wanted}
    return {each: DeadLetters(path) for each, path in paths.items() if path.exists()}


def _shown(driver: str, letter: DeadLetter) -> dict[str, Any]:
    from test_rig.actions import fields_of

    return {
        "driver": driver,
        "number": letter.number,
        "id": letter.id,
        "died": datetime.fromtimestamp(letter.died_s, UTC).isoformat(),
        "refused": letter.is_final,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "redrives": letter.redrives,
        "event": fields_of(letter.event),
    }


@app.command("list")
@common_options
def list_letters(
    common: CommonOptions,
    driver: Annotated[
        str | None,
        typer.Argument(metavar="[DRIVER]", help="One driver; all if none.", show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of each driver.")] = 50,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List the newest dead letters, the newest last."""
    from test_rig.cli.actions import show

    found = [
        _shown(name, letter)
        for name, letters in _stores(common, folder, driver).items()
        for letter in letters.newest(limit=limit)
    ]
    if as_json:
        show(found)
        return
    for each in found:
        tries = f"{each['attempts']} attempts"
        line = f"{each['driver']} {each['number']}: {each['id']} {each['died']} {tries}"
        typer.echo(f"{line}: {each['reason']}")
    if not found:
        typer.echo("no dead letters")


@app.command("show")
@common_options
def show_letter(
    common: CommonOptions, driver: DriverName, number: Number, folder: Folder = None
) -> None:
    """Print one dead letter with its event and its reason, as JSON."""
    from test_rig.cli.actions import show
    from test_rig.errors import UsageError

    store = _stores(common, folder, driver).get(driver)
    letter = None if store is None else store.show(number)
    if letter is None:
        raise UsageError(f"there is no dead letter {number}", where=driver)
    show(_shown(driver, letter))


@app.command("replay")
@common_options
def replay_letters(
    common: CommonOptions,
    driver: DriverName,
    number: OptionalNumber = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Have dead letters sent again: by the actions that run, or at their next start."""
    _do(common, driver, number, folder, "replay", as_json=as_json)


@app.command("purge")
@common_options
def purge_letters(
    common: CommonOptions,
    driver: DriverName,
    number: OptionalNumber = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Forget dead letters."""
    _do(common, driver, number, folder, "purge", as_json=as_json)


def _do(
    common: CommonOptions,
    driver: str,
    number: int | None,
    folder: str | None,
    what: str,
    *,
    as_json: bool,
) -> None:
    from test_rig.cli.actions import show
    from test_rig.errors import UsageError

    store = _stores(common, folder, driver).get(driver)
    count = 0 if store is None else getattr(store, what)(number)
    if number is not None and count == 0:
        raise UsageError(f"there is no dead letter {number}", where=driver)
    if as_json:
        show({"driver": driver, what: count})
    else:
        done = "will be sent again" if what == "replay" else "are gone"
        typer.echo(f"{driver}: {count} dead letters {done}")
