"""The drivers `nats`, `mqtt`, `apprise`, `prometheus` and `otlp` against real receivers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiomqtt
import nats
import pytest
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from action_events import NOW_NS, alert, deliver, delivered, number
from servers.held_mqtt import HeldBroker
from servers.private import free_port
from test_rig.actions import Delivery, Event, Fate, create_driver
from test_rig.errors import SettingsError, UsageError

NATS = os.environ.get("TEST_RIG_NATS_URL", "nats://127.0.0.1:4222")
MQTT_HOST, MQTT_PORT = os.environ.get("TEST_RIG_MQTT", "127.0.0.1:1883").split(":")


def need_port(host: str, port: int) -> None:
    """Skip where nobody listens, or fail where somebody must."""
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError as error:
        if os.environ.get("TEST_RIG_REQUIRE_SERVERS"):
            pytest.fail(f"nobody at {host}:{port}: {error}", pytrace=False)
        pytest.skip(f"nobody at {host}:{port}: {error}")


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


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[str]:
    """A NATS server of the test's own, with JetStream and a token."""
    program = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no nats-server on this machine")
    port = free_port()
    command = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path)]
    with subprocess.Popen([*command, "--auth", "t0ken"], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.kill()


def test_nats_gets_each_event_with_its_id() -> None:
    """On a subject that may be a template."""
    need_port("127.0.0.1", int(NATS.rpartition(":")[2]))
    root = f"rig-{uuid.uuid4().hex}"

    async def play() -> list[Any]:
        listener = await nats.connect(NATS)
        heard = await listener.subscribe(f"{root}.>")
        await listener.flush()
        config = {"servers": NATS, "subject": f"{root}.{{{{ type }}}}"}
        _, status = await deliver("nats", config, [number(1), alert()])
        assert status["is_connected"] is True
        found = [await heard.next_msg(timeout=30) for _ in range(2)]
        await listener.close()
        return found

    first, second = asyncio.run(play())
    assert (first.subject, second.subject) == (f"{root}.measurement", f"{root}.alert")
    assert json.loads(first.data)["value"] == 1
    assert first.headers["Nats-Msg-Id"] == "latency-1"


def test_a_stream_keeps_each_event_once(own_nats: str) -> None:
    """What is delivered again is dropped there; a subject without a stream is tried again."""

    async def play() -> tuple[int, Delivery]:
        client = await nats.connect(own_nats, token="t0ken")
        stream = client.jetstream()
        await stream.add_stream(name="rig", subjects=["kept.>"])
        config = {"servers": [own_nats], "token": "t0ken", "jetstream": True, "timeout_s": 2.0}
        batch: list[Event] = [number(1), number(2)]
        await deliver("nats", {**config, "subject": "kept.a"}, batch, [number(2)])
        count = (await stream.stream_info("rig")).state.messages
        lost, _ = await deliver("nats", {**config, "subject": "nowhere"}, [number(3)])
        await client.close()
        return count, lost[0][0]

    count, lost = asyncio.run(play())
    assert count == 2
    assert lost.fate is Fate.RETRY


@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_messages_wait_for_their_acknowledgement(concurrency: int) -> None:
    """And no more: here the acknowledgements come when no further message does."""
    host, port = NATS.removeprefix("nats://").split(":")
    need_port(host, int(port))
    subject = f"rig.{uuid.uuid4().hex}"
    config = {"servers": NATS, "subject": subject, "jetstream": True, "concurrency": concurrency}

    async def play() -> list[int]:
        client = await nats.connect(NATS)
        waiting: asyncio.Queue[Any] = asyncio.Queue()
        await client.subscribe(subject, cb=waiting.put)
        await client.flush()
        batch: list[Event] = [number(each, name=f"n{each}") for each in range(6)]
        sending = asyncio.create_task(deliver("nats", config, batch))
        sizes = []
        for _ in range(6 // concurrency):
            together = [await waiting.get() for _ in range(concurrency)]
            await asyncio.sleep(0.2)
            sizes.append(len(together) + waiting.qsize())
            for message in together:
                await message.respond(b'{"stream": "rig", "seq": 1}')
        answers, _ = await sending
        assert {answer.fate for answer in answers[0]} == {Fate.DELIVERED}
        await client.close()
        return sizes

    assert set(asyncio.run(play())) == {concurrency}


def test_a_wrong_token_does_not_start(own_nats: str) -> None:
    """And is not told."""
    driver = create_driver("nats", {"servers": own_nats, "token": "hunter2hunter2"})
    with pytest.raises(Exception, match=r"(?i)authorization") as refused:
        asyncio.run(driver.start())
    assert "hunter2hunter2" not in str(refused.value)


def test_nats_shows_who_it_is(tmp_path: Path) -> None:
    """By user and password; more at a time than one acknowledgement."""
    program = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no nats-server on this machine")
    port = free_port()
    command = [program, "-a", "127.0.0.1", "-p", str(port), "--user", "me", "--pass", "right-one"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(port)
            config = {"servers": f"nats://127.0.0.1:{port}", "username": "me"}
            right = delivered("nats", {**config, "password": "right-one"}, [number(1)])
            assert right[0].fate is Fate.DELIVERED
            with pytest.raises(Exception, match=r"(?i)authorization"):
                delivered("nats", {**config, "password": "wrong"}, [number(1)])
        finally:
            process.kill()


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_mqtt_gets_each_event(qos: int) -> None:
    """At each quality of service; kept for who comes later where wanted."""
    need_port(MQTT_HOST, int(MQTT_PORT))
    root = f"rig-{uuid.uuid4().hex}"
    config = {
        "host": MQTT_HOST,
        "port": int(MQTT_PORT),
        "topic": f"{root}/{{{{ type }}}}",
        "qos": qos,
        "retain": True,
    }

    async def play() -> dict[str, Any]:
        answers, _ = await deliver("mqtt", config, [number(1), alert()])
        assert {answer.fate for answer in answers[0]} == {Fate.DELIVERED}
        found = {}
        async with aiomqtt.Client(MQTT_HOST, int(MQTT_PORT)) as listener:
            await listener.subscribe(f"{root}/#", qos=2)
            async with asyncio.timeout(30):
                async for message in listener.messages:
                    assert message.qos == qos
                    found[str(message.topic)] = json.loads(message.payload)
                    await listener.publish(str(message.topic), b"", retain=True, qos=1)
                    if len(found) == 2:
                        break
        return found

    found = asyncio.run(play())
    assert found[f"{root}/measurement"]["value"] == 1
    assert found[f"{root}/alert"]["alert_type"] == "too_slow"


@pytest.mark.parametrize("concurrency", [1, 3, 30])
def test_so_many_messages_wait_for_the_broker(concurrency: int) -> None:
    """And no more; also when they are more than the library's own 20."""
    need_port(MQTT_HOST, int(MQTT_PORT))

    async def play() -> list[int]:
        async with HeldBroker(MQTT_HOST, int(MQTT_PORT)) as broker:
            config = {"host": "127.0.0.1", "port": broker.port, "concurrency": concurrency}
            batch: list[Event] = [number(n, name=f"n{n}") for n in range(2 * concurrency)]
            topic = f"rig-{uuid.uuid4().hex}"
            sending = asyncio.create_task(deliver("mqtt", {**config, "topic": topic}, batch))
            seen = []
            for turn in (1, 2):
                async with asyncio.timeout(30):
                    await broker.seen(turn * concurrency)
                await asyncio.sleep(0.1)
                seen.append(broker.published)
                await broker.let_by(concurrency)
            answers, _ = await sending
            assert {answer.fate for answer in answers[0]} == {Fate.DELIVERED}
            return seen

    assert asyncio.run(play()) == [concurrency, 2 * concurrency]


def test_mqtt_without_a_broker_is_tried_again() -> None:
    """A connection that cannot be made is no refusal of the event."""
    config = {"host": "127.0.0.1", "port": free_port(), "timeout_s": 1}

    async def play() -> Delivery:
        driver = create_driver("mqtt", config)
        (answer,) = await driver.send([number(1)])
        await driver.stop(timeout_s=5)
        return answer

    assert asyncio.run(play()).fate is Fate.RETRY


@pytest.fixture
def guarded_mqtt(tmp_path: Path) -> Iterator[tuple[int, Path, Path]]:
    """A broker of the test's own with TLS and a password: its port, certificate and log."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None or shutil.which("mosquitto_passwd") is None:
        pytest.skip("no mosquitto on this machine")
    tmp_path.chmod(0o755)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    users = tmp_path / "users"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(users), "me", "right-one"],
        check=True,
        capture_output=True,
    )
    port, log = free_port(), tmp_path / "log"
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\ncertfile {cert}\nkeyfile {key}\nallow_anonymous false\n"
        f"password_file {users}\nuser root\nlog_dest stderr\n"
    )
    with log.open("wb") as out, subprocess.Popen([program, "-c", str(settings)], stderr=out) as run:
        try:
            wait_for_port(port)
            yield port, cert, log
        finally:
            run.kill()


def test_mqtt_shows_who_it_is_over_tls(guarded_mqtt: tuple[int, Path, Path]) -> None:
    """By user, password and name, to a broker whose certificate only `ca_file` trusts."""
    port, cert, log = guarded_mqtt
    config = {
        "host": "127.0.0.1",
        "port": port,
        "username": "me",
        "password": "right-one",
        "client_id": "rig-7",
        "tls": True,
        "ca_file": str(cert),
    }
    assert delivered("mqtt", config, [number(1)])[0].fate is Fate.DELIVERED
    assert "as rig-7" in log.read_text()

    async def play() -> Delivery:
        driver = create_driver("mqtt", {**config, "password": "hunter2hunter2"})
        (answer,) = await driver.send([number(1)])
        await driver.stop(timeout_s=5)
        return answer

    answer = asyncio.run(play())
    assert answer.fate is Fate.RETRY
    assert "hunter2" not in answer.reason


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def served(
    handler: Handler, config: Callable[[int], Mapping[str, Any]], type: str, *batch: Event
) -> list[Delivery]:
    """Return a driver's answers while an HTTP server of the test's serves."""

    async def play() -> list[Delivery]:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            answers, _ = await deliver(type, config(runner.addresses[0][1]), list(batch))
        finally:
            await runner.cleanup()
        return answers[0]

    return asyncio.run(play())


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_tells_people_in_the_words_of_the_templates() -> None:
    """By whatever service; here a webhook of Apprise's own JSON."""
    asked: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.Response()

    def config(port: int) -> dict[str, Any]:
        return {"urls": f"json://127.0.0.1:{port}/x", "body": "{{ message }}!", "title": "T"}

    (answer,) = served(take, config, "apprise", alert(severity="critical"))
    assert answer.fate is Fate.DELIVERED
    assert (asked[0]["title"], asked[0]["message"]) == ("T", "it is slow!")
    assert asked[0]["type"] == "failure"


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_that_fails_is_tried_again() -> None:
    """And a service that it does not know does not start."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=500)

    answers = served(
        refuse, lambda port: {"urls": [f"json://127.0.0.1:{port}/"]}, "apprise", alert()
    )
    assert answers[0].fate is Fate.RETRY
    with pytest.raises(UsageError, match="no service"):
        asyncio.run(create_driver("apprise", {"urls": "nosuch://x"}).start())


def test_prometheus_fetches_the_newest_value_of_each_series() -> None:
    """With an alert as 1 while it fires."""

    async def play() -> str:
        driver: Any = create_driver("prometheus", {"listen": "127.0.0.1:0", "prefix": "p_"})
        await driver.start()
        await driver.send([number(1), number(2), alert()])
        port = (await driver.status())["port"]

        def fetch() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                return str(answer.read().decode())

        text = await asyncio.to_thread(fetch)
        await driver.stop(timeout_s=10)
        return text

    text = asyncio.run(play())
    assert 'p_latency{source="node"} 2.0' in text
    assert 'p_alert{alert_type="too_slow",source="node"} 1.0' in text


def test_prometheus_pushes_where_wanted() -> None:
    """To the job's place; a gateway that fails is tried again, one that refuses is not."""
    asked: list[tuple[str, str]] = []
    codes = [200, 503, 400]

    async def take(request: web.Request) -> web.Response:
        asked.append((request.path, await request.text()))
        return web.Response(status=codes[len(asked) - 1])

    def config(port: int) -> dict[str, Any]:
        return {"push_url": f"http://127.0.0.1:{port}", "job": "nightly", "timeout_s": 20}

    fates = [served(take, config, "prometheus", number(3))[0].fate for _ in codes]
    assert fates == [Fate.DELIVERED, Fate.RETRY, Fate.REJECTED]
    assert asked[0][0] == "/metrics/job/nightly"
    assert 'test_rig_latency{source="node"} 3.0' in asked[0][1]


def test_prometheus_refuses_more_series_than_wanted() -> None:
    """A new one; those that are known go on."""
    config = {"listen": "127.0.0.1:0", "max_series": 1}
    answers = delivered("prometheus", config, [number(1), number(1, name="other"), number(2)])
    assert [answer.fate.value for answer in answers] == ["delivered", "rejected", "delivered"]


def test_otlp_gets_metrics_and_logs_with_their_times() -> None:
    """As protobuf, with resource, attributes and severity."""
    asked: dict[str, tuple[str, bytes]] = {}

    async def take(request: web.Request) -> web.Response:
        asked[request.path] = (request.headers.get("X-Key", ""), await request.read())
        return web.Response()

    def config(port: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}/"
        return {"endpoint": url, "headers": {"X-Key": "k"}, "service_name": "mine", "timeout_s": 20}

    answers = served(take, config, "otlp", number(1), number(2), alert(severity="critical"))
    assert {answer.fate for answer in answers} == {Fate.DELIVERED}
    metrics = ExportMetricsServiceRequest.FromString(asked["/v1/metrics"][1])
    assert asked["/v1/metrics"][0] == "k"
    (resource,) = metrics.resource_metrics
    assert resource.resource.attributes[0].value.string_value == "mine"
    (metric,) = resource.scope_metrics[0].metrics
    points = metric.gauge.data_points
    assert [point.as_double for point in points] == [1, 2]
    assert points[0].time_unix_nano == NOW_NS
    logs = ExportLogsServiceRequest.FromString(asked["/v1/logs"][1])
    (record,) = logs.resource_logs[0].scope_logs[0].log_records
    assert (record.body.string_value, record.severity_number) == ("it is slow", 21)


@pytest.mark.parametrize(("code", "fate"), [(503, Fate.RETRY), (400, Fate.REJECTED)])
def test_otlp_says_whether_to_try_again(code: int, fate: Fate) -> None:
    """By the codes of its specification."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=code, headers={"Retry-After": "3"})

    (answer,) = served(
        refuse, lambda port: {"endpoint": f"http://127.0.0.1:{port}"}, "otlp", number(1)
    )
    assert answer.fate is fate
    assert answer.after_s == (3 if fate is Fate.RETRY else None)


@pytest.mark.parametrize(
    ("type", "config", "told"),
    [
        ("nats", {}, "servers: is required"),
        ("nats", {"servers": "x", "username": "u"}, "given together"),
        ("nats", {"servers": "x", "jetsream": True}, "did you mean 'jetstream'"),
        ("mqtt", {"host": "x", "qos": 3}, "mqtt.qos"),
        ("mqtt", {"host": "x", "password": "p"}, "needs a username"),
        ("mqtt", {"host": "x", "ca_file": "p"}, "ca_file needs tls"),
        ("apprise", {"urls": []}, "apprise.urls"),
        ("prometheus", {}, "needs listen or push_url"),
        ("prometheus", {"listen": "0.0.0.0:1"}, "loopback"),
        ("otlp", {"endpoint": "grpc://x"}, "must begin with http"),
    ],
)
def test_wrong_options_are_told(type: str, config: dict[str, Any], told: str) -> None:
    """With what is wrong and what to do."""
    with pytest.raises(SettingsError) as problem:
        create_driver(type, config)
    assert told in str(problem.value)
