"""Which drivers there are, and how one is made.

A driver's file is imported when its name is asked for. Installed packages add drivers by entry
points of the group `test_rig.drivers`, each leading to a `DriverType`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from test_rig.actions.driver import Driver, DriverContext, DriverType
from test_rig.actions.options import read_options
from test_rig.errors import MissingExtra, UsageError

__all__ = ["DRIVERS", "EARLIER_NAMES", "ENTRY_POINTS", "create_driver", "driver_type"]

#: Each driver with the extra that it needs; None where the base install serves it.
DRIVERS: Mapping[str, str | None] = {
    "file": None,
    "python": None,
    "http": "http",
    "redis": "redis",
    "kafka": "kafka",
    "nats": "nats",
    "mqtt": "mqtt",
    "apprise": "apprise",
    "prometheus": "prometheus",
    "otlp": "otlp",
}
#: Names that people's configurations have for the same drivers.
EARLIER_NAMES: Mapping[str, str] = {
    "https_callback": "http",
    "http_callback": "http",
    "https": "http",
    "webhook": "http",
    "jsonl": "file",
    "python_script": "python",
}
ENTRY_POINTS = "test_rig.drivers"


def driver_type(name: str) -> DriverType:
    """Return a driver's type by its name, or an earlier one.

    Raises:
        UsageError: There is no such driver; it tells which there are.
        MissingExtra: What it needs is not installed.
    """
    own = EARLIER_NAMES.get(name.strip().lower(), name.strip().lower())
    if own in DRIVERS:
        return _built_in(own)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == own:
            found = entry.load()
            if not isinstance(found, DriverType):
                raise UsageError(f"{entry.value} is no DriverType", where=f"driver {name!r}")
            return found
    raise _unknown(name)


def _built_in(name: str) -> DriverType:
    extra = DRIVERS[name]
    try:
        module = importlib.import_module(f"test_rig.actions.drivers.{name}")
    except ModuleNotFoundError as exc:
        if extra is None or (exc.name or "").startswith("test_rig"):
            raise
        raise MissingExtra(f"the driver {name!r} needs {exc.name}", extra=extra) from exc
    found: DriverType = module.DRIVER
    return found


def _unknown(name: str) -> UsageError:
    from difflib import get_close_matches

    there = [*DRIVERS, *(entry.name for entry in entry_points(group=ENTRY_POINTS))]
    near = get_close_matches(name.lower(), [*there, *EARLIER_NAMES], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    told = [
        f"{each} (pip install 'test-rig[{DRIVERS[each]}]')" if DRIVERS.get(each) else each
        for each in there
    ]
    return UsageError(f"there is no driver {name!r}", todo=f"{hint}known: {', '.join(told)}")


def create_driver(
    type: str, config: Mapping[str, Any] | None = None, *, context: DriverContext | None = None
) -> Driver:
    """Make a driver.

    Args:
        type: Its name, such as `http`; earlier names such as `https_callback` serve too.
        config: Its options.
        context: What it is given beside them.

    Raises:
        UsageError: There is no such driver.
        MissingExtra: What it needs is not installed.
        SettingsError: With every problem of the options.
    """
    kind = driver_type(type)
    if config is not None and not isinstance(config, Mapping):
        raise UsageError("the options of a driver are a table", where=f"driver {type!r}")
    options = read_options(kind.options, config or {}, where=type)
    return kind.make(options, context or DriverContext(name=kind.name))
