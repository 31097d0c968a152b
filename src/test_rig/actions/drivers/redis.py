"""`redis`: publish, set keys that expire, or add to a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

import redis.asyncio as aioredis
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, told
from test_rig.actions.event import AlertEvent, ClearEvent, Event, key_of
from test_rig.actions.options import Options, Seconds, Size, same
from test_rig.actions.payload import Payload, encoder_of
from test_rig.resilience import clean_message, without_passwords

__all__ = ["DRIVER", "RedisDriver", "RedisOptions"]

_MODES = ("pubsub", "key_value", "stream")
#: Answers of a server that says: later.
_LATER = (
    "LOADING",
    "BUSY",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "OOM",
    "READONLY",
    "NOREPLICAS",
)


def _mode(value: Any) -> Any:
    plain = str(value).strip().lower().replace("-", "_").replace("pub_sub", "pubsub")
    plain = plain.replace("keyvalue", "key_value").replace("streams", "stream")
    if plain not in _MODES:
        raise ValueError(f"must be one of {', '.join(_MODES)}")
    return plain


def _address(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return value


class RedisOptions(Options):
    """Where events go in which server."""

    EARLIER: ClassVar = {
        "connection_string": ("url", same),
        "channel_or_prefix": ("prefix", same),
        "channel": ("prefix", same),
        "expiration_seconds": ("expire_s", same),
        "expiry_seconds": ("expire_s", same),
        "max_retries": ("max_attempts", lambda value: value + 1),
    }

    url: Annotated[SecretStr, AfterValidator(_address)] = Field(
        description="The server, such as redis://127.0.0.1:6379/0. Never printed with its password."
    )
    password: SecretStr | None = Field(
        default=None, description="The password, where the URL has none."
    )
    mode: Annotated[str, BeforeValidator(_mode)] = Field(
        default="key_value", description="`pubsub`, `key_value` or `stream`."
    )
    prefix: str = Field(
        default="",
        description="The channel, the stream, or the beginning of every key; `test-rig` if empty, "
        "`photoacoustic` with the instrument's payload.",
    )
    expire_s: Size = Field(
        default=0, description="`key_value`: seconds after which a key expires; 0: never."
    )
    max_length: Size = Field(
        default=0,
        description="`stream`: about how many entries stay; 0: all.",
    )
    dedup_s: Size = Field(
        default=0,
        description="`pubsub` and `stream`: how long the server remembers an event's id, in "
        "seconds, and drops one that is delivered again; 0: it does not.",
    )
    connect_timeout_s: Seconds = Field(
        default=5.0, gt=0, description="How long connecting may take, in seconds."
    )
    max_attempts: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="The same as in the pipe's options, where it is not set there."
    )
    payload: Payload = Field(
        default=Payload.RIG,
        description="`rig`, or `instrument` for the earlier instrument's shape.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.expire_s and self.mode != "key_value":
            raise ValueError("expire_s needs mode = 'key_value'")
        if self.max_length and self.mode != "stream":
            raise ValueError("max_length needs mode = 'stream'")
        if self.dedup_s and self.mode == "key_value":
            raise ValueError("dedup_s is for pubsub and stream: a key is set once anyway")
        return self

    @property
    def place(self) -> str:
        """The channel, the stream, or the beginning of every key."""
        if self.prefix:
            return self.prefix
        return "photoacoustic" if self.payload is Payload.INSTRUMENT else "test-rig"


class RedisDriver:
    """Sends each batch in one round trip."""

    def __init__(self, options: RedisOptions) -> None:
        self._options = options
        self._encode = encoder_of(options.payload)
        self._client: aioredis.Redis | None = None
        self._is_connected = False

    async def start(self) -> None:
        """Connect."""
        options = self._options
        more = {} if options.password is None else {"password": options.password.get_secret_value()}
        self._client = aioredis.from_url(
            options.url.get_secret_value(),
            socket_connect_timeout=options.connect_timeout_s,
            **more,
        )
        try:
            await self._client.ping()
        except RedisError:
            await self._client.aclose()
            raise
        self._is_connected = True

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Put the commands of a batch into one pipeline, and read each answer."""
        if self._client is None:
            return [retry("not started")] * len(batch)
        pipeline = self._client.pipeline(transaction=False)
        counts = [self._put(pipeline, event) for event in batch]
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisConnectionError, RedisTimeoutError, OSError) as exc:
            self._is_connected = False
            return [retry(told(exc))] * len(batch)
        self._is_connected = True
        return _meanings(_grouped(answers, counts))

    async def stop(self, *, timeout_s: float) -> None:
        """Close the connection."""
        if self._client is not None:
            async with asyncio.timeout(timeout_s):
                await self._client.aclose()
        self._is_connected = False

    async def status(self) -> Mapping[str, Any]:
        """Tell where events go, and whether the last answer came."""
        return {
            "driver_type": "redis",
            "url": without_passwords(self._options.url.get_secret_value()),
            "mode": self._options.mode,
            "prefix": self._options.place,
            "is_connected": self._is_connected,
        }

    def _put(self, pipeline: Any, event: Event) -> int:
        """Add an event's commands; return how many there are."""
        body = self._encode(event)
        if self._options.mode == "key_value":
            return self._put_keys(pipeline, event, body)
        place = self._options.place
        if self._options.mode == "stream":
            command = ["XADD", place]
            if self._options.max_length:
                command += ["MAXLEN", "~", str(self._options.max_length)]
            command += ["*", "id", event.id, "event", body]  # type: ignore[list-item]  # bytes too
        else:
            channel = f"{place}:alert" if isinstance(event, AlertEvent) else place
            command = ["PUBLISH", channel, body]  # type: ignore[list-item]  # bytes too
        if self._options.dedup_s:
            seen = f"{place}:seen:{event.id}"
            pipeline.eval(_ONCE, 1, seen, self._options.dedup_s, *command)
        else:
            pipeline.execute_command(*command)
        return 1

    def _put_keys(self, pipeline: Any, event: Event, body: bytes) -> int:
        expire_s = self._options.expire_s or None
        keys = _keys(self._options.place, event, self._options.payload)
        for key in keys:
            pipeline.set(key, body, ex=expire_s)
        return len(keys)


