"""`test-rig audit`: what each isolation level of a database really gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson, Html, Junit

if TYPE_CHECKING:
    from test_rig.rig import AuditRun
    from test_rig.targets import TargetUrl

__all__ = ["audit"]

#: Exit codes by verdict.
_CODES = {"valid": 0, "invalid": 1, "unknown": 3}

Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[URL]...",
        help="The databases to audit: URLs or host:port. None here and none in the settings: the "
        "embedded ones, SQLite and DuckDB.",
        show_default=False,
    ),
]
Levels = Annotated[
    list[str] | None,
    typer.Option("--level", help="Audit this level only; may be repeated.", show_default=False),
]
WorkloadTime = Annotated[
    float | None,
    typer.Option(
        "--workload-time",
        help="Seconds of random transactions at each level after the scenarios; 0 for none.",
        show_default=False,
    ),
]


@common_options
def audit(
    common: CommonOptions,
    urls: Urls = None,
    level: Levels = None,
    workload_time: WorkloadTime = None,
    as_json: AsJson = False,
    junit: Junit = None,
    html: Html = None,
) -> None:
    """Show which isolation anomalies really occur at each level, against what is claimed.

    Exit code 0 when every claim holds, 1 when one is broken, 2 for wrong use, 3 when something
    could not be judged.
    """
    from test_rig.cli.door import Door
    from test_rig.cli.outputs import check_folders, write_report
    from test_rig.cli.progress import AuditProgress
    from test_rig.errors import ConnectFailed
    from test_rig.rig import audit as run_audit
    from test_rig.settings import OptionValue

    check_folders(junit, html)
    extra = {"audit.levels": OptionValue(level, "--level")} if level else {}
    if workload_time is not None:
        extra["audit.workload_time_secs"] = OptionValue(workload_time, "--workload-time")
    with Door(common, urls or (), extra=extra) as door:
        with AuditProgress(door.console) as progress:

            def work(targets: Sequence[TargetUrl], *, may_ask: bool = True) -> AuditRun:
                return run_audit(
                    door.config,
                    targets,
                    argv=door.argv,
                    on_event=progress,
                    listener=door.sql_listener,
                    may_ask=may_ask,
                )

            try:
                run = door.with_password(work)
            except ConnectFailed:  # no password was to be had, or it was wrong: that is on record
                run = work(door.targets, may_ask=False)
        write_report(run.report, junit, html)
        if as_json or run.error is None:
            _print(run, as_json)
    if run.error is not None:
        raise run.error
    raise typer.Exit(_CODES[run.verdict.verdict.value])


def _print(run: AuditRun, as_json: bool) -> None:
    from test_rig.cli.outputs import near
    from test_rig.cli.report import as_text
    from test_rig.report import render_json

    text = render_json(run.report) if as_json else as_text(run.report, page=near(run.html))
    typer.echo(text.rstrip())
