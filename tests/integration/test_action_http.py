"""The driver `http` against a real server that answers as the test says."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from action_events import alert, clearing, deliver, number, reading
from test_rig.actions import Delivery, Event, Fate, create_driver
from test_rig.errors import SettingsError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Server:
    """What a test's server was asked, and how it answers."""

    handler: Handler | None = None
    asked: list[tuple[str, str, Mapping[str, str], Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Note the request, then answer."""
        body = await request.text()
        content: Any = body
        if request.content_type == "application/json":
            content = json.loads(body)
        self.asked.append((request.method, request.path, dict(request.headers), content))
        return web.Response() if self.handler is None else await self.handler(request)

    def run(
        self,
        config: Mapping[str, Any],
        *batches: list[Event],
        type: str = "http",
        tls: ssl.SSLContext | None = None,
    ) -> list[Delivery]:
        """Serve while a driver delivers; return its answers."""

        async def play() -> list[Delivery]:
            app = web.Application()
            app.router.add_route("*", "/{rest:.*}", self.answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            port = runner.addresses[0][1]
            name = "callback_url" if type == "https_callback" else "url"
            url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook"
            try:
                answers, _ = await deliver(type, {name: url, **config}, *batches)
            finally:
                await runner.cleanup()
            return [answer for batch in answers for answer in batch]

        return asyncio.run(play())


def status(code: int, **headers: str) -> Handler:
    """Return a handler that answers with a code."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=code, headers=headers, text="why not")

    return answer


def test_an_event_is_posted_as_json_with_its_id() -> None:
    """The id is the idempotency key, the same at every try."""
    server = Server()
    server.run({}, [number(1)], [number(1)])
    for method, path, headers, body in server.asked:
        assert (method, path, body["value"]) == ("POST", "/hook", 1)
        assert headers["Idempotency-Key"] == body["id"] == "latency-1"


def test_method_headers_and_token_are_as_set() -> None:
    """A header's value may be a template; the token gets its scheme."""
    server = Server()
    config = {
        "method": "PUT",
        "headers": {"X-Name": "{{ name }}"},
        "auth_token": "s3cret",
        "idempotency_header": "X-Id",
        "content_type": "application/vnd.rig+json",
    }
    server.run(config, [number(1)])
    ((method, _, headers, _),) = server.asked
    assert method == "PUT"
    assert headers["X-Name"] == "latency"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["X-Id"] == "latency-1"
    assert headers["Content-Type"] == "application/vnd.rig+json"


def test_a_token_in_another_header_stands_alone() -> None:
    """As keys of an interface are sent."""
    server = Server()
    server.run({"auth_token": "k", "auth_header": "X-Api-Key"}, [number(1)])
    assert server.asked[0][2]["X-Api-Key"] == "k"


def test_basic_authentication() -> None:
    """User and password as RFC 7617 has them."""
    server = Server()
    server.run({"username": "u", "password": "p"}, [number(1)])
    assert server.asked[0][2]["Authorization"] == "Basic dTpw"


def test_the_body_can_be_a_template() -> None:
    """It sees the event's fields."""
    server = Server()
    config = {"body": "{{ name }}={{ value }} {{ labels | json }}", "content_type": "text/plain"}
    server.run(config, [number(1.5)])
    assert server.asked[0][3] == "latency=1.5 {}"


def test_a_template_that_fails_on_an_event_is_a_refusal() -> None:
    """Trying again could not help."""
    (answer,) = Server().run({"body": "{{ nothing }}"}, [number(1)])
    assert answer.fate is Fate.REJECTED
    assert "nothing" in answer.reason


def test_a_batch_can_be_one_request() -> None:
    """With an array."""
    server = Server()
    server.run({"batch": True}, [number(1), number(2)])
    assert [event["value"] for event in server.asked[0][3]] == [1, 2]


@pytest.mark.parametrize(
    ("code", "fate"),
    [(200, "delivered"), (204, "delivered"), (400, "rejected"), (404, "rejected")]
    + [(code, "retry") for code in (408, 425, 429, 500, 503)],
)
def test_the_code_says_whether_to_try_again(code: int, fate: str) -> None:
    """Only what can help is tried again."""
    (answer,) = Server(status(code)).run({}, [number(1)])
    assert answer.fate.value == fate
    if fate != "delivered":
        assert answer.detail == "why not"


def test_the_server_says_how_long_to_wait() -> None:
    """In seconds, or as a date."""
    (answer,) = Server(status(503, **{"Retry-After": "7"})).run({}, [number(1)])
    assert answer.after_s == 7
    date = "Fri, 31 Dec 2100 23:59:59 GMT"
    (answer,) = Server(status(503, **{"Retry-After": date})).run({}, [number(1)])
    assert answer.after_s is not None
    assert answer.after_s > 10**9


def test_a_server_that_stalls_is_left() -> None:
    """After the driver's own limit."""

    async def stall(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    (answer,) = Server(stall).run({"timeout_s": 0.2}, [number(1)])
    assert answer.fate is Fate.RETRY
    assert "no answer within 0.2 s" in answer.reason


def test_a_redirect_that_keeps_the_body_is_followed() -> None:
    """And one too many is not."""

    async def turn(request: web.Request) -> web.Response:
        if request.path == "/hook":
            return web.Response(status=307, headers={"Location": "/there"})
        return web.Response()

    server = Server(turn)
    (answer,) = server.run({}, [number(1)])
    assert answer.fate is Fate.DELIVERED
    assert [path for _, path, _, _ in server.asked] == ["/hook", "/there"]
    assert server.asked[1][3] == server.asked[0][3]
    (answer,) = Server(turn).run({"max_redirects": 0}, [number(1)])
    assert answer.fate is Fate.REJECTED


def test_a_redirect_that_would_lose_the_body_is_a_refusal() -> None:
    """It tells where it leads."""
    (answer,) = Server(status(302, Location="/login")).run({}, [number(1)])
    assert answer.fate is Fate.REJECTED
    assert "/login" in answer.reason


def test_events_of_one_key_are_never_on_their_way_together() -> None:
    """While other keys are; no more than wanted at a time."""
    now: list[str] = []
    most: list[int] = []

    async def watch(request: web.Request) -> web.Response:
        name = (await request.json())["name"]
        assert name not in now
        now.append(name)
        most.append(len(now))
        await asyncio.sleep(0.02)
        now.remove(name)
        return web.Response()

    batch: list[Event] = [number(turn, name=name) for turn in range(3) for name in "abcd"]
    answers = Server(watch).run({"concurrency": 3}, batch)
    assert {answer.fate for answer in answers} == {Fate.DELIVERED}
    assert max(most) == 3


def test_nobody_there_is_tried_again() -> None:
    """A refused connection is no refusal of the event."""
    answers, _ = asyncio.run(deliver("http", {"url": "http://127.0.0.1:9/"}, [number(1)]))
    assert answers[0][0].fate is Fate.RETRY


def test_a_certificate_is_checked_unless_told(tmp_path: Path) -> None:
    """Against the system's, or those of a file."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    fates = [
        Server().run(config, [number(1)], tls=tls)[0].fate
        for config in ({}, {"verify_tls": False}, {"ca_file": str(cert)})
    ]
    assert fates == [Fate.RETRY, Fate.DELIVERED, Fate.DELIVERED]


def test_the_earlier_instrument_s_settings_and_payloads_work() -> None:
    """`https_callback` with its own names of options."""
    server = Server()
    config = {
        "auth_token": "Bearer t",
        "auth_header": "X-Auth",
        "timeout_ms": 1500,
        "retry_count": 2,
        "verify_ssl": False,
        "headers": {"X-A": "1"},
    }
    server.run(config, [reading(400.5), alert(), clearing()], type="https_callback")
    bodies = {body["type"]: body for _, _, _, body in server.asked}
    assert bodies["display_update"] == {
        "type": "display_update",
        "concentration_ppm": 400.5,
        "source_node_id": "co2",
        "peak_amplitude": 0.5,
        "peak_frequency": 2100.0,
        "timestamp": 1_700_000_000,
        "metadata": {"polynomial": "a"},
    }
    assert bodies["alert"]["data"] == {"value": 9}
    assert bodies["clear_action"] == {"type": "clear_action", "timestamp": 1_700_000_000}
    assert server.asked[0][2]["X-Auth"] == "Bearer t"
    assert server.asked[0][2]["X-A"] == "1"


def test_another_try_of_the_instrument_s_payload_says_so() -> None:
    """`retry_attempt` from the second on."""
    server = Server(status(503))
    server.run({}, [reading(1)], [reading(1)], type="https_callback")
    assert [body.get("retry_attempt") for *_, body in server.asked] == [None, 2]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"url": "ftp://x"}, "must begin with http"),
        ({"url": "http://x", "verify_tsl": True}, "did you mean 'verify_tls'"),
        ({"url": "http://x", "username": "u"}, "given together"),
        ({"url": "http://x", "body": "{{ broken"}, "not a template"),
        ({"url": "http://x", "timeout_ms": "soon"}, "cannot be used"),
        ({"url": "http://x", "callback_url": "http://y"}, "the same as 'url'"),
    ],
)
def test_wrong_options_are_told(config: dict[str, Any], told: str) -> None:
    """With what is wrong and what to do."""
    with pytest.raises(SettingsError) as problem:
        create_driver("http", config)
    assert told in str(problem.value)
