"""Command line over environment over files over defaults, for each key by itself."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from test_rig.settings import AppConfig, OptionValue, Source, generated_json, generated_toml
from test_rig.settings.environment import FAMILIAR
from test_rig.settings.fields import vocabulary
from test_rig.settings.merge import shown

WORDS = st.text("abcxyz", min_size=1, max_size=8)
COUNTS = st.integers(1, 9999)
FLAGS = st.booleans()
LIMITS = st.floats(0.5, 999)
TABLES_WITHIN = st.dictionaries(WORDS, COUNTS, min_size=1, max_size=2)
VALUES: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("database", "url"): WORDS.map(lambda word: f"mysql://u:pw@{word}/db"),
    ("database", "host"): WORDS,
    ("database", "port"): COUNTS,
    ("database", "username"): WORDS,
    ("database", "password"): WORDS,
    ("database", "password_prompt"): FLAGS,
    ("database", "database"): WORDS,
    ("database", "pool_size"): COUNTS,
    ("database", "timeout_secs"): LIMITS,
    ("logging", "level"): st.sampled_from(["debug", "info", "warning", "error", "critical"]),
    ("logging", "format"): st.sampled_from(["text", "json"]),
    ("logging", "file"): WORDS,
    ("logging", "console"): FLAGS,
    ("logging", "show_sql"): FLAGS,
    ("logging", "show_output"): FLAGS,
    ("test", "rows"): COUNTS,
    ("test", "transitions"): st.integers(1, 99),
    ("test", "timeout_secs"): LIMITS,
    ("test", "verbose"): FLAGS,
    ("test", "real_db"): FLAGS,
    ("test", "seed"): COUNTS,
    ("runs", "folder"): WORDS,
    ("audit", "levels"): st.lists(WORDS, max_size=3, min_size=1),
    ("audit", "step_timeout_secs"): LIMITS,
    ("audit", "workload_time_secs"): LIMITS,
    ("imports", "duration_secs"): LIMITS,
    ("imports", "interval_secs"): LIMITS,
    ("imports", "show_details"): FLAGS,
    ("actions", "folder"): WORDS,
    ("actions", "drain_secs"): LIMITS,
    ("actions", "listen"): WORDS,
    ("actions", "drivers"): TABLES_WITHIN,
    ("actions", "rules"): TABLES_WITHIN,
    ("actions", "alerts"): TABLES_WITHIN,
    ("actions", "inhibit"): st.lists(TABLES_WITHIN, max_size=2, min_size=1),
    ("actions", "silences"): st.lists(TABLES_WITHIN, max_size=2, min_size=1),
    ("workload", "levels"): st.lists(WORDS, max_size=3, min_size=1),
    ("workload", "time_secs"): LIMITS,
    ("workload", "clients"): COUNTS,
    ("workload", "rate"): LIMITS,
    ("workload", "key_count"): COUNTS,
    ("workload", "writes_per_key"): COUNTS,
    ("workload", "ops"): COUNTS,
    ("workload", "pause_secs"): st.integers(0, 60).map(float),
    ("workload", "statement_secs"): LIMITS,
    ("campaigns", "folder"): WORDS,
    ("campaigns", "url"): WORDS,
    ("workflow", "url"): WORDS,
    ("workflow", "max_tasks"): st.integers(1, 10_000),
    ("workflow", "lease_secs"): LIMITS,
}
#: The sources, strongest first: the rule that the property holds the rig to.
SOURCES = ("command line", "TEST_RIG_", "familiar", "strong file", "weak file")


def as_variable(value: Any) -> str:
    """Return a value as a shell would spell it."""
    if isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)):
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(value)
    return {True: "yes", False: "off"}[value] if isinstance(value, bool) else str(value)


@dataclass
class Given:
    """What each source says, by key."""

    by_source: dict[str, dict[tuple[str, str], Any]]

    def load(self, folder: Path) -> AppConfig:
        """Return the settings that the rig makes of it."""
        files = [folder / "strong.json", folder / "weak.json"]
        for path, source in zip(files, SOURCES[3:], strict=True):
            content: dict[str, dict[str, Any]] = {}
            for (table, key), value in self.by_source[source].items():
                content.setdefault(table, {})[key] = value
            path.write_text(json.dumps(content))
        env = {
            f"TEST_RIG_{table}_{key}".upper(): as_variable(value)
            for (table, key), value in self.by_source["TEST_RIG_"].items()
        }
        for name, slot in FAMILIAR.items():
            if slot in self.by_source["familiar"]:
                env[name] = as_variable(self.by_source["familiar"][slot])
        cli = {
            f"{table}.{key}": OptionValue(value, f"--{key}")
            for (table, key), value in self.by_source["command line"].items()
        }
        return AppConfig.from_sources(cli=cli, env=env, files=files)


def slots_of(source: str) -> list[tuple[str, str]]:
    """Return the keys that a source can give."""
    return sorted(set(FAMILIAR.values())) if source == "familiar" else sorted(VALUES)


@st.composite
def given_sources(draw: st.DrawFn) -> Given:
    """Draw for each source a set of keys with values."""
    by_source = {}
    for source in SOURCES:
        slots = draw(st.sets(st.sampled_from(slots_of(source))))
        by_source[source] = {slot: draw(VALUES[slot]) for slot in sorted(slots)}
    return Given(by_source)


def plain(value: Any) -> Any:
    """Return a value as a test can compare it."""
    value = value.get_secret_value() if hasattr(value, "get_secret_value") else value
    return list(value) if isinstance(value, tuple) else value


def test_every_key_is_in_the_property() -> None:
    """The property below misses no key."""
    tables = vocabulary().tables
    assert {(table, key) for table, keys in tables.items() for key in keys} == set(VALUES)


@given(given_sources())
def test_the_strongest_source_wins_each_key(sources: Given) -> None:
    """Whatever the sources say, each key has the value of the strongest that says anything."""
    with tempfile.TemporaryDirectory() as folder:
        config = sources.load(Path(folder))
    defaults = AppConfig()
    for slot in VALUES:
        table, key = slot
        saying = [source for source in SOURCES if slot in sources.by_source[source]]
        found = plain(getattr(getattr(config, table), key))
        origin = config.origin(f"{table}.{key}")
        if not saying:
            assert found == plain(getattr(getattr(defaults, table), key))
            assert origin.source is Source.DEFAULT
            continue
        wanted = sources.by_source[saying[0]][slot]
        # What the environment carries as text comes back as nearly the same number.
        is_nested = isinstance(wanted, dict | list)
        assert found == (wanted if is_nested else pytest.approx(wanted))
        familiar_twice = "familiar" in saying and slot == ("database", "username")
        assert len(origin.hid) == len(saying) - 1 + familiar_twice
        expected = {"command line": Source.COMMAND_LINE, "TEST_RIG_": Source.ENVIRONMENT}
        kind = {"familiar": Source.ENVIRONMENT}.get(saying[0], Source.FILE)
        assert origin.source is expected.get(saying[0], kind)


@given(given_sources())
def test_no_secret_is_printed(sources: Given) -> None:
    """Neither the settings nor their origins show a password, in whatever way they are printed."""
    secret = "Zq7!Zq7"  # no other value can contain it
    for source in SOURCES:
        slots = sources.by_source[source]
        slots[("database", "password")] = secret
        if source != "familiar":
            slots[("database", "url")] = f"mysql://u:{secret}@h/db"
    with tempfile.TemporaryDirectory() as folder:
        config = sources.load(Path(folder))
    told = [
        repr(config),
        str(config),
        repr(config.database),
        str(config.model_dump()),
        config.model_dump_json(),
        json.dumps(config.without_secrets()),
        str(list(config.settings())),
        repr(config.target()),
    ]
    assert not [text for text in told if secret in text]
    assert config.secrets() == (secret, secret)


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", generated_toml()), ("a.json", generated_json())]
)
def test_a_generated_file_is_the_defaults(tmp_path: Path, name: str, text: str) -> None:
    """What `config generate` writes changes nothing, and names every key."""
    path = tmp_path / name
    path.write_text(text)
    loaded = AppConfig.load_with_priority([path])
    assert loaded.without_secrets() == AppConfig().without_secrets()
    for setting in loaded.settings():
        assert setting.name.partition(".")[2] in text


def test_the_commented_keys_load_too(tmp_path: Path) -> None:
    """Taking the comment off any generated line gives a file that loads."""
    lines = [
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in generated_toml().splitlines()
    ]
    path = tmp_path / "a.toml"
    path.write_text("\n".join(lines))
    assert AppConfig.load_with_priority([path]).database.port == 4000


def test_files_by_priority(tmp_path: Path) -> None:
    """The first file that has a key wins it; a file that is not there is skipped."""
    (tmp_path / "production.toml").write_text("[database]\nhost = 'a'\n")
    (tmp_path / "default.toml").write_text("[database]\nhost = 'b'\nusername = 'u'\n")
    names = ("production.toml", "development.toml", "default.toml")
    config = AppConfig.load_with_priority([tmp_path / name for name in names])
    assert (config.database.host, config.database.username) == ("a", "u")
    origin = config.origin("database.host")
    assert origin.where == f"{tmp_path}/production.toml:2"
    assert origin.hid == ((f"file {tmp_path}/default.toml:2", "b"),)


def test_the_environment_overrides_whatever_the_order(tmp_path: Path) -> None:
    """`with_env_overrides` puts the environment above what a script set, once or twice."""
    config = AppConfig(test={"rows": 3}).with_env_overrides({"TEST_RIG_TEST_ROWS": "4"})
    assert config.test.rows == 4
    assert config.with_env_overrides({"TEST_RIG_TEST_ROWS": "5"}).test.rows == 5
    assert config.with_env_overrides({}).test.rows == 4


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("db", ("db", None)),
        ("db:4000", ("db", 4000)),
        ("[::1]:4000", ("::1", 4000)),
        ("[::1]", ("::1", None)),
        ("::1", ("::1", None)),
    ],
)
def test_a_host_may_carry_its_port(host: str, expected: tuple[str, int | None]) -> None:
    """host:port is taken apart, also for IPv6."""
    database = AppConfig.from_sources(env={"TIDB_HOST": host}, files=[]).database
    assert (database.host, database.port) == expected


def test_which_port_wins() -> None:
    """A port given by itself beats the one in the host; a stronger source beats both."""
    env = {"TIDB_HOST": "a:1", "TIDB_PORT": "2"}
    assert AppConfig.from_sources(env=env, files=[]).database.port == 2
    cli = {"database.host": OptionValue("b:3", "--host")}
    assert AppConfig.from_sources(cli=cli, env=env, files=[]).database.port == 3


def test_familiar_names() -> None:
    """TIDB_USER beats TIDB_USERNAME, TEST_RIG_ beats both, and an empty variable is unset."""
    env = {"TIDB_USERNAME": "weak", "TIDB_USER": "", "TIDB_PASSWORD": "", "REAL_DB": "No"}
    config = AppConfig.from_sources(env=env, files=[])
    assert config.database.username == "weak"
    assert config.database.password is None
    assert config.test.real_db is False
    env["TIDB_USER"] = "strong"
    assert AppConfig.from_sources(env=env, files=[]).database.username == "strong"
    env["TEST_RIG_DATABASE_USERNAME"] = "own"
    assert AppConfig.from_sources(env=env, files=[]).database.username == "own"


def test_url_or_parts() -> None:
    """The stronger of URL and host speaks; parts fill what the URL leaves open."""
    env = {"TEST_RIG_DATABASE_URL": "mysql://a/db", "TIDB_PASSWORD": "pw"}
    target = AppConfig.from_sources(env=env, files=[]).target()
    assert (target.url, target.password, target.stronger) == ("mysql://a/db", "pw", frozenset())
    cli = {"database.username": OptionValue("ann", "--user")}
    assert AppConfig.from_sources(cli=cli, env=env, files=[]).target().stronger == {"username"}
    cli["database.host"] = OptionValue("b", "--host")
    target = AppConfig.from_sources(cli=cli, env=env, files=[]).target()
    assert (target.url, target.host, target.password) == (None, "b", "pw")


def test_settings_are_frozen() -> None:
    """Nobody changes settings that are in force."""
    config = AppConfig()
    with pytest.raises(ValueError, match="frozen"):
        config.test.rows = 3
    with pytest.raises(ValueError, match="frozen"):
        config.test = None


def test_shown_hides_by_kind_of_value() -> None:
    """A value is printed plainly unless it is secret."""
    assert shown("rows", 3) == 3
    assert shown("password", "x") == "********"
    assert shown("url", "mysql://u:x@h") == "mysql://u:********@h"
