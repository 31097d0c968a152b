"""`http`: a request for each event, or for each batch of them."""

from __future__ import annotations

import asyncio
import base64
import email.utils
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from pydantic import AfterValidator, Field, SecretStr, model_validator

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType, in_key_order, told
from test_rig.actions.event import Event
from test_rig.actions.options import Count, Options, Seconds, Size, same
from test_rig.actions.payload import Payload, encoder_of
from test_rig.actions.template import Template, checked_template
from test_rig.resilience import without_passwords

__all__ = ["DRIVER", "HttpDriver", "HttpOptions"]

#: Answers that say: later. RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4; and all of 5xx.
_LATER = frozenset({408, 425, 429})
#: Redirects that keep method and body (RFC 9110 15.4.8, 15.4.9).
_KEEP_BODY = frozenset({307, 308})
_DETAIL_CHARS = 500
_SECRET_HEADERS = ("authorization", "cookie", "key", "token", "secret")


def _web(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    return url


class HttpOptions(Options):
    """What is asked of which server."""

    EARLIER: ClassVar = {
        "callback_url": ("url", same),
        "timeout_ms": ("timeout_s", lambda value: value / 1000),
        "retry_count": ("max_attempts", lambda value: value + 1),
        "verify_ssl": ("verify_tls", same),
    }

    url: Annotated[str, AfterValidator(_web)] = Field(
        description="Where requests go: http:// or https://."
    )
    method: Literal["POST", "PUT", "PATCH"] = Field(
        default="POST", description="POST, PUT or PATCH."
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Further headers; their values may be templates.",
    )
    auth_token: SecretStr | None = Field(
        default=None,
        description="A token for `auth_header`; `Bearer ` is put before it unless it names a "
        "scheme.",
    )
    auth_header: str = Field(
        default="Authorization",
        description="The header that carries `auth_token`; in any other than Authorization the "
        "token stands alone.",
    )
    username: str | None = Field(default=None, description="Who asks, for basic authentication.")
    password: SecretStr | None = Field(
        default=None, description="The password for basic authentication."
    )
    verify_tls: bool = Field(
        default=True, description="Whether the server's certificate must be valid."
    )
    ca_file: str | None = Field(
        default=None, description="Certificates that are trusted instead of the system's."
    )
    timeout_s: Seconds = Field(
        default=10.0, gt=0, description="How long one request may take, in seconds."
    )
    max_attempts: Count | None = Field(
        default=None, description="The same as in the pipe's options, where it is not set there."
    )
    concurrency: Count = Field(
        default=8, description="Requests at the same time; those of one key go one by one."
    )
    batch: bool = Field(
        default=False,
        description="One request with a JSON array for a whole batch, instead of one for each "
        "event.",
    )
    body: Annotated[str | None, AfterValidator(checked_template)] = Field(
        default=None, description="A template of the body; without one the event as JSON."
    )
    content_type: str = Field(
        default="application/json", description="What the body is said to be."
    )
    payload: Payload = Field(
        default=Payload.RIG,
        description="`rig`, or `instrument` for the earlier instrument's shape.",
    )
    idempotency_header: str = Field(
        default="Idempotency-Key",
        description="The header that carries the event's id, the same at every try; none if empty.",
    )
    max_redirects: Size = Field(
        default=3,
        description="How many redirects (307, 308) are followed; any other kind would lose the "
        "body and is a refusal.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password are given together")
        if self.batch and self.body is not None:
            raise ValueError("body is for one event; batch has none")
        for value in self.headers.values():
            checked_template(value)
        return self


class HttpDriver:
    """Sends requests over one pool of connections."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._encode = encoder_of(options.payload)
        self._body = None if options.body is None else Template(options.body)
        self._headers = {name: Template(value) for name, value in options.headers.items()}
        self._session: aiohttp.ClientSession | None = None
        self._answers: Counter[str] = Counter()
        self._tries: dict[str, int] = {}

    async def start(self) -> None:
        """Make the pool; nothing is asked of the server yet."""
        options = self._options
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls(), limit=options.concurrency),
            timeout=aiohttp.ClientTimeout(total=options.timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Send each event, or all of them in one request."""
        if self._options.batch:
            return await self._send_array(batch)
        return await in_key_order(batch, self._send_one, concurrency=self._options.concurrency)

    async def stop(self, *, timeout_s: float) -> None:
        """Close the connections."""
        if self._session is not None:
            async with asyncio.timeout(timeout_s):
                await self._session.close()

    async def status(self) -> Mapping[str, Any]:
        """Tell where requests go and how they were answered."""
        options = self._options
        return {
            "driver_type": "http",
            "url": without_passwords(options.url),
            "timeout_seconds": options.timeout_s,
            "answers": dict(self._answers),
            "has_auth_token": options.auth_token is not None,
            "custom_headers": sorted(options.headers),
        }

    def _tls(self) -> ssl.SSLContext | bool:
        if not self._options.verify_tls:
            return False
        if self._options.ca_file is None:
            return True
        return ssl.create_default_context(cafile=self._options.ca_file)

    async def _send_array(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        body = b"[" + b",".join(self._encode(event) for event in batch) + b"]"
        headers = {name: template.fill(batch[0]) for name, template in self._headers.items()}
        answer = await self._ask(body, self._with_own(headers, batch[0].id))
        return [answer] * len(batch)

    async def _send_one(self, event: Event) -> Delivery:
        try:
            headers = {name: template.fill(event) for name, template in self._headers.items()}
            body = self._body_of(event)
        except ValueError as exc:
            return rejected(str(exc))
        answer = await self._ask(body, self._with_own(headers, event.id))
        self._note_try(event.id, answer)
        return answer

    def _body_of(self, event: Event) -> bytes:
        if self._body is not None:
            return self._body.fill(event, self._options.payload).encode()
        body = self._encode(event)
        tries = self._tries.get(event.id, 0)
        if tries and self._options.payload is Payload.INSTRUMENT:
            return body[:-1] + b',"retry_attempt":%d}' % (tries + 1)
        return body

    def _note_try(self, id: str, answer: Delivery) -> None:
        """Count the tries of an event: the instrument's shape tells them."""
        if self._options.payload is not Payload.INSTRUMENT:
            return
        if answer is DELIVERED or len(self._tries) > 10_000:
            self._tries.pop(id, None)
        else:
            self._tries[id] = self._tries.get(id, 0) + 1

    def _with_own(self, headers: dict[str, str], id: str) -> dict[str, str]:
        options = self._options
        made = {"Content-Type": options.content_type, **headers}
        if options.idempotency_header:
            made[options.idempotency_header] = id
        if options.auth_token is not None:
            token = options.auth_token.get_secret_value()
            is_bare = options.auth_header.lower() == "authorization" and " " not in token
            made[options.auth_header] = f"Bearer {token}" if is_bare else token
        if options.username is not None and options.password is not None:
            pair = f"{options.username}:{options.password.get_secret_value()}"
            made["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return made

    async def _ask(self, body: bytes, headers: dict[str, str]) -> Delivery:
        """Ask, follow redirects, and say what the answer means."""
        if self._session is None:
            return retry("not started")
        url, options = self._options.url, self._options
        for _ in range(options.max_redirects + 1):
            try:
                async with self._session.request(
                    options.method, url, data=body, headers=headers, allow_redirects=False
                ) as answer:
                    text = (await answer.content.read(_DETAIL_CHARS)).decode(errors="replace")
                    await answer.read()
            except TimeoutError:
                self._answers["timeout"] += 1
                return retry(f"no answer within {options.timeout_s:g} s")
            except (aiohttp.ClientError, OSError) as exc:
                self._answers["no connection"] += 1
                return retry(told(exc))
            self._answers[str(answer.status)] += 1
            if answer.status not in _KEEP_BODY or "Location" not in answer.headers:
                return _meaning(answer, text)
            url, headers = _followed(url, answer.headers["Location"], headers)
        return rejected(f"more than {options.max_redirects} redirects")


def _followed(url: str, location: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return where a redirect leads; another server does not get this one's secrets."""
    there = urljoin(url, location)
    if urlsplit(there)[:2] == urlsplit(url)[:2]:
        return there, headers
    kept = {
        name: value
        for name, value in headers.items()
        if not any(word in name.lower() for word in _SECRET_HEADERS) or name == "Idempotency-Key"
    }
    return there, kept


def _meaning(answer: aiohttp.ClientResponse, text: str) -> Delivery:
    status = answer.status
    if 200 <= status < 300:
        return DELIVERED
    reason = f"HTTP {status} {answer.reason or ''}".strip()
    if status in _LATER or status >= 500:
        return retry(reason, after_s=_after_s(answer.headers.get("Retry-After")), detail=text)
    if 300 <= status < 400:
        where = without_passwords(answer.headers.get("Location", "nowhere"))
        return rejected(f"{reason}: leads to {where}", detail=text)
    return rejected(reason, detail=text)


def _after_s(value: str | None) -> float | None:
    """Return a `Retry-After` in seconds: a number, or a date (RFC 9110 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _make(options: HttpOptions, context: DriverContext) -> HttpDriver:
    del context
    return HttpDriver(options)


DRIVER = DriverType(
    name="http",
    about="A request for each event, or for each batch of them.",
    options=HttpOptions,
    make=_make,
)
