"""`mqtt`: a message for each event."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, Self

import aiomqtt
from pydantic import AfterValidator, Field, SecretStr, model_validator

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, in_key_order, told
from test_rig.actions.event import Event
from test_rig.actions.options import Count, Options, Seconds
from test_rig.actions.payload import Payload, encoder_of
from test_rig.actions.template import Template, checked_template

__all__ = ["DRIVER", "MqttDriver", "MqttOptions"]


class MqttOptions(Options):
    """Which topics of which broker."""

    host: str = Field(min_length=1, description="The broker's name or address.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=1883, description="The broker's port."
    )
    topic: Annotated[str, AfterValidator(checked_template)] = Field(
        default="test-rig/{{ type }}", min_length=1, description="The topic; may be a template."
    )
    qos: Literal[0, 1, 2] = Field(
        default=1, description="0: at most once, 1: acknowledged, 2: exactly once on the way."
    )
    retain: bool = Field(
        default=False, description="Whether the broker keeps the last message for who comes later."
    )
    username: str | None = Field(default=None, description="Who connects.")
    password: SecretStr | None = Field(default=None, description="The password of `username`.")
    client_id: str | None = Field(
        default=None, description="What the broker calls it; drawn if unset."
    )
    tls: bool = Field(default=False, description="Whether the connection is encrypted.")
    ca_file: str | None = Field(
        default=None, description="With `tls`: certificates that are trusted, not the system's."
    )
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="How long one acknowledgement may take, in seconds."
    )
    concurrency: Count = Field(
        default=20, description="Messages that wait for their acknowledgement at a time."
    )
    payload: Payload = Field(
        default=Payload.RIG,
        description="`rig`, or `instrument` for the earlier instrument's shape.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.ca_file is not None and not self.tls:
            raise ValueError("ca_file needs tls = true")
        return self


class MqttDriver:
    """Publishes over one connection, and makes a new one when it was lost."""

    def __init__(self, options: MqttOptions) -> None:
        self._options = options
        self._encode = encoder_of(options.payload)
        self._topic = Template(options.topic)
        self._client: aiomqtt.Client | None = None

    async def start(self) -> None:
        """Connect."""
        options = self._options
        password = None if options.password is None else options.password.get_secret_value()
        client = aiomqtt.Client(
            options.host,
            options.port,
            username=options.username,
            password=password,
            identifier=options.client_id,
            tls_params=(aiomqtt.TLSParameters(ca_certs=options.ca_file) if options.tls else None),
            timeout=options.timeout_s,
            max_inflight_messages=options.concurrency,
        )
        client.pending_calls_threshold = options.concurrency  # as many as are wanted are no warning
        try:
            await client.__aenter__()
        except BaseException:
            # A broker that does not answer leaves its socket open, and aiomqtt no way to close it.
            client._client._sock_close()
            raise
        self._client = client

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Publish a batch."""
        if self._client is None:
            try:
                await self.start()
            except (aiomqtt.MqttError, OSError, TimeoutError) as exc:
                return [retry(told(exc))] * len(batch)
        answers = await in_key_order(batch, self._publish, concurrency=self._options.concurrency)
        if any(answer.fate.value == "retry" for answer in answers):
            await self._leave()
        return answers

    async def stop(self, *, timeout_s: float) -> None:
        """Disconnect."""
        async with asyncio.timeout(timeout_s):
            await self._leave()

    async def status(self) -> Mapping[str, Any]:
        """Tell whether it is connected, and where."""
        return {
            "driver_type": "mqtt",
            "broker": f"{self._options.host}:{self._options.port}",
            "is_connected": self._client is not None,
        }

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(aiomqtt.MqttError, OSError):
                await client.__aexit__(None, None, None)

    async def _publish(self, event: Event) -> Delivery:
        client = self._client
        if client is None:
            return retry("not connected")
        try:
            await client.publish(
                self._topic.fill(event),
                self._encode(event),
                qos=self._options.qos,
                retain=self._options.retain,
                timeout=self._options.timeout_s,
            )
        except ValueError as exc:
            return rejected(str(exc))
        except (aiomqtt.MqttError, OSError, TimeoutError) as exc:
            return retry(told(exc))
        return DELIVERED


def _make(options: MqttOptions, context: DriverContext) -> MqttDriver:
    del context
    return MqttDriver(options)


DRIVER = DriverType(name="mqtt", about="A message for each event.", options=MqttOptions, make=_make)
