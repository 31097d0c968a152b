"""`test-rig report` finds a run by any of its names and writes the form that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import audits
import pytest
import typer
from typer.testing import CliRunner

from test_rig.cli.report import report
from test_rig.errors import RigError, RunFolderError, UnknownName, UsageError
from test_rig.runs import RunFolder, find_run

app = typer.Typer()
app.command()(report)


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of a finished run under the working folder."""
    monkeypatch.chdir(tmp_path)
    with RunFolder.create("test-rig-runs", "audit") as run:
        made = audits.embedded()
        run.write_results(made.audit)
        run.finish(made.audit.verdict)
    return find_run("test-rig-runs", "last").id


def said(*arguments: str) -> str:
    """Return what the command prints on standard output; raises what it raises."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_run_is_told_by_any_of_its_names(run_id: str) -> None:
    """Nothing, `last`, the id and the folder mean the same run."""
    folder = str(find_run("test-rig-runs", run_id).path)
    told = {said(*name) for name in ([], ["last"], [run_id], [folder])}
    assert len(told) == 1
    assert told.pop().startswith("Every claim holds")


@pytest.mark.parametrize(
    ("form", "start"), [("json", "{"), ("junit", "<?xml"), ("html", "<!doctype html>")]
)
def test_each_form_goes_to_standard_output(run_id: str, form: str, start: str) -> None:
    """`--format` gives the whole report, and nothing else, on standard output."""
    assert said(run_id, "--format", form).lower().startswith(start)


def test_json_has_a_short_form(run_id: str) -> None:
    """`--json` is `--format json`."""
    assert json.loads(said("--json")) == json.loads(said("--format", "json"))


@pytest.mark.parametrize(("name", "start"), [("r.html", "<!doctype"), ("r.xml", "<?xml")])
def test_a_file_gets_the_form_of_its_name(run_id: str, name: str, start: str) -> None:
    """`-o` writes the file, says so on standard error, and prints no result."""
    assert said("-o", name) == ""
    assert Path(name).read_text(encoding="utf-8").startswith(start)


def test_the_settings_say_where_runs_are(run_id: str) -> None:
    """`[runs] folder` is where ids are looked up."""
    Path("test-rig-runs").rename("elsewhere")
    Path("my.toml").write_text('[runs]\nfolder = "elsewhere"\n')
    assert said(run_id, "--config", "my.toml").startswith("Every claim")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["zzzzzz"], UnknownName),
        (["."], RunFolderError),
        (["-o", "no/such/folder.html"], UsageError),
        (["--json", "--format", "html"], UsageError),
        (["-o", "report.pdf"], UsageError),
    ],
)
def test_wrong_use_is_one_error_with_code_2(
    run_id: str, arguments: list[str], error: type[RigError]
) -> None:
    """An unknown run, a folder that is none, a place that cannot be written, two forms at once."""
    with pytest.raises(error) as caught:
        said(*arguments)
    assert caught.value.exit_code == 2


def test_results_that_hold_nothing_are_told_as_damaged(run_id: str) -> None:
    """A file that somebody replaced is not taken for a run without findings."""
    (find_run("test-rig-runs", run_id).path / "results.json").write_text('{"x": 1}')
    with pytest.raises(RunFolderError, match="no results in it"):
        said()
