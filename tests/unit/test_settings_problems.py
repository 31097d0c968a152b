"""Broken sources: every problem at once, each with its place and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.errors import Problem, SettingsError, UnknownName
from test_rig.settings import AppConfig, OptionValue
from test_rig.settings.positions import json_positions, toml_positions


def problems_of(folder: Path, name: str, text: str) -> list[str]:
    """Return what the rig says of a file, without the folder's name."""
    path = folder / name
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        AppConfig.load_with_priority([path])
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


TOML = """\
# first line
hots = "x"

[database]
pool_sizee = 3
pool_size = true
port = "many"
password = 12
user = "u"

[databse]
host = "h"

[logging]
level = "loud"
rows = 3
"""


def test_every_problem_of_a_toml_file_at_once(tmp_path: Path) -> None:
    """Unknown keys, unknown tables and wrong values are told together, with their lines."""
    assert problems_of(tmp_path, "a.toml", TOML) == [
        "a.toml:2: hots: unknown key outside of any table (known tables: database, logging, "
        "test, runs, audit, workflow, campaigns, handlers, suites, imports, actions, workload)",
        "a.toml:5: database.pool_sizee: unknown key (did you mean 'pool_size'?)",
        "a.toml:9: database.user: unknown key (did you mean 'username'?)",
        "a.toml:12: databse.host: no table 'databse' (did you mean 'database'?)",
        "a.toml:16: logging.rows: unknown key (did you mean test.rows?)",
        "a.toml:6: database.pool_size: true and false are no numbers, not True",
        "a.toml:7: database.port: Input should be a valid integer, unable to parse string as an "
        "integer, not 'many'",
        "a.toml:8: database.password: Input should be a valid string",
        "a.toml:15: logging.level: Input should be 'debug', 'info', 'warning', 'error' or "
        "'critical', not 'loud'",
    ]


def test_json_keys_have_lines_too(tmp_path: Path) -> None:
    """JSON is told by line and key as TOML is; null leaves a key unset."""
    text = '{\n "database": {\n  "password": null,\n  "hots": "x",\n  "port": 0\n }\n}'
    assert problems_of(tmp_path, "a.json", text) == [
        "a.json:4: database.hots: unknown key (did you mean 'host'?)",
        "a.json:5: database.port: Input should be greater than or equal to 1, not 0",
    ]


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("a.toml", "[database]\nhost = \n", "a.toml:2:8: not TOML: Invalid value"),
        ("a.toml", '[database]\nhost = "x', "a.toml:2:10: not TOML: "),
        ("a.toml", "a = 1\na = 2\n", "a.toml:2:6: not TOML: Cannot overwrite a value"),
        ("a.json", '{\n "database": x}', "a.json:2:14: not JSON: Expecting value"),
        ("a.json", "[1]", "a.json: not an object"),
        ("a.json", '{"a": 1, "a": 2}', "a.json: not JSON that can be used: a stands there twice"),
        ("a.json", "[" * 100_000, "a.json: "),
        ("a.yaml", "a: 1", "a.yaml: neither .toml nor .json"),
        ("a.toml", "database = 3", "a.toml:1: database: a table, not a value"),
        ("a.toml", "[nothing]", "a.toml:1: nothing: no table 'nothing'"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, start: str) -> None:
    """A file that is none is told by line and column where there is one."""
    (problem,) = problems_of(tmp_path, name, text)
    assert problem.startswith(start)


def test_unreadable_files(tmp_path: Path) -> None:
    """A folder, bytes that are no text, and a missing file that was asked for by name."""
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    names = ("folder.toml", "bytes.toml", "missing.toml")
    with pytest.raises(SettingsError) as caught:
        AppConfig.from_sources(env={}, files=[tmp_path / name for name in names])
    folder, data, missing = caught.value.problems
    assert "cannot be read" in folder.what
    assert "not UTF-8 at byte 0" in data.what
    assert "no such file" in missing.what


