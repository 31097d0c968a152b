"""`prometheus`: the newest value of each series, to be fetched, or pushed to a Pushgateway."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Self
from urllib.error import HTTPError
from urllib.parse import urlsplit

from prometheus_client import start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import pushadd_to_gateway
from prometheus_client.registry import Collector, CollectorRegistry
from pydantic import AfterValidator, Field, model_validator

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, told
from test_rig.actions.event import ClearEvent, Event, MeasurementEvent
from test_rig.actions.options import Count, Options, Seconds

__all__ = ["DRIVER", "PrometheusDriver", "PrometheusOptions"]

_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_]")


def _loopback(listen: str | None) -> str | None:
    if listen is None:
        return None
    parts = urlsplit(f"//{listen}")
    try:
        is_loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        has_port = parts.port is not None
    except ValueError:
        is_loopback = has_port = False
    if not is_loopback or not has_port:
        raise ValueError("must be a loopback address with a port, such as 127.0.0.1:9095")
    return listen


class PrometheusOptions(Options):
    """Where the numbers are fetched, or pushed to."""

    listen: Annotated[str | None, AfterValidator(_loopback)] = Field(
        default=None,
        description="A loopback address where /metrics is served, such as 127.0.0.1:9095.",
    )
    push_url: str | None = Field(
        default=None, description="A Pushgateway, such as http://127.0.0.1:9091."
    )
    job: str = Field(default="test_rig", min_length=1, description="The job of what is pushed.")
    prefix: str = Field(default="test_rig_", description="What every metric's name begins with.")
    max_series: Count = Field(
        default=10_000, description="The most series; a new one beyond them is refused."
    )
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="How long one push may take, in seconds."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.listen is None and self.push_url is None:
            raise ValueError("needs listen or push_url")
        return self


class _Series(Collector):
    """The newest value of each series."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def __len__(self) -> int:
        return len(self._values)

    def put(self, name: str, labels: Mapping[str, str], value: float, *, most: int) -> bool:
        """Note a value; return whether there was room."""
        key = (name, tuple(sorted((_clean(label), text) for label, text in labels.items())))
        with self._guard:
            if key not in self._values and len(self._values) >= most:
                return False
            self._values[key] = value
            return True

    def collect(self) -> Iterator[Metric]:
        with self._guard:
            values = dict(self._values)
        families: dict[str, Metric] = {}
        for (name, labels), value in values.items():
            family = families.setdefault(name, GaugeMetricFamily(name, "Measured by test-rig."))
            family.add_sample(name, dict(labels), value)
        yield from families.values()


class PrometheusDriver:
    """Keeps the newest value of each series; an alert is a series that is 1 while it fires."""

    def __init__(self, options: PrometheusOptions) -> None:
        self._options = options
        self._series = _Series()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._series)
        self._server: Any = None

    async def start(self) -> None:
        """Listen, where that is wanted."""
        if self._options.listen is not None and self._server is None:
            parts = urlsplit(f"//{self._options.listen}")
            self._server = start_http_server(
                parts.port or 0, parts.hostname or "", registry=self._registry
            )

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Note the values, then push where that is wanted."""
        answers = [self._note(event) for event in batch]
        if self._options.push_url is None:
            return answers
        problem = await asyncio.to_thread(self._push)
        return answers if problem is None else [problem] * len(batch)

    async def stop(self, *, timeout_s: float) -> None:
        """Stop listening; what was pushed stays with the gateway."""
        if self._server is not None:
            server, thread = self._server
            self._server = None
            async with asyncio.timeout(timeout_s):
                await asyncio.to_thread(server.shutdown)
                await asyncio.to_thread(thread.join)
            server.server_close()

    async def status(self) -> Mapping[str, Any]:
        """Tell where the numbers are, and how many series there are."""
        port = None if self._server is None else self._server[0].server_port
        return {"driver_type": "prometheus", "port": port, "series": len(self._series)}

    def _note(self, event: Event) -> Delivery:
        prefix, most = self._options.prefix, self._options.max_series
        if isinstance(event, ClearEvent):
            return DELIVERED
        source = {"source": event.source_node_id}
        if isinstance(event, MeasurementEvent):
            name = f"{prefix}{_clean(event.name)}"
            done = self._series.put(name, {**event.labels, **source}, event.value, most=most)
        else:
            labels = {**event.labels, **source, "alert_type": event.alert_type}
            firing = float(event.status == "firing")
            done = self._series.put(f"{prefix}alert", labels, firing, most=most)
        return DELIVERED if done else rejected(f"more than {most} series")

    def _push(self) -> Delivery | None:
        options = self._options
        try:
            pushadd_to_gateway(
                options.push_url or "", options.job, self._registry, timeout=options.timeout_s
            )
        except HTTPError as exc:
            answer = f"the gateway answered {exc.code}"
            return rejected(answer) if 400 <= exc.code < 500 else retry(answer)
        except OSError as exc:
            return retry(told(exc))
        return None


def _clean(name: str) -> str:
    clean = _NOT_A_NAME.sub("_", name)
    return f"_{clean}" if clean[:1].isdigit() else clean


def _make(options: PrometheusOptions, context: DriverContext) -> PrometheusDriver:
    del context
    return PrometheusDriver(options)


DRIVER = DriverType(
    name="prometheus",
    about="The newest value of each series, to be fetched, or pushed to a Pushgateway.",
    options=PrometheusOptions,
    make=_make,
    batch_size=1024,
)
