"""The driver `redis` against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from action_events import alert, clearing, deliver, delivered, number, reading
from servers.private import free_port
from test_rig.actions import Driver, Fate, create_driver
from test_rig.errors import SettingsError
from test_rig.testing import DriverContract as Contract

URL = os.environ.get("TEST_RIG_REDIS_URL", "redis://127.0.0.1:6379/0")


@pytest.fixture
def client() -> Iterator[Any]:
    """A connection for looking; skipped where no server is."""
    found = redis.Redis.from_url(URL, decode_responses=True)
    try:
        found.ping()
    except redis.exceptions.ConnectionError as error:
        if os.environ.get("TEST_RIG_REQUIRE_SERVERS"):
            pytest.fail(f"no Redis: {error}", pytrace=False)
        pytest.skip(f"no Redis: {error}")
    with found:
        yield found


@pytest.fixture
def place(client: Any) -> Iterator[str]:
    """A prefix of the test's own, whose keys are gone afterwards."""
    prefix = f"test-rig-{uuid.uuid4().hex}"
    yield prefix
    for key in client.scan_iter(f"{prefix}*"):
        client.delete(key)


def test_keys_hold_each_event_and_the_latest(client: Any, place: str) -> None:
    """Of measurements and of alerts."""
    delivered("redis", {"url": URL, "prefix": place}, [number(1), number(2), alert()])
    assert json.loads(client.get(f"{place}:latest:node/latency"))["value"] == 2
    assert json.loads(client.get(f"{place}:display:node/latency:latency-1"))["value"] == 1
    assert json.loads(client.get(f"{place}:latest_alert"))["id"] == "a1"
    assert client.ttl(f"{place}:latest_alert") == -1


def test_keys_expire_where_wanted(client: Any, place: str) -> None:
    """Every one of them."""
    delivered("redis", {"url": URL, "prefix": place, "expire_s": 500}, [number(1), alert()])
    keys = list(client.scan_iter(f"{place}*"))
    assert len(keys) == 4
    assert all(0 < client.ttl(key) <= 500 for key in keys)


def test_publishing_reaches_who_listens(client: Any, place: str) -> None:
    """Alerts on a channel of their own."""
    with client.pubsub() as listener:
        listener.subscribe(place, f"{place}:alert")
        for _ in range(2):
            assert listener.get_message(timeout=30)["type"] == "subscribe"
        delivered("redis", {"url": URL, "mode": "pubsub", "prefix": place}, [number(1), alert()])
        heard = [listener.get_message(timeout=30) for _ in range(2)]
    assert [each["channel"] for each in heard] == [place, f"{place}:alert"]
    assert json.loads(heard[0]["data"])["value"] == 1


def test_a_stream_gets_an_entry_for_each_event(client: Any, place: str) -> None:
    """With its id, and no more entries than wanted, about."""
    options = {"url": URL, "mode": "stream", "prefix": place, "max_length": 100}
    delivered("redis", options, [number(value) for value in range(400)])
    entries = client.xrange(place)
    assert entries[-1][1]["id"] == "latency-399"
    assert json.loads(entries[-1][1]["event"])["value"] == 399
    assert 100 <= len(entries) < 400


def test_what_is_delivered_twice_is_there_once_where_wanted(client: Any, place: str) -> None:
    """The server knows the ids."""
    options = {"url": URL, "mode": "stream", "prefix": place, "dedup_s": 60}
    answers = delivered("redis", options, [number(1), number(2)], [number(2), number(3)])
    assert {answer.fate for answer in answers} == {Fate.DELIVERED}
    ids = [fields["id"] for _, fields in client.xrange(place)]
    assert ids == ["latency-1", "latency-2", "latency-3"]


def test_the_instrument_s_keys_are_as_people_have_them(client: Any, place: str) -> None:
    """With the names of its settings."""
    config = {"connection_string": URL, "channel_or_prefix": place, "expiration_seconds": 60}
    delivered("redis", config, [reading(400), alert(), clearing()])
    stored = json.loads(client.get(f"{place}:display:co2:1700000000"))
    assert (stored["type"], stored["concentration_ppm"]) == ("display_update", 400)
    assert json.loads(client.get(f"{place}:latest:co2")) == stored
    assert json.loads(client.get(f"{place}:alert:1700000000"))["alert_type"] == "too_slow"
    assert client.exists(f"{place}:latest_alert") == 1
    assert json.loads(client.get(f"{place}:latest"))["type"] == "clear_action"


