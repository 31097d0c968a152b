"""Options of plugins: in every source, with the same precedence, and in a draft that freezes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from test_rig.errors import SettingsError, UnknownName, UsageError
from test_rig.settings import (
    AppConfig,
    ConfigExtension,
    OptionValue,
    clear_config_extensions,
    config_extensions,
    extension_options,
    generated_json,
    generated_toml,
    register_config_extension,
)


class LoadExtension(ConfigExtension):
    """What a plugin's author writes."""

    def add_cli_args(self, app):
        """Declare three options in both spellings."""
        app.arg("--test-rows", type=int, default=1000, help="Rows per table.")
        app.add_argument("--concurrent-users", "-c", type=int, default=10)
        return app.arg("dry-run", action="store_true").arg("--mode", choices=["fast", "safe"])

    def build_config(self, args, config):
        """Write a new field and a known one."""
        config.test.concurrent_users = args.concurrent_users
        config.test.rows = args.get_one("test-rows")

    def get_extension_name(self):
        """Return the name."""
        return "load-test"

    def get_help_text(self):
        """Return what it is for."""
        return "How much to load."


@pytest.fixture(autouse=True)
def _fresh():
    clear_config_extensions()
    yield
    clear_config_extensions()


def test_defaults_reach_the_settings() -> None:
    """Options have their defaults, new fields stand beside the known ones, and all is frozen."""
    register_config_extension(LoadExtension)
    config = AppConfig()
    assert (config.load_test.test_rows, config.load_test.dry_run) == (1000, False)
    assert (config.test.rows, config.test.concurrent_users) == (1000, 10)
    with pytest.raises(ValueError, match="frozen"):
        config.test.concurrent_users = 3
    assert json.loads(json.dumps(config.without_secrets()))["test"]["concurrent_users"] == 10


def test_the_same_precedence_as_every_key(tmp_path: Path) -> None:
    """Command line over environment over file over the option's default."""
    register_config_extension(LoadExtension())
    path = tmp_path / "a.toml"
    path.write_text("[load_test]\ntest_rows = 1\nconcurrent_users = 1\nmode = 'safe'\n")
    config = AppConfig.from_sources(
        cli={"load_test.test_rows": OptionValue("3", "--test-rows")},
        env={"TEST_RIG_LOAD_TEST_TEST_ROWS": "2", "TEST_RIG_LOAD_TEST_CONCURRENT_USERS": "2"},
        files=[path],
    )
    assert config.load_test.test_rows == config.test.rows == 3
    assert config.load_test.concurrent_users == 2
    assert config.load_test.mode == "safe"
    assert config.origin("load_test.test_rows").where == "--test-rows"
    assert str(config.origin("test.rows")) == "extension load-test"
    assert config.origin("test.rows").hid == (("default", "10"),)


def test_wrong_values_are_problems() -> None:
    """A bad integer or an unknown choice is reported with its place, never dropped."""
    register_config_extension(LoadExtension())
    with pytest.raises(SettingsError) as caught:
        AppConfig.from_sources(
            cli={"load_test.mode": OptionValue("slow", "--mode")},
            env={"TEST_RIG_LOAD_TEST_TEST_ROWS": "many"},
            files=[],
        )
    assert [problem.where for problem in caught.value.problems] == [
        "--mode: load_test.mode",
        "TEST_RIG_LOAD_TEST_TEST_ROWS: load_test.test_rows",
    ]


def test_an_unregistered_extensions_table_is_unknown(tmp_path: Path) -> None:
    """Without the plugin its table is an error; with it the table is known."""
    path = tmp_path / "a.toml"
    path.write_text("[load_test]\ntest_rows = 7\n")
    with pytest.raises(SettingsError, match="no table 'load_test'"):
        AppConfig.load_with_priority([path])
    register_config_extension(LoadExtension())
    assert AppConfig.load_with_priority([path]).load_test.test_rows == 7


def test_the_last_of_a_name_wins_in_its_place() -> None:
    """Registering again replaces, and the order of first registration is kept."""

    class Other(ConfigExtension):
        def get_extension_name(self):
            return "other"

    class NewLoadExtension(LoadExtension):
        def add_cli_args(self, app):
            return app.arg("--test-rows", "--concurrent-users", type=int, default=5)

        def build_config(self, args, config):
            config.test.rows = args.test_rows

    for extension in (LoadExtension, Other, NewLoadExtension):
        register_config_extension(extension)
    assert list(config_extensions()) == ["load-test", "other"]
    assert [option.key for option in extension_options()] == ["test_rows"]
    assert AppConfig().test.rows == 5


def test_what_an_extension_writes_is_checked() -> None:
    """A draft value that a key cannot hold, or an exception, names the extension."""

    class Broken(LoadExtension):
        def build_config(self, args, config):
            config.test.rows = "many"

    class Raising(ConfigExtension):
        def get_extension_name(self):
            return "raising"

        def build_config(self, args, config):
            raise RuntimeError("no way to mysql://u:s3cret@h")

    register_config_extension(Broken)
    register_config_extension(Raising)
    with pytest.raises(SettingsError) as caught:
        AppConfig()
    first, second = caught.value.problems
    assert first.where == "extension load-test: test.rows"
    assert second.where == "extension raising"
    assert "RuntimeError" in second.what
    assert "s3cret" not in second.what


def test_arguments_answer_by_name_only() -> None:
    """Asking for an option that was not declared names those that were."""
    seen = []

    class Curious(LoadExtension):
        def build_config(self, args, config):
            seen.append((args.get_one("--test-rows"), args.test_rows, args.mode))
            with pytest.raises(UnknownName, match="test_rows"):
                args.get_one("rows")
            with pytest.raises(AttributeError, match="test_rows"):
                _ = args.rows

    register_config_extension(Curious)
    AppConfig()
    assert seen == [(1000, 1000, None)]


def test_declarations_that_cannot_work_are_refused() -> None:
    """A key the rig has, an action nobody serves, a missing long name, a nameless extension."""

    def declare(*names, extension="mine", **options):
        class Mine(ConfigExtension):
            def get_extension_name(self):
                return extension

            def add_cli_args(self, app):
                return app.arg(*names, **options)

        register_config_extension(Mine)

    with pytest.raises(UsageError, match=r"has test\.rows already"):
        declare("--rows", extension="test")
    with pytest.raises(UsageError, match="not served"):
        declare("--x", action="append")
    with pytest.raises(UsageError, match="needs a long name"):
        declare("-x")
    with pytest.raises(UsageError, match="no name for an extension"):
        declare("--x", extension="a b")
    with pytest.raises(UsageError, match="no ConfigExtension"):
        register_config_extension(object())
    with pytest.raises(UsageError, match="add_cli_args failed: TypeError"):
        declare("--x", nargs=2)
    assert config_extensions() == {}
    declare("--x", extension="first")
    with pytest.raises(UsageError, match="the extension first has the option --x already"):
        declare("--x", extension="second")


def test_generated_files_hold_the_options(tmp_path: Path) -> None:
    """`config generate` writes the tables of plugins too, and they load back."""
    register_config_extension(LoadExtension())
    before = AppConfig().without_secrets()
    for name, text in (("a.toml", generated_toml()), ("a.json", generated_json())):
        (tmp_path / name).write_text(text)
        loaded = AppConfig.load_with_priority([tmp_path / name])
        assert loaded.without_secrets() == before
        assert "concurrent_users" in text
