"""The shared options of commands, `config show`, `config generate`, and the log."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
import typer
from typer.testing import CliRunner

from test_rig.cli import logs
from test_rig.cli.config import app
from test_rig.cli.options import (
    CommonOptions,
    Target,
    common_options,
    extension_help,
    load_config,
    prompt_for_password,
    take_extension_options,
)
from test_rig.errors import SettingsError, UsageError
from test_rig.settings import (
    AppConfig,
    ConfigExtension,
    OptionValue,
    clear_config_extensions,
    register_config_extension,
)
from test_rig.settings.environment import FAMILIAR, PREFIX


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run in an empty folder, without variables, extensions or a log of others."""
    import os

    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(PREFIX) or name in FAMILIAR:
            monkeypatch.delenv(name)
    yield
    clear_config_extensions()
    take_extension_options([])
    logs.shut_down()
    structlog.reset_defaults()


def run(*arguments: str):
    """Return what a `config` command does."""
    return CliRunner().invoke(app, list(arguments))


def test_every_option_reaches_its_key() -> None:
    """Each shared option sets its key and says so, in its short form too."""
    given = {
        "-H": ("db:4001", "database.host", "db"),
        "-u": ("ann", "database.username", "ann"),
        "-d": ("shop", "database.database", "shop"),
        "--password": ("pw", "database.password", "********"),
        "--url": ("mysql://u:pw@h", "database.url", "mysql://u:********@h"),
        "--log-level": ("ERROR", "logging.level", "error"),
        "--log-file": ("a.log", "logging.file", "a.log"),
        "--seed": ("7", "test.seed", 7),
    }
    flags = {
        "--no-password-prompt": ("database.password_prompt", False),
        "-v": ("test.verbose", True),
        "--show-sql": ("logging.show_sql", True),
        "--no-show-output": ("logging.show_output", False),
    }
    arguments = [word for option, (value, *_) in given.items() for word in (option, value)]
    told = json.loads(run("show", "--json", *arguments, *flags).stdout)
    assert told["database.port"]["value"] == 4001
    for _, key, expected in given.values():
        assert (told[key]["value"], told[key]["source"]) == (expected, "command line")
    for key, expected in flags.values():
        assert (told[key]["value"], told[key]["source"]) == (expected, "command line")


def test_an_option_equal_to_its_default_still_wins(tmp_path: Path) -> None:
    """What is typed counts, also when it says what would have been so anyway."""
    (tmp_path / "test-rig.toml").write_text("[logging]\nlevel = 'error'\n")
    assert '"info"' in run("show", "--log-level", "info").stdout.replace("'", '"')


def test_show_tells_origins_without_secrets(tmp_path: Path) -> None:
    """Each line has value and origin, and what is hidden; a password is never there."""
    (tmp_path / "tidb_config.toml").write_text(
        "[database]\nusername = 'weak'\npassword = 's3cret'\nurl = 'tidb://u:s3cret@h'\n"
    )
    result = run("show", "-u", "ann")
    assert result.exit_code == 0
    lines = {line.split(" = ")[0]: line for line in result.stdout.splitlines()}
    told = "# command line --user, hides weak from file tidb_config.toml:2"
    assert lines["database.username"].endswith(told)
    assert '"tidb://u:********@h"' in lines["database.url"]
    assert lines["database.port"].endswith("# default")
    assert "s3cret" not in result.output


def test_config_files_replace_the_default_ones(tmp_path: Path) -> None:
    """--config is read instead of what lies in the folder, and must exist."""
    (tmp_path / "test-rig.toml").write_text("[test]\nrows = 1\n")
    (tmp_path / "mine.toml").write_text("[test]\nseed = 2\n")
    config = load_config(CommonOptions(config=[Path("mine.toml")]))
    assert (config.test.rows, config.test.seed) == (10, 2)
    with pytest.raises(SettingsError, match="no such file"):
        load_config(CommonOptions(config=[Path("other.toml")]))


def test_a_target_as_argument() -> None:
    """A URL or host:port as the command's argument; twice is an error."""
    assert load_config(CommonOptions(), target="mysql://h/db").target().url == "mysql://h/db"
    assert load_config(CommonOptions(), target="h:4000").target().port == 4000
    with pytest.raises(UsageError, match="as an argument and by"):
        load_config(CommonOptions(url="mysql://h"), target="mysql://h")