def test_the_instrument_s_mode_is_understood(client: Any, place: str) -> None:
    """`pub_sub`, with `channel`."""
    config = {"connection_string": URL, "mode": "pub_sub", "channel": place, "max_retries": 2}
    _, status = asyncio.run(deliver("redis", config, [reading(1)]))
    assert (status["mode"], status["prefix"], status["is_connected"]) == ("pubsub", place, True)


def test_a_key_of_another_type_refuses_its_event_alone(client: Any, place: str) -> None:
    """The others of the batch arrive."""
    client.set(f"{place}", "no stream")
    answers = delivered("redis", {"url": URL, "mode": "stream", "prefix": place}, [number(1)])
    assert answers[0].fate is Fate.REJECTED
    assert "WRONGTYPE" in answers[0].reason


def test_no_server_does_not_start() -> None:
    """The pipe tries again."""
    driver = create_driver("redis", {"url": "redis://127.0.0.1:9/0", "connect_timeout_s": 1})
    with pytest.raises(redis.exceptions.ConnectionError):
        asyncio.run(driver.start())


def test_connecting_takes_as_long_as_is_said() -> None:
    """Where a server lets everybody wait."""

    def took_s(limit_s: float, port: int) -> float:
        url = f"redis://127.0.0.1:{port}/0"
        driver = create_driver("redis", {"url": url, "connect_timeout_s": limit_s})
        begun = time.monotonic()
        with pytest.raises(redis.exceptions.TimeoutError):
            asyncio.run(driver.start())
        return time.monotonic() - begun

    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):  # more than may wait: whoever comes next gets no answer
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(server.getsockname())
        port = server.getsockname()[1]
        short_s, long_s = took_s(0.1, port), took_s(2.0, port)
    assert long_s >= 1.9
    assert short_s < long_s - 1


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "redis.url: is required"),
        ({"url": "http://x"}, "must begin with redis://"),
        ({"url": URL, "mode": "list"}, "must be one of"),
        ({"url": URL, "mode": "stream", "expire_s": 5}, "expire_s needs"),
        ({"url": URL, "max_length": 5}, "max_length needs"),
        ({"url": URL, "dedup_s": 5}, "dedup_s is for"),
        ({"url": URL, "prefx": "x"}, "did you mean 'prefix'"),
    ],
)
def test_wrong_options_are_told(config: dict[str, Any], told: str) -> None:
    """With what is wrong and what to do."""
    with pytest.raises(SettingsError) as problem:
        create_driver("redis", config)
    assert told in str(problem.value)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[int]:
    """A server of the test's own that wants a password; its port."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    port = free_port()
    options = ["--bind", "127.0.0.1", "--save", "", "--requirepass", "right-one"]
    command = [program, "--port", str(port), "--dir", str(tmp_path), *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.kill()


def wait_for_port(port: int) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)
        else:
            return


def test_the_password_opens_the_server_and_is_never_told(guarded: int) -> None:
    """Beside the URL; a wrong one is refused without being quoted."""
    config = {"url": f"redis://127.0.0.1:{guarded}/0", "password": "right-one"}
    assert delivered("redis", config, [number(1)])[0].fate is Fate.DELIVERED
    driver = create_driver("redis", {**config, "password": "hunter2hunter2"})
    with pytest.raises(redis.exceptions.RedisError) as refused:
        asyncio.run(driver.start())
    assert "hunter2hunter2" not in str(refused.value)


class TestStream(Contract):
    """The contract of drivers, with a stream as receiver."""

    @pytest.fixture(autouse=True)
    def use(self, client: Any, place: str) -> None:
        """A stream for each test."""
        self.client, self.place = client, place

    def make(self) -> Driver:
        """Return the driver."""
        return create_driver("redis", {"url": URL, "mode": "stream", "prefix": self.place})

    def received(self) -> list[str]:
        """Return the ids of the stream's events."""
        return [fields["id"] for _, fields in self.client.xrange(self.place)]

    def unreachable(self) -> Driver:
        """No server."""
        return create_driver("redis", {"url": f"redis://127.0.0.1:{free_port()}/0"})
