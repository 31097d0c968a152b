"""`AppConfig`: the settings in force, frozen, each with where it came from.

How to think of it: an `AppConfig` keeps the layers it was made of. `with_env_overrides` adds one
and merges again, so the order in which a script calls things never changes who wins: command
line over environment over files over defaults, for each key by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from test_rig.errors import UnknownName
from test_rig.resilience import MASK, without_passwords
from test_rig.settings.environment import read_environment
from test_rig.settings.extended import extended
from test_rig.settings.fields import checks, models, vocabulary
from test_rig.settings.files import DEFAULT_FILES, read_files
from test_rig.settings.given import OptionValue, code_layer, command_line_layer
from test_rig.settings.merge import merge, secrets_in, shown
from test_rig.settings.origin import Layer, Origin, Source
from test_rig.settings.tables import (
    ActionsSettings,
    AuditSettings,
    CampaignsSettings,
    DatabaseSettings,
    HandlersSettings,
    ImportsSettings,
    LoggingSettings,
    RunsSettings,
    SuitesSettings,
    TestSettings,
    WorkflowSettings,
    WorkloadSettings,
)

__all__ = ["AppConfig", "Setting", "TargetSettings"]

_DEFAULT = Origin(source=Source.DEFAULT, where="default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line of `config show`."""

    #: `database.host`.
    name: str
    #: As it may be printed.
    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """Which database was asked for, once it is settled whether the URL or the parts speak."""

    #: None where the parts speak, or nothing was asked for.
    url: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    #: Beside a URL: the parts that came from a stronger source than it, and so replace what it
    #: says; the other parts only fill what it leaves open.
    stronger: frozenset[str] = frozenset()


