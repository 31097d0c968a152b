"""The numbers of running actions in Prometheus' format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from test_rig.actions.tally import LATENCY_BOUNDS_S

if TYPE_CHECKING:
    from test_rig.actions.run import Actions

__all__ = ["exposition"]

_COUNTERS = {
    "accepted": "Events that were taken for a driver.",
    "delivered": "Events that were delivered.",
    "batches": "Batches that were sent.",
    "retried": "Tries that failed and were followed by another.",
    "rejected": "Events that a receiver refused.",
    "dead": "Events that became dead letters.",
    "redriven": "Dead letters that were sent again by themselves.",
    "expired": "Events that were too old to be sent.",
    "conflated": "Measurements that a newer one stands for.",
}
_GAUGES = {
    "queued": "Events that wait in memory.",
    "in_flight": "Events that are on their way.",
    "spooled": "Events that wait on disk.",
    "dead_letters": "Dead letters that are kept.",
    "oldest_age_s": "How long the oldest event waits, in seconds.",
}


class _Numbers(Collector):
    def __init__(self, actions: Actions) -> None:
        self._actions = actions

    def collect(self) -> Iterator[Metric]:
        told = self._actions.snapshot()
        drivers: dict[str, Any] = told["drivers"]
        yield GaugeMetricFamily(
            "test_rig_alerts_firing", "Alerts that fire.", value=len(told["alerts_firing"])
        )
        yield CounterMetricFamily(
            "test_rig_intake_lost", "Items that the full intake lost.", value=told["intake_lost"]
        )
        for key, about in _COUNTERS.items():
            family = CounterMetricFamily(f"test_rig_action_{key}", about, labels=["driver"])
            for name, numbers in drivers.items():
                family.add_metric([name], numbers[key])
            yield family
        for key, about in _GAUGES.items():
            gauge = GaugeMetricFamily(f"test_rig_action_{key}", about, labels=["driver"])
            for name, numbers in drivers.items():
                gauge.add_metric([name], numbers[key])
            yield gauge
        yield self._lost(drivers)
        yield self._breakers(drivers)
        yield self._latency()

    def _lost(self, drivers: dict[str, Any]) -> Metric:
        family = CounterMetricFamily(
            "test_rig_action_lost", "Events that were lost.", labels=["driver", "reason"]
        )
        for name, numbers in drivers.items():
            for reason, count in numbers["lost"].items():
                family.add_metric([name, reason], count)
        return family

    def _breakers(self, drivers: dict[str, Any]) -> Metric:
        family = GaugeMetricFamily(
            "test_rig_action_breaker_open", "1 while a breaker is open.", labels=["driver"]
        )
        for name, numbers in drivers.items():
            family.add_metric([name], int(numbers["breaker"] == "open"))
        return family

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "test_rig_action_latency_seconds",
            "From acceptance to delivery.",
            labels=["driver"],
        )
        for name, pipe in self._actions.pipes.items():
            seen, buckets = 0, []
            for bound, count in zip((*LATENCY_BOUNDS_S, "+Inf"), pipe.tally.buckets, strict=True):
                seen += count
                buckets.append((str(bound), seen))
            family.add_metric([name], buckets, sum_value=pipe.tally.latency_sum_s)
        return family


def exposition(actions: Actions) -> bytes:
    """Return the numbers as `GET /metrics` gives them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(actions))
    return generate_latest(registry)
