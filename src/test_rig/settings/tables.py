"""The settings' tables and keys: what there is to set, its type, its default, what it is for.

How to think of it: one frozen pydantic model per table; a field's description is what `config
generate` writes above it and what docs/settings.md says of it. Adding a setting is adding a field.
Keys that a plugin adds live in the same models, as extra fields.

What it does not do: read anything, or decide which source wins.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

__all__ = [
    "FREE_TABLES",
    "TABLES",
    "ActionsSettings",
    "AuditSettings",
    "CampaignsSettings",
    "DatabaseSettings",
    "HandlersSettings",
    "ImportsSettings",
    "LoggingSettings",
    "RunsSettings",
    "SuitesSettings",
    "Table",
    "TestSettings",
    "WorkflowSettings",
    "WorkloadSettings",
]


def _no_bool(value: Any) -> Any:
    # Python counts true as 1; nobody who writes `pool_size = true` means that.
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")  # noqa: TRY004 -- pydantic wants it
    return value


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _level(value: Any) -> Any:
    lowered = _lower(value)
    return "warning" if lowered == "warn" else lowered


def _listed(value: Any) -> Any:
    # The environment and the command line know no lists: commas part the items.
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _from_json(value: Any) -> Any:
    # The environment and the command line know no tables: JSON stands for one.
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("a table is wanted; as text it is JSON") from None
    return value


Count = Annotated[int, BeforeValidator(_no_bool), Field(ge=1)]
RowCount = Annotated[int, BeforeValidator(_no_bool), Field(ge=0)]
Port = Annotated[int, BeforeValidator(_no_bool), Field(ge=1, le=65535)]
WholeNumber = Annotated[int, BeforeValidator(_no_bool)]
PositiveSeconds = Annotated[
    float, BeforeValidator(_no_bool), Field(gt=0, le=31_536_000, allow_inf_nan=False)
]
PositiveRate = Annotated[
    float, BeforeValidator(_no_bool), Field(gt=0, le=1_000_000, allow_inf_nan=False)
]
Pause = Annotated[float, BeforeValidator(_no_bool), Field(ge=0, le=60, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
LevelName = Annotated[
    Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_level)
]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_lower)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_listed)]
TableOf = Annotated[dict[str, Any], BeforeValidator(_from_json)]
ListOf = Annotated[tuple[dict[str, Any], ...], BeforeValidator(_from_json)]


class Table(BaseModel):
    """What the tables have in common: frozen, with room for the keys that plugins add."""

    # Unknown keys are refused while sources are read, where file and line are known.
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


class DatabaseSettings(Table):
    """The database under test. Without `url` and `host`: the embedded ones."""

    url: SecretStr | None = Field(
        default=None,
        description="The target as one URL, such as postgresql://user@host:5432/db. Never printed "
        "with its password.",
    )
    host: Text | None = Field(
        default=None,
        description="The server's name or address; host:port and [::1]:port set port too.",
    )
    port: Port | None = Field(
        default=None, description="The server's port; the product's own if unset."
    )
    username: Text | None = Field(default=None, description="Who connects.")
    password: SecretStr | None = Field(
        default=None, description="The password. Better left to the prompt or to TIDB_PASSWORD."
    )
    password_prompt: bool = Field(
        default=True,
        description="Whether to ask at the terminal when the server wants a password and none "
        "was given.",
    )
    database: Text | None = Field(default=None, description="The database to connect to.")
    pool_size: Count = Field(default=5, description="The most connections that a pool opens.")
    timeout_secs: PositiveSeconds = Field(
        default=30.0,
        description="How long connecting, or a statement, may take, in seconds, before the rig "
        "cancels it; a scenario's step has audit.step_timeout_secs.",
    )


class LoggingSettings(Table):
    """What the rig tells of its own doings."""

    level: LevelName = Field(
        default="info",
        description="The least severe level shown: debug, info, warning, error, critical.",
    )
    format: LogFormat = Field(
        default="text", description="text for people, json for one object a line."
    )
    file: Text | None = Field(
        default=None, description="A file that gets the log too; it is appended to."
    )
    console: bool = Field(default=True, description="Whether the log goes to standard error.")
    show_sql: bool = Field(default=False, description="Show every SQL statement and its duration.")
    show_output: bool = Field(default=False, description="Show what handlers and scripts print.")


class TestSettings(Table):
    """What tests and handlers are given."""

    __test__ = False  # pytest collects classes by this name

    rows: RowCount = Field(default=10, description="How many rows of test data handlers make.")
    timeout_secs: PositiveSeconds = Field(
        default=60.0,
        description="How long a run of the state machine, or one handler, may take, in seconds.",
    )
    transitions: Count = Field(
        default=10_000, description="How often one handler may answer before its run is ended."
    )
    verbose: bool = Field(
        default=False,
        description="Tell more, as -v does: log level debug, whole tracebacks.",
    )
    real_db: bool = Field(
        default=True,
        description="Whether tests talk to a real database; no takes the in-memory stand-in.",
    )
    seed: WholeNumber | None = Field(
        default=None, description="Where chance starts; a new one is drawn, and recorded, if unset."
    )


class RunsSettings(Table):
    """Where results are kept."""

    folder: Text = Field(
        default="test-rig-runs", description="The folder that gets one folder per run."
    )


class AuditSettings(Table):
    """How isolation is judged."""

    levels: Names = Field(
        default=(),
        description="The levels to judge, by their keys; all that the target has if empty.",
    )
    step_timeout_secs: PositiveSeconds = Field(
        default=5.0,
        description="How long a scenario's step may neither end nor be seen blocked, in seconds, "
        "before its verdict is unknown.",
    )
    workload_time_secs: Annotated[
        float, BeforeValidator(_no_bool), Field(ge=0, le=86_400, allow_inf_nan=False)
    ] = Field(
        default=2.0,
        description="How long random transactions (list-append) are run at each level after the "
        "scenarios, in seconds; 0 for none.",
    )


class WorkflowSettings(Table):
    """Where runs of workflows are recorded, and how much runs at the same time."""

    url: Text = Field(
        default="sqlite:///test-rig-workflows.sqlite3",
        description="The store: sqlite:///file, or postgresql://user@host/db.",
    )
    max_tasks: Count = Field(
        default=64, description="How many tasks run at the same time in one process."
    )
    lease_secs: PositiveSeconds = Field(
        default=15.0,
        description="How long a worker that says nothing counts as alive, in seconds.",
    )


class CampaignsSettings(Table):
    """Where campaigns are kept, and where their progress is recorded."""

    folder: Text = Field(
        default="test-rig-campaigns", description="The folder that gets one folder per campaign."
    )
    url: Text | None = Field(
        default=None,
        description="Where the progress of campaigns is recorded: postgresql://user@host/db; a "
        "SQLite file in the campaign's own folder if unset.",
    )


class HandlersSettings(Table):
    """What constructors of handlers get by name: any key; [handlers.NAME] is for one class."""


class SuitesSettings(Table):
    """Files and folders of handlers by the name of a suite: any key, one path or a list."""


#: Tables with any keys, which nothing but the files and code can give.
FREE_TABLES = frozenset({"handlers", "suites"})


class ImportsSettings(Table):
    """How bulk loads are followed."""

    duration_secs: PositiveSeconds = Field(
        default=300.0, description="How long bulk loads are watched at most, in seconds."
    )
    interval_secs: PositiveSeconds = Field(
        default=5.0, description="The time between two looks at bulk loads, in seconds."
    )
    show_details: bool = Field(
        default=False, description="Print every column that the server has for a bulk load."
    )


class ActionsSettings(Table):
    """Where measurements and alerts go. Without drivers: nowhere."""

    folder: Text = Field(
        default="test-rig-actions",
        description="The folder of spools, dead letters and the state of alerts.",
    )
    drain_secs: PositiveSeconds = Field(
        default=10.0,
        description="How long the end of a command may take to deliver what waits, in seconds.",
    )
    listen: Text | None = Field(
        default=None,
        description="A loopback address where `actions run` takes events and tells its status, "
        "such as 127.0.0.1:8765.",
    )
    drivers: TableOf | None = Field(
        default=None,
        description="The drivers by name: `[actions.drivers.NAME]` with `type`, its options, and "
        "`pipe`.",
    )
    rules: TableOf | None = Field(
        default=None, description="What makes alerts, by name: `[actions.rules.NAME]`."
    )
    alerts: TableOf | None = Field(
        default=None, description="How alerts are told: `[actions.alerts]`."
    )
    inhibit: ListOf | None = Field(
        default=None, description="Which alerts keep others back: `[[actions.inhibit]]`."
    )
    silences: ListOf | None = Field(
        default=None, description="Which alerts are not told, and when: `[[actions.silences]]`."
    )


class WorkloadSettings(Table):
    """How random transactions are run against a database."""

    levels: Names = Field(
        default=(),
        description="The levels to run at, by their keys; all that the target has if empty.",
    )
    time_secs: PositiveSeconds = Field(
        default=10.0, description="How long a workload runs at each level, in seconds."
    )
    clients: Count = Field(
        default=10, description="Sessions that work at the same time, each in a thread of its own."
    )
    rate: PositiveRate | None = Field(
        default=None,
        description="Transactions a second that are offered in all; as many as the clients can if "
        "unset.",
    )
    key_count: Count = Field(
        default=8, description="Keys in use at a time: the fewer, the more conflicts."
    )
    writes_per_key: Count = Field(
        default=32, description="A key is left for a new one after so many writes."
    )
    ops: Count = Field(
        default=5, description="The most reads and writes of one random transaction."
    )
    pause_secs: Pause = Field(
        default=0.0,
        description="A client's pause before each further statement of a transaction, in seconds; "
        "it widens the windows in which transactions meet.",
    )
    statement_secs: PositiveSeconds = Field(
        default=5.0,
        description="How long a workload's statement may take, in seconds, before it is cancelled.",
    )


#: Every table, in the order in which it is shown.
TABLES: dict[str, type[Table]] = {
    "database": DatabaseSettings,
    "logging": LoggingSettings,
    "test": TestSettings,
    "runs": RunsSettings,
    "audit": AuditSettings,
    "workflow": WorkflowSettings,
    "campaigns": CampaignsSettings,
    "handlers": HandlersSettings,
    "suites": SuitesSettings,
    "imports": ImportsSettings,
    "actions": ActionsSettings,
    "workload": WorkloadSettings,
}
