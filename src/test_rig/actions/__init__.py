"""Actions: what the rig measures and alerts reach people's scripts, files, HTTP, Redis, Kafka ...

- `create_driver(type, config)`: a driver by its name and options; `Driver` is the port they fill.
- `MeasurementEvent`, `AlertEvent`, `ClearEvent`: what a driver is given.
"""

from __future__ import annotations

from test_rig.actions.catalog import DRIVERS, EARLIER_NAMES, create_driver, driver_type
from test_rig.actions.delivery import DELIVERED, Delivery, Fate, rejected, retry
from test_rig.actions.driver import (
    Driver,
    DriverContext,
    DriverType,
    TellsStatus,
    in_key_order,
)
from test_rig.actions.event import (
    AlertEvent,
    ClearEvent,
    Event,
    MeasurementEvent,
    alert_event,
    key_of,
    measurement_event,
)
from test_rig.actions.options import Options, read_options, shown_options

__all__ = [
    "DELIVERED",
    "DRIVERS",
    "EARLIER_NAMES",
    "AlertEvent",
    "ClearEvent",
    "Delivery",
    "Driver",
    "DriverContext",
    "DriverType",
    "Event",
    "Fate",
    "MeasurementEvent",
    "Options",
    "TellsStatus",
    "alert_event",
    "create_driver",
    "driver_type",
    "in_key_order",
    "key_of",
    "measurement_event",
    "read_options",
    "rejected",
    "retry",
    "shown_options",
]
