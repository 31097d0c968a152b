"""Isolation levels, anomalies of scenarios and of histories, and which level forbids which."""

from test_rig.isolation.levels import (
    Anomaly,
    AnomalyInfo,
    Level,
    LevelInfo,
    forbids,
    strongest_levels,
)
from test_rig.isolation.names import is_same_name, level_named
from test_rig.isolation.phenomena import (
    CYCLES,
    GUARANTEES,
    history_levels,
    strongest_standing,
    weakest_broken,
)

__all__ = [
    "CYCLES",
    "GUARANTEES",
    "Anomaly",
    "AnomalyInfo",
    "Level",
    "LevelInfo",
    "forbids",
    "history_levels",
    "is_same_name",
    "level_named",
    "strongest_levels",
    "strongest_standing",
    "weakest_broken",
]
