"""`test-rig scenario`: play one scenario, or a specification of PostgreSQL's isolation tester."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, Target, common_options
from test_rig.cli.outputs import AsJson

if TYPE_CHECKING:
    from test_rig.cli.door import Door
    from test_rig.scenario import Limits, Scenario
    from test_rig.targets import LevelSpec
    from test_rig.targets import Target as OpenTarget
    from test_rig.verdict import Cell, Transcript

__all__ = ["app"]

app = typer.Typer(
    help="Play scripted interleavings of sessions, and see who waits, who fails, who reads what.",
    no_args_is_help=True,
)

What = Annotated[
    str,
    typer.Argument(
        metavar="NAME|FILE",
        help="A built-in scenario (see `test-rig scenario list`), a .spec file of PostgreSQL's "
        "isolation tester, or a .toml file with a scenario of your own.",
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", help="Play at this level only; may be repeated.", show_default=False),
]
Replay = Annotated[
    bool, typer.Option("--replay", help="Print the SQL of each run, for replay by hand.")
]
MaxPermutations = Annotated[
    int | None,
    typer.Option(
        "--max-permutations", min=1, help="Play the first so many only.", show_default=False
    ),
]

#: One printed result: its text, its data, its exit code.
_Result = tuple[str, dict[str, Any], int]


@app.command("list")
def list_scenarios(as_json: AsJson = False) -> None:
    """List the built-in scenarios with the anomalies that they look for."""
    from test_rig.scenario import BUILT_IN

    scenarios = BUILT_IN.values()
    if as_json:
        typer.echo(json.dumps([_described(scenario) for scenario in scenarios], indent=2))
        return
    width = max(map(len, BUILT_IN))
    for scenario in scenarios:
        typer.echo(f"{scenario.name:{width}}  {scenario.title}: {scenario.anomaly.info.meaning}")


def _described(scenario: Scenario) -> dict[str, Any]:
    info = scenario.anomaly.info
    return {
        "name": scenario.name,
        "anomaly": scenario.anomaly.value,
        "title": scenario.title,
        "meaning": info.meaning,
        "source": info.source,
        "setup": list(scenario.setup),
        "steps": [list(step) for step in scenario.steps],
        "final": scenario.final,
    }


@app.command()
@common_options
def run(
    common: CommonOptions,
    what: What,
    url: Target = None,
    level: Levels = None,
    as_json: AsJson = False,
    replay: Replay = False,
    max_permutations: MaxPermutations = None,
) -> None:
    """Play a scenario at each level of a database.

    A built-in scenario says whether its anomaly occurs; a scenario of your own whether what it
    expects holds; a .spec file prints what PostgreSQL's isolation tester would print. Exit code 0
    when nothing is wrong, 1 when a claim or an expectation is broken or an order is impossible,
    3 when something could not be judged.
    """
    from test_rig.cli.door import Door

    worker = _worker(what, replay=replay, max_permutations=max_permutations)
    with Door(common, [url] if url else []) as door:
        codes: list[int] = []
        data: list[dict[str, Any]] = []

        def work(targets: Sequence[Any]) -> None:
            for text, result, code in _results(door, targets, level or [], worker):
                codes.append(code)
                data.extend([result] if result else [])
                if not as_json:
                    typer.echo(text, nl=False)

        door.with_password(work)
    if as_json:
        typer.echo(json.dumps(data, indent=2))
    raise typer.Exit(max(codes, default=0))


_Worker = Callable[["OpenTarget", "list[LevelSpec]", "Limits"], Iterator[_Result]]


def _results(
    door: Door, targets: Sequence[Any], levels: Sequence[str], worker: _Worker
) -> Iterator[_Result]:
    """Play on each target, or on the embedded ones where none is named."""
    from test_rig.rig import EMBEDDED_URLS, target_of
    from test_rig.scenario import Limits

    limits = Limits(step_ns=round(door.config.audit.step_timeout_secs * 1e9))
    for url in targets or EMBEDDED_URLS:
        with target_of(door.config, url, listener=door.sql_listener) as target:
            chosen = [target.level(name) for name in levels]
            info = target.info
            name = f"{info.product} {info.version}, {info.url}"
            door.console.print(name, highlight=False, markup=False, soft_wrap=True)
            yield from worker(target, chosen, limits)


def _worker(what: str, *, replay: bool, max_permutations: int | None) -> _Worker:
    """Return what plays the thing that was named, read already: its errors come first."""
    suffix = Path(what).suffix.lower()
    if suffix == ".spec":
        return _spec_worker(what, replay=replay, max_permutations=max_permutations)
    if max_permutations is not None:
        from test_rig.errors import UsageError

        raise UsageError("--max-permutations is for .spec files", where=what)
    if suffix == ".toml":
        return _own_worker(what, replay=replay)
    return _built_in_worker(what, replay=replay)


def _built_in_worker(what: str, *, replay: bool) -> _Worker:
    from test_rig.isolation import forbids
    from test_rig.scenario import find_scenario, run_scenario
    from test_rig.verdict import Occurrence

    scenario = find_scenario(what)

    def play(target: OpenTarget, levels: list[LevelSpec], limits: Limits) -> Iterator[_Result]:
        with target.scratch() as scratch:
            for level in levels or target.levels:
                cell = run_scenario(scenario, scratch, level, limits=limits)
                is_broken = forbids(level.claim, cell.anomaly)
                codes = {Occurrence.OCCURS: 1 if is_broken else 0, Occurrence.UNKNOWN: 3}
                text = f"{level.name}: {cell.occurrence.value}: {cell.reason}\n"
                yield (
                    text + _replayed(cell.transcript, replay),
                    {**_of(target, level), **_plain(cell)},
                    codes.get(cell.occurrence, 0),
                )

    return play


def _own_worker(what: str, *, replay: bool) -> _Worker:
    from test_rig.scenario import read_scenario, run_own
    from test_rig.verdict import ResultStatus

    scenario = read_scenario(what)
    exit_codes = {ResultStatus.FAILED: 1, ResultStatus.ERROR: 3}

    def play(target: OpenTarget, levels: list[LevelSpec], limits: Limits) -> Iterator[_Result]:
        with target.scratch() as scratch:
            for level in levels or target.levels:
                result = run_own(scenario, scratch, level, limits=limits)
                reasons = "".join(f"\n  {reason}" for reason in result.reasons)
                yield (
                    f"{level.name}: {result.status.value}{reasons}\n"
                    + _replayed(result.transcript, replay),
                    {**_of(target, level), **_plain(result)},
                    exit_codes.get(result.status, 0),
                )

    return play


def _spec_worker(what: str, *, replay: bool, max_permutations: int | None) -> _Worker:
    from test_rig.scenario import isolationtester_text, read_spec, run_spec

    spec = read_spec(what)
    for name in spec.unused_steps:
        typer.echo(f"unused step name: {name}", err=True)

    def play(target: OpenTarget, levels: list[LevelSpec], limits: Limits) -> Iterator[_Result]:
        wanted: Sequence[LevelSpec | None] = levels or [None]  # the server's default
        with target.scratch() as scratch:
            for level in wanted:
                yield f"Parsed test spec with {len(spec.sessions)} sessions\n", {}, 0
                transcripts = run_spec(
                    spec, scratch, level=level, max_permutations=max_permutations, limits=limits
                )
                for transcript in transcripts:
                    text = replayed if (replayed := _replayed(transcript, replay)) else None
                    yield (
                        text or isolationtester_text(transcript),
                        {**_of(target, level), **_plain(transcript)},
                        _spec_code(transcript),
                    )
                count = spec.permutation_count
                if max_permutations is not None and max_permutations < count:
                    played = f"played {max_permutations} of {count} permutations"
                    typer.echo(played, err=True)

    return play


def _spec_code(transcript: Transcript) -> int:
    if transcript.problem is None:
        return 0
    return 1 if transcript.is_impossible else 3


def _replayed(transcript: Transcript | None, replay: bool) -> str:
    from test_rig.scenario import replay_sql

    return f"\n{replay_sql(transcript)}\n" if replay and transcript is not None else ""


def _of(target: OpenTarget, level: LevelSpec | None) -> dict[str, Any]:
    return {"target": target.info.url, "level": level.key if level else None}


def _plain(value: Cell | Transcript | Any) -> dict[str, Any]:
    """Return a frozen value as data for JSON."""
    import msgspec

    plain = msgspec.to_builtins(value)
    if not isinstance(plain, dict):
        raise TypeError(f"{type(value).__name__} is no record")
    return plain
