"""`nats`: a message for each event, with JetStream acknowledged and kept."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoServersError
from nats.js import JetStreamContext
from nats.js.errors import APIError
from pydantic import AfterValidator, Field, SecretStr, model_validator

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, in_key_order, told
from test_rig.actions.event import Event
from test_rig.actions.options import Count, Names, Options, Seconds
from test_rig.actions.payload import Payload, encoder_of
from test_rig.actions.template import Template, checked_template
from test_rig.resilience import without_passwords

__all__ = ["DRIVER", "NatsDriver", "NatsOptions"]


class NatsOptions(Options):
    """Which subjects of which servers."""

    servers: Names = Field(
        min_length=1, description="Addresses, such as nats://127.0.0.1:4222; one or a list."
    )
    subject: Annotated[str, AfterValidator(checked_template)] = Field(
        default="test-rig.{{ type }}", min_length=1, description="The subject; may be a template."
    )
    jetstream: bool = Field(
        default=False,
        description="Whether a stream must acknowledge each message; it drops what is delivered "
        "again. A stream has to be there for the subject.",
    )
    username: str | None = Field(default=None, description="Who connects.")
    password: SecretStr | None = Field(default=None, description="The password of `username`.")
    token: SecretStr | None = Field(default=None, description="A token, instead of a password.")
    timeout_s: Seconds = Field(
        default=5.0, gt=0, description="How long connecting, or one acknowledgement, may take."
    )
    concurrency: Count = Field(
        default=64,
        description="With JetStream: messages that wait for their acknowledgement at a time.",
    )
    payload: Payload = Field(
        default=Payload.RIG,
        description="`rig`, or `instrument` for the earlier instrument's shape.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given together")
        return self


class NatsDriver:
    """Publishes; without JetStream a flush tells that the server has a batch."""

    def __init__(self, options: NatsOptions) -> None:
        self._options = options
        self._encode = encoder_of(options.payload)
        self._subject = Template(options.subject)
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None

    async def start(self) -> None:
        """Connect."""
        options = self._options
        login: dict[str, Any] = {}
        if options.username is not None and options.password is not None:
            login = {"user": options.username, "password": options.password.get_secret_value()}
        if options.token is not None:
            login["token"] = options.token.get_secret_value()
        client = Client()
        try:
            await self._connect(client, login)
        except BaseException:
            await client.close()  # a refused one holds its socket
            raise
        self._client = client
        self._stream = client.jetstream() if options.jetstream else None

    async def _connect(self, client: Client, login: dict[str, Any]) -> None:
        options = self._options
        noted: deque[Exception] = deque(maxlen=1)

        async def note(exc: Exception) -> None:  # other errors are told by the calls that they end
            noted.append(exc)

        try:
            async with asyncio.timeout(options.timeout_s):
                await client.connect(
                    list(options.servers),
                    name="test-rig",
                    connect_timeout=options.timeout_s / len(options.servers),  # type: ignore[arg-type]  # it takes parts of a second
                    # The pipe has pauses and a breaker of its own. Less than 1 would be for ever.
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    error_cb=note,
                    **login,
                )
        except NoServersError as exc:
            raise (noted[0] if noted else exc) from None

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Publish a batch."""
        if self._client is None or self._client.is_closed:
            try:
                await self.start()
            except (NatsError, OSError, TimeoutError) as exc:
                return [retry(told(exc))] * len(batch)
        if self._stream is not None:
            return await in_key_order(
                batch, self._publish_kept, concurrency=self._options.concurrency
            )
        return await self._publish_all(batch)

    async def stop(self, *, timeout_s: float) -> None:
        """Flush and close."""
        if self._client is not None and not self._client.is_closed:
            async with asyncio.timeout(timeout_s):
                await self._client.close()

    async def status(self) -> Mapping[str, Any]:
        """Tell whether it is connected, and where."""
        client = self._client
        return {
            "driver_type": "nats",
            "servers": [without_passwords(each) for each in self._options.servers],
            "is_connected": client is not None and client.is_connected,
            "jetstream": self._options.jetstream,
        }

    async def _publish_all(self, batch: Sequence[Event]) -> list[Delivery]:
        assert self._client is not None  # noqa: S101 -- `send` connected
        try:
            answers = [await self._publish(self._client, event) for event in batch]
            await self._client.flush(timeout=self._options.timeout_s)  # type: ignore[arg-type]  # as above
        except (NatsError, OSError, TimeoutError) as exc:
            # What the server has of it is unknown: all of it goes again, by the same ids.
            return [retry(told(exc))] * len(batch)
        return answers

    async def _publish(self, client: Client, event: Event) -> Delivery:
        try:
            subject = self._subject.fill(event)
        except ValueError as exc:
            return rejected(str(exc))
        await client.publish(subject, self._encode(event), headers={"Nats-Msg-Id": event.id})
        return DELIVERED

    async def _publish_kept(self, event: Event) -> Delivery:
        assert self._stream is not None  # noqa: S101 -- `send` looked
        try:
            await self._stream.publish(
                self._subject.fill(event),
                self._encode(event),
                timeout=self._options.timeout_s,
                headers={"Nats-Msg-Id": event.id},
            )
        except ValueError as exc:
            return rejected(str(exc))
        except APIError as exc:
            is_refusal = exc.code is not None and 400 <= exc.code < 500
            return rejected(told(exc)) if is_refusal else retry(told(exc))
        except (NatsError, OSError, TimeoutError) as exc:
            return retry(told(exc))
        return DELIVERED


def _make(options: NatsOptions, context: DriverContext) -> NatsDriver:
    del context
    return NatsDriver(options)


DRIVER = DriverType(
    name="nats",
    about="A message for each event, with JetStream acknowledged and kept.",
    options=NatsOptions,
    make=_make,
)