def test_a_command_of_its_own() -> None:
    """A command keeps its own parameters beside the shared ones, and adds keys of its own."""
    seen = []
    mine = typer.Typer()

    @mine.command()
    @common_options
    def audit(common: CommonOptions, url: Target = None, level: str = "all") -> None:
        extra = {"audit.levels": OptionValue(level, "--level")}
        seen.append(load_config(common, target=url, extra=extra))

    result = CliRunner().invoke(mine, ["pg:1", "--level", "a,b", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert seen[0].audit.levels == ("a", "b")
    assert (seen[0].test.seed, seen[0].database.host) == (3, "pg")


def test_a_password_does_not_show_in_the_options() -> None:
    """Printing the options is safe."""
    assert "pw" not in repr(CommonOptions(password="pw", url="mysql://u:pw@h"))


def test_nobody_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input that is no terminal, or a refusal, gives no password and no prompt."""

    class Terminal:
        def isatty(self) -> bool:
            return True

    assert prompt_for_password("u@h") is None
    monkeypatch.setattr("sys.stdin", Terminal())
    assert prompt_for_password("u@h", allowed=False) is None
    monkeypatch.setattr("getpass.getpass", lambda prompt, stream: f"{prompt}pw")
    assert prompt_for_password("u@h") == "Password for u@h: pw"


class Load(ConfigExtension):
    """A plugin's options."""

    def get_extension_name(self):
        """Return the name."""
        return "load"

    def get_help_text(self):
        """Return what it is for."""
        return "How much."

    def add_cli_args(self, app):
        """Declare two options."""
        app.arg("--test-rows", "-n", type=int, default=5, help="Rows.")
        return app.arg("--dry-run", action="store_true")


def test_extension_options_on_the_command_line() -> None:
    """They are taken out of the arguments, in every spelling, and reach the settings."""
    register_config_extension(Load)
    for words in (["--test-rows", "7"], ["--test-rows=7"], ["-n", "7"]):
        left = take_extension_options(["audit", *words, "--dry-run", "url", "--", "-n", "9"])
        assert left == ["audit", "url", "--", "-n", "9"]
        config = load_config(CommonOptions())
        assert (config.load.test_rows, config.load.dry_run) == (7, True)
        assert config.origin("load.test_rows").where == words[0].partition("=")[0]
    assert "-n TEST_ROWS  Rows. [default: 5]" in extension_help()
    assert extension_help().startswith("load: How much.")


def test_extension_options_that_are_wrong() -> None:
    """A missing value, a value too many, and a bad integer are errors with the option's name."""
    register_config_extension(Load)
    for words in (["--test-rows"], ["--test-rows", "--"], ["--dry-run=yes"]):
        with pytest.raises(UsageError, match=words[0].partition("=")[0]):
            take_extension_options(words)
    take_extension_options(["--test-rows", "many"])
    with pytest.raises(SettingsError, match=r"--test-rows: load\.test_rows"):
        load_config(CommonOptions())


def test_an_extension_cannot_take_a_shared_option() -> None:
    """An option that every command has stays what it is."""

    class Greedy(Load):
        def add_cli_args(self, app):
            return app.arg("--host")

    register_config_extension(Greedy)
    with pytest.raises(UsageError, match=r"load\.host: the rig has the option --host already"):
        take_extension_options([])


def test_generate_writes_and_never_overwrites(tmp_path: Path) -> None:
    """A file is written once; a second time only with --force; its name is never changed."""
    assert run("generate", "-o", "a.json").exit_code == 0
    assert json.loads((tmp_path / "a.json").read_text())["test"]["rows"] == 10
    (tmp_path / "a.json").write_text("mine")
    assert isinstance(run("generate", "-o", "a.json").exception, UsageError)
    assert (tmp_path / "a.json").read_text() == "mine"
    assert run("generate", "-o", "a.json", "--force").exit_code == 0
    assert AppConfig.load_with_priority(["a.json"]) == AppConfig()
    for wrong in (["a.yaml"], ["b.toml", "--format", "json"], ["no/such/folder.toml"]):
        assert isinstance(run("generate", "-o", *wrong).exception, UsageError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json"]


def test_generate_to_standard_output() -> None:
    """Without a file the text goes to standard output, TOML unless told otherwise."""
    assert "[database]" in run("generate").stdout
    assert json.loads(run("generate", "--format", "json").stdout)["runs"]


def logged(tmp_path: Path, **settings) -> list[str]:
    """Return the lines that a log file gets for one message of each kind."""
    table = AppConfig(logging={"file": str(tmp_path / "a.log"), "console": False, **settings})
    logs.configure(table.logging)
    structlog.get_logger("rig").warning(
        "to mysql://u:s3cret@h",
        password="s3cret",
        host="\x1b[31m",
        inner={"token": "t0ken", "list": ["s3cret", Path("s3cret")]},
    )
    structlog.get_logger("rig").debug("quiet")
    try:
        int("s3cret")
    except ValueError:
        logging.getLogger("lib").exception("failed for %s", "s3cret")
    logs.shut_down()
    return (tmp_path / "a.log").read_text().splitlines()


def test_log_lines_hold_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither fields nor messages nor tracebacks show one, as text and as JSON."""
    monkeypatch.setattr(logs, "_SECRETS", set())
    logs.mask("s3cret", 'wi"th\\é')
    for log_format in ("text", "json"):
        lines = logged(tmp_path, format=log_format)
        assert not [line for line in lines if "s3cret" in line or "t0ken" in line]
        assert any("literal for int() with base 10: '********'" in line for line in lines)
        assert not [line for line in lines if "quiet" in line or "\x1b" in line]
    structlog.reset_defaults()
    logs.configure(AppConfig().logging, run_log=tmp_path / "run.jsonl")
    structlog.get_logger("rig").warning("x", value='wi"th\\é')
    logs.shut_down()
    assert json.loads((tmp_path / "run.jsonl").read_text())["value"] == "********"


def test_json_log_lines_are_objects(tmp_path: Path) -> None:
    """One JSON object a line, with level, time, logger and fields."""
    line = json.loads(logged(tmp_path, format="json")[0])
    assert (line["level"], line["logger"], line["host"]) == ("warning", "rig", "\x1b[31m")
    assert line["timestamp"].endswith("Z")


def test_console_and_run_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The console is standard error; the run's log is JSON beside it; off is off."""
    logs.configure(AppConfig().logging, run_log=tmp_path / "log.jsonl")
    structlog.get_logger("rig").info("hello", rows=3)
    logs.configure(AppConfig(logging={"console": False}).logging)
    structlog.get_logger("rig").info("unheard")
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello" in err
    assert "unheard" not in err
    assert json.loads((tmp_path / "log.jsonl").read_text())["rows"] == 3


@pytest.mark.parametrize(
    ("cli", "env", "expected"),
    [
        ({}, {}, "info"),
        ({"test.verbose": True}, {}, "debug"),
        ({"test.verbose": True, "logging.level": "error"}, {}, "error"),
        ({"test.verbose": True}, {"TEST_RIG_LOGGING_LEVEL": "error"}, "debug"),
        ({"logging.level": "error"}, {"TEST_RIG_TEST_VERBOSE": "1"}, "error"),
    ],
)
def test_verbose_means_debug(cli, env, expected) -> None:
    """-v is log level debug, unless as strong a source names another."""
    given = {key: OptionValue(value, "-x") for key, value in cli.items()}
    assert logs.effective_level(AppConfig.from_sources(cli=given, env=env, files=[])) == expected


def test_logs_that_cannot_be_written() -> None:
    """A file that cannot be opened, or a level that is none, is a problem of the settings."""
    with pytest.raises(SettingsError, match=r"logging\.file: no/such/a\.log cannot be written"):
        logs.configure(AppConfig(logging={"file": "no/such/a.log"}).logging)
    with pytest.raises(SettingsError, match="no log level 'loud'"):
        logs.configure(AppConfig().logging, level="loud")


def test_options_start_fast() -> None:
    """Declaring the options imports neither settings nor anything that settings need."""
    code = "import sys, test_rig.cli.options; print('pydantic' in sys.modules)"
    source = Path(__file__).parents[2] / "src"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "False\n"