class AppConfig(BaseModel):
    """The settings in force.

    >>> AppConfig().database.pool_size
    5
    >>> str(AppConfig(test={"rows": 3}).origin("test.rows"))
    'code AppConfig(...)'
    """

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    logging: LoggingSettings = Field(default_factory=LoggingSettings)
    test: TestSettings = Field(default_factory=TestSettings)
    runs: RunsSettings = Field(default_factory=RunsSettings)
    audit: AuditSettings = Field(default_factory=AuditSettings)
    imports: ImportsSettings = Field(default_factory=ImportsSettings)
    workflow: WorkflowSettings = Field(default_factory=WorkflowSettings)
    campaigns: CampaignsSettings = Field(default_factory=CampaignsSettings)
    handlers: HandlersSettings = Field(default_factory=HandlersSettings)
    suites: SuitesSettings = Field(default_factory=SuitesSettings)
    actions: ActionsSettings = Field(default_factory=ActionsSettings)
    workload: WorkloadSettings = Field(default_factory=WorkloadSettings)

    _layers: tuple[Layer, ...] = PrivateAttr(default=())
    _origins: Mapping[tuple[str, str], Origin] = PrivateAttr(default_factory=dict)

    def __init__(self, **tables: Any) -> None:
        layer = code_layer(tables, vocabulary())
        merged = extended(merge([layer], checks()))
        super().__init__(**models(merged.values))
        self._layers = (layer,)
        self._origins = merged.origins

    @classmethod
    def from_sources(
        cls,
        *,
        cli: Mapping[str, OptionValue] | None = None,
        env: Mapping[str, str] | None = None,
        files: Sequence[str | Path] | None = None,
    ) -> AppConfig:
        """Return the settings of all sources, as the commands use them.

        Args:
            cli: By key (`database.host`); a value of None is an option that was not given.
            env: The variables; None for this process's, `{}` for none.
            files: The files, the strongest first, which must exist; None for those of
                `DEFAULT_FILES` that the working folder has.

        Raises:
            SettingsError: With all problems of all sources.
        """
        known = vocabulary()
        wanted, required = (DEFAULT_FILES, False) if files is None else (files, True)
        return cls._merged(
            command_line_layer(cli or {}, known),
            *read_environment(env, vocabulary=known),
            *read_files(wanted, vocabulary=known, required=required),
        )

    @classmethod
    def load_with_priority(cls, paths: Sequence[str | Path]) -> AppConfig:
        """Return the settings of files: for each key the first file that has it wins.

        Files that do not exist are skipped.

        Raises:
            SettingsError: With all problems of all files.
        """
        return cls._merged(*read_files(paths, vocabulary=vocabulary()))

    def with_env_overrides(self, env: Mapping[str, str] | None = None) -> AppConfig:
        """Return these settings with the environment above the files.

        Args:
            env: The variables; None for this process's.

        Raises:
            SettingsError: With all problems of the variables.
        """
        return self._merged(*read_environment(env, vocabulary=vocabulary()), *self._layers)

    @classmethod
    def _merged(cls, *layers: Layer) -> AppConfig:
        # A layer's place follows from its kind; the sort keeps the order among files.
        ordered = tuple(sorted(layers, key=_rank))
        merged = extended(merge(ordered, checks()))
        config = cls.model_construct(None, **models(merged.values))
        config._layers = ordered
        config._origins = merged.origins
        return config

    def origin(self, name: str) -> Origin:
        """Return where the value of a key (`database.host`) came from, and what it hid.

        Raises:
            UnknownName: There is no such key.
        """
        settings = {setting.name: setting.origin for setting in self.settings()}
        if name not in settings:
            raise UnknownName("setting", name, list(settings))
        return settings[name]

    def settings(self) -> Iterator[Setting]:
        """Yield every key with its printable value and its origin."""
        for table, model in self:
            for key, value in model:
                origin = self._origins.get((table, key), _DEFAULT)
                yield Setting(name=f"{table}.{key}", value=shown(key, value), origin=origin)

    def without_secrets(self) -> dict[str, dict[str, Any]]:
        """Return the settings as plain data that may be written anywhere."""
        return {table: {key: shown(key, value) for key, value in model} for table, model in self}

    def secrets(self) -> tuple[str, ...]:
        """Return the values that no log may show."""
        password, url = self.database.password, self.database.url
        found = [] if password is None else [password.get_secret_value()]
        if url is not None:
            plain = url.get_secret_value()
            hidden = without_passwords(plain)
            before, mask, after = hidden.partition(MASK)
            if mask:
                found.append(plain[len(before) : len(plain) - len(after)])
        found += secrets_in(self.actions.drivers)
        return tuple(secret for secret in found if secret)

    def target(self) -> TargetSettings:
        """Return which database is asked for.

        Where both a URL and a host are given, the one from the stronger source speaks; within
        one source it is the URL.
        """
        database = self.database
        password = None if database.password is None else database.password.get_secret_value()
        if database.url is None or self._is_stronger("host", than="url"):
            return TargetSettings(
                host=database.host,
                port=database.port,
                username=database.username,
                password=password,
                database=database.database,
            )
        parts = ("username", "password", "database")
        return TargetSettings(
            url=database.url.get_secret_value(),
            username=database.username,
            password=password,
            database=database.database,
            stronger=frozenset(key for key in parts if self._is_stronger(key, than="url")),
        )

    def _is_stronger(self, key: str, *, than: str) -> bool:
        if getattr(self.database, key) is None:
            return False
        return self.origin(f"database.{key}").rank < self.origin(f"database.{than}").rank

    def __eq__(self, other: object) -> bool:
        # Two configurations are equal by what they say, wherever it came from.
        return isinstance(other, AppConfig) and dict(self) == dict(other)

    # A table that an extension filled may hold what has no hash.
    __hash__ = None  # type: ignore[assignment]  # pydantic declares a method

    def __repr__(self) -> str:
        return f"AppConfig({self.without_secrets()})"

    __str__ = __repr__


def _rank(layer: Layer) -> int:
    strength = list(Source)
    return min((strength.index(each.source) for each in layer.entries), default=len(strength))
