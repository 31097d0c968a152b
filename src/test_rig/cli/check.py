"""`test-rig check`: a history held against the isolation levels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from test_rig.cli.history import CUT, form_named, history_file

if TYPE_CHECKING:
    from test_rig.checker import Checked, Seen

__all__ = ["check"]

_CODES = {"valid": 0, "invalid": 1, "unknown": 3}
#: So many of each anomaly are told in words.
_SHOWN = 3


def check(
    history: Annotated[Path, typer.Argument(help="Its file, or the folder of a run.")],
    model: Annotated[
        str | None,
        typer.Option(help="list-append or rw-register; else the history tells."),
    ] = None,
    level: Annotated[
        str | None, typer.Option(help="The level to hold it against; any anomaly counts else.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            help="Its form: arrow, parquet, edn, jsonl, plume, dbcop, hist, awdit; else its name."
        ),
    ] = None,
    witnesses: Annotated[
        Path | None,
        typer.Option(help="Write what shows each anomaly, with pictures, into this folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Say which anomalies a history shows, and which levels they rule out.

    Exit code 0 when the level is not contradicted, 1 when it is, 2 for a malformed history, 3 when
    it could not be judged.
    """
    import msgspec

    from test_rig.checker import check as judge
    from test_rig.checker import of_model, prepare
    from test_rig.history import read_history

    asked, whole = of_model(read_history(history_file(history), form_named(form)), model)
    prepare(whole, model=asked)
    found = judge(whole, level=level, model=asked)
    if witnesses is not None:
        from test_rig.rig import save_witnesses

        save_witnesses(witnesses, whole, found.seen)
    typer.echo(msgspec.json.encode(found).decode() if as_json else _text(found))
    raise typer.Exit(_CODES[found.verdict.value])


def _text(found: Checked) -> str:
    held = "" if found.level is None else f" at {found.level}"
    lines = [
        f"{found.verdict.value}{held}: {found.transactions} transactions of model {found.model}"
    ]
    by_name: dict[str, list[Seen]] = {}
    for each in found.seen:
        by_name.setdefault(each.anomaly, []).append(each)
    for name, some in by_name.items():
        some.sort(key=lambda each: len(each.transactions))  # the smallest says it best
        for each in some[:_SHOWN]:
            lines += ["", name, *(f"  {why}" for why in each.why)]
        if len(some) > _SHOWN:
            lines += ["", f"{name}: {len(some) - _SHOWN:,} more, which --json tells"]
    if found.undecided:
        names = ", ".join(found.undecided)
        lines += ["", f"neither found nor known not to be there, in bounded time: {names}"]
    lines += ["", f"weakest level violated: {', '.join(found.weakest_broken) or 'none'}"]
    if found.transactions:
        strongest = ", ".join(found.strongest_standing) or "none"
        lines.append(f"strongest level not contradicted: {strongest}")
    if found.transactions and found.unknown_levels:
        lines.append(f"not known: {', '.join(found.unknown_levels)}: {found.reason}")
    if found.is_cut:
        lines.append(CUT)
    return "\n".join(lines)
