"""`test-rig run`: people's handlers, each with its verdict and the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson, Html, Junit

if TYPE_CHECKING:
    from test_rig.cli.door import Door
    from test_rig.rig import HandlerOptions, SuiteRun
    from test_rig.suite import FileTask

__all__ = ["run"]

#: Exit codes by verdict.
_CODES = {"valid": 0, "invalid": 1, "unknown": 3}

What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH|MODULE]...",
        help="Files, folders (every test_*.py in them and below), or modules by dotted name.",
        show_default=False,
    ),
]
PythonModule = Annotated[
    list[str] | None,
    typer.Option("--python-module", help="A module by its dotted name.", show_default=False),
]
Suite = Annotated[
    list[str] | None,
    typer.Option(
        "--suite",
        help="A suite of the settings' table \\[suites], or a folder of that name here, in src or "
        "in tests.",
        show_default=False,
    ),
]
TestFile = Annotated[
    list[str] | None,
    typer.Option(
        "--test-file",
        help="Only files of this name; without anything else to run, the file itself.",
        show_default=False,
    ),
]
Keywords = Annotated[
    list[str] | None,
    typer.Option(
        "-k",
        metavar="TEXT",
        help="Only handlers with this in FILE::CLASS, in any case; * stands for anything. May be "
        "given several times.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", min=1, help="Files at a time, each in a place of its own.")
]
InScratch = Annotated[
    bool,
    typer.Option(
        "--scratch", help="Run each file in a private place on the target, removed afterwards."
    ),
]
Values = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A value for constructors: NAME or CLASS.NAME, and TOML or text.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="A doubtful result is a finding: exit code 1.")
]
Watch = Annotated[
    bool, typer.Option("--watch", help="Stay, and run again what was edited, until Ctrl-C.")
]


@common_options
def run(
    common: CommonOptions,
    what: What = None,
    python_module: PythonModule = None,
    suite: Suite = None,
    test_file: TestFile = None,
    keyword: Keywords = None,
    jobs: Jobs = 1,
    scratch: InScratch = False,
    values: Values = None,
    strict: Strict = False,
    watch: Watch = False,
    junit: Junit = None,
    html: Html = None,
    as_json: AsJson = False,
) -> None:
    """Run handlers of files as tests of a database.

    Exit code 0 when all passed, 1 when one did not or a file could not be loaded, 2 for wrong use,
    3 when the database could not be used.
    """
    from test_rig.cli.choosing import chosen_files, read_values
    from test_rig.cli.door import Door
    from test_rig.cli.outputs import check_folders
    from test_rig.rig import HandlerOptions
    from test_rig.suite import Selection

    check_folders(junit, html)
    with Door(common, ()) as door:
        how = HandlerOptions(
            selection=Selection(keywords=tuple(keyword or ())),
            jobs=jobs,
            in_scratch=scratch,
            is_strict=strict,
            values=read_values(values or ()),
        )
        suites = dict(door.config.suites)
        given = [*(what or ()), *(python_module or ())]

        def choose() -> list[FileTask]:
            return chosen_files(given, suite or (), test_file or (), suites=suites)

        result = _run_once(door, choose(), how)
        _show(result, junit=junit, html=html, as_json=as_json)
        if watch:
            from test_rig.cli.watching import run_again

            def again(changed: Sequence[FileTask]) -> None:
                latest = _run_once(door, changed, how)
                _show(latest, junit=junit, html=html, as_json=as_json)

            run_again(choose, again, door.console)
    raise typer.Exit(_CODES[result.verdict.verdict.value])


def _run_once(door: Door, files: Sequence[FileTask], how: HandlerOptions) -> SuiteRun:
    from test_rig.cli.suite_progress import SuiteProgress
    from test_rig.errors import UsageError
    from test_rig.rig import run_handlers

    logging = door.config.logging
    with SuiteProgress(
        door.console,
        show_sql=logging.show_sql,
        show_output=logging.show_output,
        verbose=door.config.test.verbose,
    ) as progress:
        result: SuiteRun = door.with_password(
            lambda targets: run_handlers(
                door.config,
                targets,
                files,
                how=how,
                argv=door.argv,
                on_event=progress.tell,
                on_output=progress.show_output,
            )
        )
    is_empty = not any(each.handlers or each.problems for each in result.verdict.targets)
    if is_empty and not any(each.error for each in result.verdict.targets):
        raise UsageError(
            "no handler was found"
            + "".join(f" with -k {each!r}" for each in how.selection.keywords),
            where=", ".join(each.source for each in files[:3]),
            todo="a handler is a class whose name ends in Handler and that subclasses StateHandler "
            "(PyStateHandler)",
        )
    return result


def _show(result: SuiteRun, *, junit: Path | None, html: Path | None, as_json: bool) -> None:
    from test_rig.cli.outputs import near, write_report
    from test_rig.cli.report import as_text
    from test_rig.report import render_json

    write_report(result.report, junit, html)
    report: Any = result.report
    text = render_json(report) if as_json else as_text(report, page=near(result.html))
    typer.echo(text.rstrip())
