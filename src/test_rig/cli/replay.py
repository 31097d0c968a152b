"""`test-rig replay`: a witness of a workload, tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson

__all__ = ["replay"]

_WORDS = {True: "occurred", False: "did not occur", None: "could not be judged"}

What = Annotated[
    Path,
    typer.Argument(metavar="WITNESS", help="A `.json` or `.spec` file of a folder `witnesses`."),
]
LevelName = Annotated[
    str | None,
    typer.Option("--level", help="Play at this level, not the witness's own.", show_default=False),
]
Times = Annotated[int, typer.Option("-n", "--times", min=1, max=10_000, help="How often.")]


@common_options
def replay(
    common: CommonOptions,
    witness: What,
    level: LevelName = None,
    times: Times = 10,
    as_json: AsJson = False,
) -> None:
    """Play a witness several times and say how often its anomaly occurred again.

    Without a target it is played where it was seen; a password is asked for where one is needed.
    Exit code 1 when it occurred and the level's claim forbids it, 3 when no try could be judged,
    otherwise 0.
    """
    import msgspec

    from test_rig.cli.door import Door
    from test_rig.rig import read_witness, replay_witness

    found = read_witness(witness)
    is_elsewhere = any((common.url, common.host, common.port, common.database))
    own = () if is_elsewhere or found.target is None else (found.target,)
    with Door(common, own) as door:

        def tell(number: int, is_there: bool | None) -> None:
            door.console.print(f"  try {number}: {_WORDS[is_there]}", highlight=False)

        done = door.with_password(
            lambda targets: replay_witness(
                door.config,
                found,
                targets,
                level=level,
                times=times,
                on_try=tell,
                listener=door.sql_listener,
            )
        )
    if as_json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        typer.echo(
            f"{found.anomaly} occurred in {done.occurred} of {done.tries} tries at {done.level} "
            f"of {done.target.product} {done.target.version}"
        )
        if done.unjudged:
            typer.echo(
                f"{done.unjudged} could not be judged: a step did not end, or no answer came."
            )
        claim = "forbids" if done.is_forbidden else "permits"
        if done.occurred:
            typer.echo(f"The claim, {done.claim.info.title}, {claim} it.")
    if done.is_forbidden:
        raise typer.Exit(1)
    raise typer.Exit(3 if done.unjudged == done.tries else 0)
