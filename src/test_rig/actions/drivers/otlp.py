"""`otlp`: measurements as OpenTelemetry metrics and alerts as logs, over HTTP with protobuf.

The messages are made directly: the SDK's instruments would give values the time at which they are
sent, not that at which they were measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import aiohttp
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint
from pydantic import AfterValidator, Field, SecretStr

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, told
from test_rig.actions.event import AlertEvent, Event, MeasurementEvent
from test_rig.actions.options import Options, Seconds
from test_rig.resilience import without_passwords

__all__ = ["DRIVER", "OtlpDriver", "OtlpOptions"]

#: OTLP 1.x, "Failures": these are tried again, all others are not.
_LATER = frozenset({429, 502, 503, 504})
#: The severity numbers of the logs data model.
_SEVERITIES = {"info": 9, "warning": 13, "critical": 21}


def _web(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url.rstrip("/")


class OtlpOptions(Options):
    """Which collector."""

    endpoint: Annotated[str, AfterValidator(_web)] = Field(
        description="The collector, such as http://127.0.0.1:4318; /v1/metrics and /v1/logs follow."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Further headers; never printed."
    )
    service_name: str = Field(
        default="test-rig", description="The resource attribute `service.name`."
    )
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="How long one request may take, in seconds."
    )


class OtlpDriver:
    """Sends one request for the metrics of a batch, and one for its logs."""

    def __init__(self, options: OtlpOptions) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pool of connections."""
        own = {name: value.get_secret_value() for name, value in self._options.headers.items()}
        self._session = aiohttp.ClientSession(
            headers={**own, "Content-Type": "application/x-protobuf"},
            timeout=aiohttp.ClientTimeout(total=self._options.timeout_s),
        )

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Send a batch."""
        metrics = [event for event in batch if isinstance(event, MeasurementEvent)]
        alerts = [event for event in batch if isinstance(event, AlertEvent)]
        told = {"metrics": DELIVERED, "logs": DELIVERED}
        if metrics:
            told["metrics"] = await self._post("metrics", self._metrics(metrics))
        if alerts:
            told["logs"] = await self._post("logs", self._logs(alerts))
        return [
            told["metrics"]
            if isinstance(event, MeasurementEvent)
            else told["logs"]
            if isinstance(event, AlertEvent)
            else DELIVERED
            for event in batch
        ]

    async def stop(self, *, timeout_s: float) -> None:
        """Close the connections."""
        if self._session is not None:
            async with asyncio.timeout(timeout_s):
                await self._session.close()

    async def status(self) -> Mapping[str, Any]:
        """Tell the collector."""
        endpoint = without_passwords(self._options.endpoint)
        return {"driver_type": "otlp", "endpoint": endpoint}

    def _metrics(self, events: Sequence[MeasurementEvent]) -> bytes:
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.append(_pair("service.name", self._options.service_name))
        scope = resource.scope_metrics.add()
        scope.scope.name = "test_rig"
        by_name: dict[tuple[str, str], Metric] = {}
        for event in events:
            key = (event.name, event.unit)
            if key not in by_name:
                by_name[key] = scope.metrics.add(name=event.name, unit=event.unit)
            point = NumberDataPoint(time_unix_nano=event.timestamp_ns, as_double=event.value)
            point.attributes.extend(_attributes(event.labels, event.source_node_id))
            by_name[key].gauge.data_points.append(point)
        return bytes(request.SerializeToString())

    def _logs(self, events: Sequence[AlertEvent]) -> bytes:
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add()
        resource.resource.attributes.append(_pair("service.name", self._options.service_name))
        scope = resource.scope_logs.add()
        scope.scope.name = "test_rig"
        for event in events:
            record = LogRecord(
                time_unix_nano=event.timestamp_ns,
                severity_text=event.severity,
                severity_number=_SEVERITIES.get(event.severity, 0),  # type: ignore[arg-type]  # an enum's number
                body=AnyValue(string_value=event.message),
            )
            record.attributes.extend(_attributes(event.labels, event.source_node_id))
            for name in ("id", "alert_type", "status"):
                record.attributes.append(_pair(name, str(getattr(event, name))))
            scope.log_records.append(record)
        return bytes(request.SerializeToString())

    async def _post(self, kind: str, body: bytes) -> Delivery:
        if self._session is None:
            return retry("not started")
        try:
            async with self._session.post(
                f"{self._options.endpoint}/v1/{kind}", data=body, allow_redirects=False
            ) as answer:
                text = (await answer.read())[:500].decode(errors="replace")
        except TimeoutError:
            return retry(f"no answer within {self._options.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            return retry(told(exc))
        if 200 <= answer.status < 300:
            return DELIVERED
        reason = f"HTTP {answer.status} {answer.reason or ''}".strip()
        if answer.status in _LATER:
            after = answer.headers.get("Retry-After", "")
            return retry(reason, after_s=float(after) if after.isdigit() else None, detail=text)
        return rejected(reason, detail=text)


def _attributes(labels: Mapping[str, str], source: str) -> list[KeyValue]:
    return [_pair(name, text) for name, text in {**labels, "source": source}.items() if text]


def _pair(name: str, text: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=text))


def _make(options: OtlpOptions, context: DriverContext) -> OtlpDriver:
    del context
    return OtlpDriver(options)


DRIVER = DriverType(
    name="otlp",
    about="Measurements as OpenTelemetry metrics and alerts as logs, over HTTP.",
    options=OtlpOptions,
    make=_make,
    batch_size=1024,
)