#: Do a command unless the id was seen: a delivery that is repeated after a lost answer is dropped.
_ONCE = """
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
  return redis.call(unpack(ARGV, 2))
end
return 0
"""


def _keys(place: str, event: Event, payload: Payload) -> list[str]:
    """Return the keys that hold an event: its own, and that of the latest of its kind."""
    # Whole seconds are the instrument's; the rig's own keys tell events of one second apart.
    moment = str(event.timestamp_ns // 10**9 if payload is Payload.INSTRUMENT else event.id)
    if isinstance(event, ClearEvent):
        return [f"{place}:latest"]
    if isinstance(event, AlertEvent):
        return [f"{place}:alert:{moment}", f"{place}:latest_alert"]
    node = event.source_node_id if payload is Payload.INSTRUMENT else key_of(event)
    return [f"{place}:display:{node}:{moment}", f"{place}:latest:{node}"]


def _grouped(answers: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    """Return one answer for each event: the first error among its commands, or the last answer."""
    found, at = [], 0
    for count in counts:
        own = answers[at : at + count]
        at += count
        found.append(next((each for each in own if isinstance(each, Exception)), own[-1]))
    return found


def _meanings(answers: Sequence[Any]) -> list[Delivery]:
    made: list[Delivery] = []
    for answer in answers:
        if not isinstance(answer, Exception):
            made.append(DELIVERED)
        elif isinstance(answer, ResponseError) and not str(answer).startswith(_LATER):
            made.append(rejected(clean_message(answer)))
        else:
            made.append(retry(clean_message(answer)))
    return made


def _make(options: RedisOptions, context: DriverContext) -> RedisDriver:
    del context
    return RedisDriver(options)


DRIVER = DriverType(
    name="redis",
    about="Publish, set keys that expire, or add to a stream.",
    options=RedisOptions,
    make=_make,
)