def test_problems_of_all_sources_come_together(tmp_path: Path) -> None:
    """One run tells what is wrong in the options, the environment and the files."""
    path = tmp_path / "a.toml"
    path.write_text("[test]\nrow = 1\n")
    with pytest.raises(SettingsError) as caught:
        AppConfig.from_sources(
            cli={"database.port": OptionValue("x", "--port")},
            env={"TIDB_PORT": "y", "REAL_DB": "maybe", "TEST_RIG_DATABASE_HOTS": "z"},
            files=[path],
        )
    places = [problem.where for problem in caught.value.problems]
    assert places == [
        "TEST_RIG_DATABASE_HOTS",
        f"{path}:2: test.row",
        "--port: database.port",
        "TIDB_PORT: database.port",
        "REAL_DB: test.real_db",
    ]


def test_strange_variables_are_left_alone() -> None:
    """A variable that resembles no setting belongs to somebody else."""
    env = {"TEST_RIG_REQUIRE_SERVERS": "1", "TEST_RIG_MYPLUGIN_SIZE": "3", "TIDB_LOG": "x"}
    assert AppConfig.from_sources(env=env, files=[]) == AppConfig()


@pytest.mark.parametrize("host", ["mysql://h/db", ":4000", "h:x", "h:", "[::1]:x"])
def test_hosts_that_are_none(host: str) -> None:
    """A host that cannot be one is told, with what to write instead."""
    with pytest.raises(SettingsError) as caught:
        AppConfig.from_sources(env={"TIDB_HOST": host}, files=[])
    (problem,) = caught.value.problems
    assert problem.where == "TIDB_HOST: database.host"
    assert problem.todo == "write host or host:port"


def test_a_wrong_secret_is_not_quoted() -> None:
    """The message about a password that is none does not show it."""
    with pytest.raises(SettingsError) as caught:
        AppConfig(database={"password": 987_654})
    assert "987" not in str(caught.value)
    assert caught.value.problems == (
        Problem(where="AppConfig(...): database.password", what="Input should be a valid string"),
    )


def test_scripts_are_told_too() -> None:
    """A wrong key in a script's call, or in a question, is named with what there is."""
    with pytest.raises(SettingsError, match="did you mean 'rows'"):
        AppConfig(test={"row": 1})
    with pytest.raises(SettingsError, match="a table is wanted here"):
        AppConfig(test=3)
    with pytest.raises(UnknownName, match=r"did you mean 'test\.rows'"):
        AppConfig().origin("test.row")


TABLES = st.dictionaries(
    st.text("abc_-", min_size=1, max_size=5),
    st.dictionaries(st.text("abc_-", min_size=1, max_size=5), st.integers(0, 9), max_size=4),
    max_size=4,
)


@given(TABLES, st.lists(st.sampled_from(["", "# note = [x]", "   "]), max_size=3))
def test_lines_of_toml_keys(tables, noise) -> None:
    """Every key is found on the line that it was written on, whatever stands between."""
    lines: list[str] = []
    expected: dict[tuple[str, ...], int] = {}
    for table, keys in tables.items():
        lines += [*noise, f"[ {table} ]"]
        expected[(table,)] = len(lines)
        for key, value in keys.items():
            lines += [*noise, f'  "{key}" = {value}']
            expected[(table, key)] = len(lines)
    assert toml_positions("\n".join(lines)) == expected


def test_toml_positions_in_hard_places() -> None:
    """Dotted keys, quoted keys and strings of several lines do not lead the scanner astray."""
    text = "a.b = 1\n'c d' = '''\nnot.a = key\n'''\n[x.\"y z\"]\nlast = 1"
    assert toml_positions(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("c d",): 2,
        ("x", "y z"): 5,
        ("x", "y z", "last"): 6,
    }


def test_json_positions_in_hard_places() -> None:
    """Strings with quotes and braces, arrays, and keys on one line."""
    text = '{"a": {"b{": "x\\"}",\n"c": [1, {"d": 2}]},\n"e": 3}'
    assert json_positions(text) == {
        ("a",): 1,
        ("a", "b{"): 1,
        ("a", "c"): 2,
        ("a", "c", "d"): 2,
        ("e",): 3,
    }
