"""`kafka`: a message for each event, acknowledged by the brokers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic import AfterValidator, BeforeValidator, Field

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType
from test_rig.actions.event import AlertEvent, ClearEvent, Event, key_of
from test_rig.actions.options import Options, Seconds, same
from test_rig.actions.payload import Payload, encoder_of
from test_rig.actions.template import Template, checked_template

__all__ = ["DRIVER", "KafkaDriver", "KafkaOptions"]

_LOG = logging.getLogger("test_rig.actions")
#: What can be another time, though librdkafka does not call it retriable.
_LATER = frozenset(
    {
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._QUEUE_FULL,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._RESOLVE,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    }
)


def _addresses(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list | tuple) else value


def _acks(value: Any) -> Any:
    return {"-1": "all"}.get(str(value), str(value))


class KafkaOptions(Options):
    """Which topics of which cluster."""

    EARLIER: ClassVar = {
        "bootstrap_servers": ("brokers", same),
        "producer_configs": ("settings", same),
    }

    brokers: Annotated[str, BeforeValidator(_addresses), Field(min_length=1)] = Field(
        description="Addresses to begin with, such as 127.0.0.1:9092; a list, or parted by commas."
    )
    topic: Annotated[str, AfterValidator(checked_template)] = Field(
        default="",
        description="The topic of measurements and of clearing; may be a template. "
        "`test-rig.measurements` if empty, `photoacoustic.display` with the instrument's payload.",
    )
    alert_topic: Annotated[str, AfterValidator(checked_template)] = Field(
        default="",
        description="The topic of alerts; may be a template. `test-rig.alerts` if empty, "
        "`photoacoustic.alerts` with the instrument's payload.",
    )
    key: Annotated[str | None, AfterValidator(checked_template)] = Field(
        default=None,
        description="A template of the message's key, which chooses the partition; without one the "
        "series or the alert, with the instrument's payload the node or the alert's type.",
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers, beside `id` and `type`; their values may be templates.",
    )
    acks: Annotated[Literal["all", "1", "0"], BeforeValidator(_acks)] = Field(
        default="all", description="Who must have a message: `all` replicas, `1`, or `0` for none."
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="none", description="none, gzip, snappy, lz4 or zstd."
    )
    idempotence: bool = Field(
        default=True,
        description='Whether the brokers drop what the producer repeats; needs `acks = "all"`.',
    )
    linger_s: Seconds = Field(
        default=0.005, description="How long the producer gathers messages, in seconds."
    )
    timeout_s: Seconds = Field(
        default=20.0,
        ge=0.1,
        description="How long the producer tries by itself, in seconds, before the pipe does.",
    )
    client_id: str = Field(default="test-rig", description="What the brokers log.")
    settings: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Further settings of librdkafka, such as `security.protocol`; they win.",
    )
    payload: Payload = Field(
        default=Payload.RIG,
        description="`rig`, or `instrument` for the earlier instrument's shape.",
    )

    def topics(self) -> tuple[str, str]:
        """The topics of measurements and of alerts."""
        is_old = self.payload is Payload.INSTRUMENT
        plain = "photoacoustic.display" if is_old else "test-rig.measurements"
        alerts = "photoacoustic.alerts" if is_old else "test-rig.alerts"
        return self.topic or plain, self.alert_topic or alerts

    def producer(self) -> dict[str, Any]:
        """The settings of the producer."""
        is_safe = self.idempotence and self.acks == "all"
        return {
            "bootstrap.servers": self.brokers,
            "client.id": self.client_id,
            "acks": self.acks,
            "compression.type": self.compression,
            "enable.idempotence": is_safe,
            "linger.ms": self.linger_s * 1000,
            "message.timeout.ms": round(self.timeout_s * 1000),
            **self.settings,
        }


class _Quiet:
    """A log for librdkafka, which has a line for each try to connect: some ten a second."""

    def log(self, level: int, text: str, *values: object) -> None:
        """Take a line; what matters of it comes as an error too."""
        del level
        _LOG.debug(text, *values)


class KafkaDriver:
    """Produces batches and waits for the brokers' answers."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._encode = encoder_of(options.payload)
        topic, alert_topic = options.topics()
        self._topic, self._alert_topic = Template(topic), Template(alert_topic)
        self._key = None if options.key is None else Template(options.key)
        self._headers = {name: Template(value) for name, value in options.headers.items()}
        self._producer: Producer | None = None
        self._last_error = ""

    async def start(self) -> None:
        """Make the producer and ask the cluster for its brokers."""
        producer = self._producer = self._new()
        try:
            await asyncio.to_thread(producer.list_topics, timeout=self._options.timeout_s)
        except KafkaException as exc:
            producer.poll(0)  # what it knows of the reason
            raise ConnectionError(self._with_reason(exc.args[0])) from exc

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Produce a batch; each message is answered by its own report."""
        producer = self._producer
        if producer is None:
            return [retry("not started")] * len(batch)
        answers: list[Delivery | None] = [None] * len(batch)
        for index, event in enumerate(batch):
            answers[index] = self._produce(producer, event, answers, index)
        while None in answers:
            await asyncio.to_thread(producer.poll, 0.05)
        if self._last_error.startswith("fatal"):
            # A producer that lost its way stays lost: the next batch gets a new one.
            self._last_error, self._producer = "", self._new()
        elif DELIVERED in answers:
            self._last_error = ""
        return [answer for answer in answers if answer is not None]

    async def stop(self, *, timeout_s: float) -> None:
        """Wait until what is on its way has arrived."""
        if self._producer is not None:
            left = await asyncio.to_thread(self._producer.flush, timeout_s)
            if left:
                _LOG.warning("kafka: %d messages were not acknowledged in time", left)

    async def status(self) -> Mapping[str, Any]:
        """Tell the topics, and what waits for an answer."""
        topic, alert_topic = self._options.topics()
        return {
            "driver_type": "kafka",
            "brokers": self._options.brokers,
            "display_topic": topic,
            "alert_topic": alert_topic,
            "client_id": self._options.client_id,
            "timeout_ms": round(self._options.timeout_s * 1000),
            "unanswered": 0 if self._producer is None else len(self._producer),
            "last_error": self._last_error,
        }

    def _new(self) -> Producer:
        return Producer(self._options.producer(), logger=_Quiet(), error_cb=self._note)

    def _note(self, error: KafkaError) -> None:
        self._last_error = f"{'fatal: ' if error.fatal() else ''}{error.str()}"

    def _produce(
        self, producer: Producer, event: Event, answers: list[Delivery | None], index: int
    ) -> Delivery | None:
        """Hand a message to the producer; return an answer only where it is not taken."""

        def report(error: KafkaError | None, message: object) -> None:
            del message
            answers[index] = DELIVERED if error is None else self._meaning(error)

        try:
            headers = {name: template.fill(event) for name, template in self._headers.items()}
            is_alert = isinstance(event, AlertEvent)
            producer.produce(
                (self._alert_topic if is_alert else self._topic).fill(event),
                value=self._encode(event),
                key=self._key_of(event),
                headers={"id": event.id, "type": _kind(event), **headers},
                on_delivery=report,
            )
        except ValueError as exc:
            return rejected(str(exc))
        except BufferError:
            return retry("the producer's queue is full")
        except KafkaException as exc:
            return self._meaning(exc.args[0])
        return None

    def _meaning(self, error: KafkaError) -> Delivery:
        if error.fatal():
            self._note(error)
        if error.retriable() or error.fatal() or error.code() in _LATER:
            return retry(self._with_reason(error))
        return rejected(error.str())

    def _with_reason(self, error: KafkaError) -> str:
        """Return an error with what the producer last complained of, which is often its cause."""
        is_more = self._last_error and self._last_error not in error.str()
        return f"{error.str()} ({self._last_error})" if is_more else str(error.str())

    def _key_of(self, event: Event) -> str:
        if self._key is not None:
            return self._key.fill(event)
        if self._options.payload is Payload.RIG:
            return key_of(event)
        if isinstance(event, ClearEvent):
            return "clear"
        return event.alert_type if isinstance(event, AlertEvent) else event.source_node_id


def _kind(event: Event) -> str:
    return str(type(event).__struct_config__.tag)


def _make(options: KafkaOptions, context: DriverContext) -> KafkaDriver:
    del context
    return KafkaDriver(options)


DRIVER = DriverType(
    name="kafka",
    about="A message for each event, acknowledged by the brokers.",
    options=KafkaOptions,
    make=_make,
    batch_size=1024,
)
