"""`test-rig connect`: can the database be reached, and what is it?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson

if TYPE_CHECKING:
    from test_rig.cli.door import Door
    from test_rig.machine import RunResult
    from test_rig.targets import TargetUrl

__all__ = ["connect"]

Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[URL]...",
        help="The databases: URLs or host:port. None here and none in the settings: the embedded "
        "ones, SQLite and DuckDB.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """How connecting to one target went."""

    #: Without a password.
    url: str
    result: RunResult
    #: "PostgreSQL", ...: None where it was not reached.
    product: str | None
    version: str | None
    database: str | None

    @property
    def exit_code(self) -> int:
        """The command's exit code, if this were the only target."""
        if self.result.error is None:
            return 0
        return int(getattr(self.result.error.exception, "exit_code", 3))

    def states(self) -> list[tuple[str, str, float]]:
        """Return (state, handler, milliseconds) of each visit."""
        return [
            (visit.state.name, visit.handler, visit.duration_ns / 1e6)
            for visit in self.result.visits()
        ]


@common_options
def connect(common: CommonOptions, urls: Urls = None, as_json: AsJson = False) -> None:
    """Connect to a database, try the connection, and tell what it is: each state with its time.

    Exit code 0 when all answered, 2 for wrong use, 3 when one could not be reached.
    """
    from test_rig.cli.door import Door
    from test_rig.errors import ConnectFailed

    attempts: list[_Attempt] = []

    def work(targets: Sequence[TargetUrl]) -> None:
        attempts[:] = [_attempt(door, url) for url in targets or _embedded()]
        failures = [each.result.error.exception for each in attempts if each.result.error]
        if len(attempts) == 1 and failures and isinstance(failures[0], ConnectFailed):
            raise failures[0]  # a password may be what is missing

    with Door(common, urls or ()) as door:
        try:
            door.with_password(work)
        except ConnectFailed:
            if not attempts:
                raise
        if as_json:
            typer.echo(json.dumps(_as_data(attempts), indent=2))
        else:
            typer.echo("\n\n".join(_as_text(each) for each in attempts))
        for each in attempts:
            _complain(each, is_verbose=door.config.test.verbose)
    raise typer.Exit(max(each.exit_code for each in attempts))


def _embedded() -> list[TargetUrl]:
    from test_rig.rig import EMBEDDED_URLS
    from test_rig.targets import TargetUrl

    return [TargetUrl.parse(url) for url in EMBEDDED_URLS]


def _attempt(door: Door, url: TargetUrl) -> _Attempt:
    from test_rig.machine import Limits, StateMachine
    from test_rig.rig import target_of

    def open_target(parsed: TargetUrl) -> Any:
        return target_of(door.config, parsed, listener=door.sql_listener)

    limits = Limits(run_s=door.config.test.timeout_secs)
    machine = StateMachine(url, limits=limits, open_target=open_target)
    result = machine.run()
    context = machine.get_context()
    return _Attempt(
        url=url.safe(),
        result=result,
        product=context.product,
        version=context.server_version,
        database=context.database,
    )


def _as_text(attempt: _Attempt) -> str:
    lines = [attempt.url]
    lines += [f"  {state:<20}{spent_ms:10.1f} ms" for state, _, spent_ms in attempt.states()]
    total_ms = attempt.result.duration_ns / 1e6
    lines.append(f"  {attempt.result.final_state.name:<20}{total_ms:10.1f} ms")
    if attempt.result.passed:
        where = "" if attempt.database is None else f", database {attempt.database}"
        lines.append(f"{attempt.product} {attempt.version}{where}")
    return "\n".join(lines)


def _complain(attempt: _Attempt, *, is_verbose: bool) -> None:
    failure = attempt.result.error
    if failure is not None:
        typer.echo(f"test-rig: {failure if is_verbose else failure.message}", err=True)
    for note in attempt.result.notes:
        typer.echo(f"test-rig: {note}", err=True)


def _as_data(attempts: Sequence[_Attempt]) -> dict[str, Any]:
    return {
        "passed": all(each.result.passed for each in attempts),
        "targets": [
            {
                "url": each.url,
                "product": each.product,
                "version": each.version,
                "database": each.database,
                "status": each.result.status.value,
                "final_state": each.result.final_state.name,
                "error": None if each.result.error is None else each.result.error.message,
                "started_at": each.result.started_at.isoformat(),
                "duration_ms": each.result.duration_ns / 1e6,
                "states": [
                    {"state": state, "handler": handler, "duration_ms": spent_ms}
                    for state, handler, spent_ms in each.states()
                ],
            }
            for each in attempts
        ],
    }
