"""Settings: one frozen value from command line, environment, files and defaults.

- `AppConfig`: the settings in force; `.origin(key)` tells where each came from.
- `ConfigExtension`, `register_config_extension`: options that a plugin adds.
- `generated_toml`, `generated_json`: a file with every key.

`DEFAULT_FILES` are what is read from the working folder; docs/settings.md lists every key.
"""

from __future__ import annotations

from test_rig.settings.config import AppConfig, Setting, TargetSettings
from test_rig.settings.environment import secret_of_variable
from test_rig.settings.extension import (
    ArgumentList,
    Arguments,
    ConfigExtension,
    ExtensionOption,
    clear_config_extensions,
    config_extensions,
    extension_options,
    register_config_extension,
)
from test_rig.settings.files import DEFAULT_FILES
from test_rig.settings.generate import generated_json, generated_toml
from test_rig.settings.given import OptionValue
from test_rig.settings.origin import Origin, Source
from test_rig.settings.positions import toml_positions
from test_rig.settings.tables import (
    TABLES,
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
    WorkloadSettings,
)

__all__ = [
    "DEFAULT_FILES",
    "TABLES",
    "ActionsSettings",
    "AppConfig",
    "ArgumentList",
    "Arguments",
    "AuditSettings",
    "CampaignsSettings",
    "ConfigExtension",
    "DatabaseSettings",
    "ExtensionOption",
    "HandlersSettings",
    "ImportsSettings",
    "LoggingSettings",
    "OptionValue",
    "Origin",
    "RunsSettings",
    "Setting",
    "Source",
    "SuitesSettings",
    "TargetSettings",
    "TestSettings",
    "WorkloadSettings",
    "clear_config_extensions",
    "config_extensions",
    "extension_options",
    "generated_json",
    "generated_toml",
    "register_config_extension",
    "secret_of_variable",
    "toml_positions",
]
