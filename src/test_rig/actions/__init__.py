"""Actions: what the rig measures and alerts reach people's scripts, files, HTTP, Redis, Kafka ...

- `create_driver(type, config)`: a driver by its name and options; `Driver` is the port they fill.
- `read_plan(...)`: what the settings ask for; `Actions(plan)`: it at work, between `start` and
  `stop`, fed by `emit` and `submit`.
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
    told,
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
from test_rig.actions.incoming import BadEvent, events_of, parse_event
from test_rig.actions.judging import explain, read_state
from test_rig.actions.listening import serve
from test_rig.actions.options import Options, read_options, shown_options
from test_rig.actions.payload import fields_of
from test_rig.actions.pipe_options import Leftover, PipePlan
from test_rig.actions.plan import ActionsPlan, read_plan
from test_rig.actions.run import Actions
from test_rig.actions.sources import LineSource
from test_rig.actions.spool import DeadLetter, DeadLetters, spool_path

__all__ = [
    "DELIVERED",
    "DRIVERS",
    "EARLIER_NAMES",
    "Actions",
    "ActionsPlan",
    "AlertEvent",
    "BadEvent",
    "ClearEvent",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "Driver",
    "DriverContext",
    "DriverType",
    "Event",
    "Fate",
    "Leftover",
    "LineSource",
    "MeasurementEvent",
    "Options",
    "PipePlan",
    "TellsStatus",
    "alert_event",
    "create_driver",
    "driver_type",
    "events_of",
    "explain",
    "fields_of",
    "in_key_order",
    "key_of",
    "measurement_event",
    "parse_event",
    "read_options",
    "read_plan",
    "read_state",
    "rejected",
    "retry",
    "serve",
    "shown_options",
    "spool_path",
    "told",
]
