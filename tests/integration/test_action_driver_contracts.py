"""The contract of drivers, kept by those that need a receiver over the network."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import nats
import paho.mqtt.client as paho
import pytest
from confluent_kafka import Consumer, TopicPartition
from test_action_messengers import MQTT_HOST, MQTT_PORT, NATS, need_port

from action_events import reading
from servers.kafka_mock import MockCluster
from servers.private import free_port
from test_rig.actions import Driver, create_driver
from test_rig.testing import DriverContract as Contract

PATIENCE_S = 30


class TestHttp(Contract):
    """One request for each event."""

    config: dict[str, Any] = {}  # noqa: RUF012 -- pytest's classes have no other place

    @pytest.fixture(autouse=True)
    def serve(self) -> Iterator[None]:
        """A server for each test, which notes the ids of what it gets."""
        got = self.got = []

        class Note(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                got.extend(each["id"] for each in (body if isinstance(body, list) else [body]))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Note) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield
            server.shutdown()
            thread.join()

    def make(self) -> Driver:
        """Return the driver."""
        return create_driver("http", {"url": f"http://127.0.0.1:{self.port}/", **self.config})

    def received(self) -> list[str]:
        """Return what the server noted."""
        return list(self.got)

    def unreachable(self) -> Driver:
        """No server."""
        return create_driver("http", {"url": f"http://127.0.0.1:{free_port()}/", **self.config})


class TestHttpBatches(TestHttp):
    """One request for a batch."""

    config = {"batch": True}  # noqa: RUF012 -- as above


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    """A cluster for all tests here."""
    with MockCluster() as found:
        yield found


class TestKafka(Contract):
    """Messages of a topic."""

    @pytest.fixture(autouse=True)
    def use(self, cluster: MockCluster) -> None:
        """A topic for each test."""
        self.brokers, self.topic = cluster.brokers, f"t-{uuid.uuid4().hex}"
        cluster.topic(self.topic)

    def make(self) -> Driver:
        """Return the driver."""
        topics = {"topic": self.topic, "alert_topic": self.topic}
        return create_driver("kafka", {"brokers": self.brokers, **topics})

    def received(self) -> list[str]:
        """Return the ids of the topic's messages."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": self.topic})
        place = TopicPartition(self.topic, 0, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=PATIENCE_S)
        consumer.assign([place])
        found = consumer.consume(end, timeout=PATIENCE_S)
        consumer.close()
        return [json.loads(message.value())["id"] for message in found]

    def unreachable(self) -> Driver:
        """No broker."""
        return create_driver("kafka", {"brokers": f"127.0.0.1:{free_port()}", "timeout_s": 0.5})


class Heard(Contract):
    """What is the same for drivers whose messages a listener hears."""

    #: What the listener got, and what waits until it has got all.
    got: list[dict[str, Any]]
    drain: Callable[[], object]

    def received(self) -> list[str]:
        """Return what was heard, to the end."""
        self.drain()
        return [each["id"] for each in self.got]

    def test_the_instrument_s_payload_comes_where_it_is_wanted(self) -> None:
        """As its receivers have it."""
        self._sent(self.make(payload="instrument"), [reading(400)])
        self.drain()
        assert self.got[0]["type"] == "display_update"


class TestNats(Heard):
    """Messages that a listener hears."""

    @pytest.fixture(autouse=True)
    def listen(self) -> Iterator[None]:
        """A subject for each test, and who listens to it, on a thread of its own."""
        need_port("127.0.0.1", int(NATS.rpartition(":")[2]))
        self.root, self.got = f"rig-{uuid.uuid4().hex}", []

        async def hear(message: Any) -> None:
            self.got.append(json.loads(message.data))

        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()

            def run(make: Callable[[], Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(make(), loop).result(PATIENCE_S)

            self.client = run(lambda: nats.connect(NATS))
            run(lambda: self.client.subscribe(f"{self.root}.>", cb=hear))
            run(self.client.flush)
            self.drain = lambda: run(self.client.drain)
            yield
            run(self.client.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def make(self, **options: str) -> Driver:
        """Return the driver."""
        place = {"servers": NATS, "subject": f"{self.root}.{{{{ type }}}}"}
        return create_driver("nats", {**place, **options})

    def unreachable(self) -> Driver:
        """No server."""
        return create_driver("nats", {"servers": f"nats://127.0.0.1:{free_port()}"})


class TestMqtt(Heard):
    """Messages that a listener hears."""

    @pytest.fixture(autouse=True)
    def listen(self) -> Iterator[None]:
        """A topic for each test, and who listens to it, on a thread of its own."""
        need_port(MQTT_HOST, int(MQTT_PORT))
        self.topic, self.got = f"rig-{uuid.uuid4().hex}", []
        self.is_there, self.is_over = threading.Event(), threading.Event()
        client = self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)

        def hear(client: Any, data: Any, message: paho.MQTTMessage) -> None:
            if message.payload == b"over":
                self.is_over.set()
            else:
                self.got.append(json.loads(message.payload))

        client.on_message = hear
        client.on_subscribe = lambda *_: self.is_there.set()
        client.connect(MQTT_HOST, int(MQTT_PORT))
        client.subscribe(self.topic, qos=1)
        client.loop_start()
        assert self.is_there.wait(PATIENCE_S)
        yield
        client.disconnect()
        client.loop_stop()

    def make(self, **options: str) -> Driver:
        """Return the driver."""
        place = {"host": MQTT_HOST, "port": int(MQTT_PORT), "topic": self.topic}
        return create_driver("mqtt", {**place, **options})

    def drain(self) -> None:
        """Wait until all that was published has come."""
        self.client.publish(self.topic, b"over", qos=1)
        assert self.is_over.wait(PATIENCE_S)

    def unreachable(self) -> Driver:
        """No broker."""
        return create_driver("mqtt", {"host": "127.0.0.1", "port": free_port(), "timeout_s": 0.5})
