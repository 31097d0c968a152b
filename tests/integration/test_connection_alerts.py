"""A connection that is lost is an alert, until it works again."""

from __future__ import annotations

import pytest

from test_rig.errors import StatementFailed
from test_rig.rig.alerting import ConnectionAlerts
from test_rig.settings import AppConfig
from test_rig.targets import Target
from test_rig.telemetry import Alert, Measurement


def test_lost_connections_are_told_once_and_so_is_their_end(postgres_url: str) -> None:
    """By a server that ends two sessions; the end is told when one of them is there again."""
    drivers = {"out": {"type": "file", "path": "x"}}
    config = AppConfig.model_validate({"actions": {"drivers": drivers}})
    alerts, told = ConnectionAlerts(config, "test"), list[Measurement | Alert]()
    alerts.emit = told.append
    target = Target.open(postgres_url, listener=alerts.listener(postgres_url, None))
    with target, target.connect("killer") as killer:
        for name in ("a", "b"):
            session = target.connect(name)
            (row,) = session.execute_query("SELECT pg_backend_pid() AS pid")
            killer.execute_query(f"SELECT pg_terminate_backend({row['pid']})")
            with pytest.raises(StatementFailed), session:
                session.execute_query("SELECT 1")
        killer.execute_query("SELECT 1")
        with target.connect("b") as again:
            again.execute_query("SELECT 1")
    found = [(each.alert_type, each.status.value) for each in told if isinstance(each, Alert)]
    assert found == [("connection_lost", "firing"), ("connection_lost", "resolved")]
    assert all("postgresql" in dict(each.labels)["target"] for each in told)
