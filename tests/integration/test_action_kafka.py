"""The driver `kafka` against librdkafka's mock cluster, with faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from action_events import alert, clearing, delivered, number, reading
from servers.kafka_mock import MockCluster
from servers.private import free_port
from test_rig.actions import Actions, Delivery, Fate, create_driver, read_plan
from test_rig.errors import SettingsError

#: Errors of the protocol.
NOT_LEADER, NOT_ENOUGH_REPLICAS, TOPIC_AUTHORIZATION = 6, 19, 29
TOO_LARGE = 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockCluster]:
    """A cluster that stays well."""
    with MockCluster() as found:
        yield found


def read(brokers: str, topic: str, count: int) -> list[tuple[str, dict[str, str], Any]]:
    """Return (key, headers, value) of the first messages of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
        }
    )
    found: list[tuple[str, dict[str, str], Any]] = []
    try:
        consumer.subscribe([topic])
        end = time.monotonic() + 30
        while len(found) < count and time.monotonic() < end:
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            headers = {name: value.decode() for name, value in message.headers() or []}
            key = (message.key() or b"").decode()
            found.append((key, headers, json.loads(message.value())))
    finally:
        consumer.close()
    return found


def test_each_event_is_a_message_with_its_id(cluster: MockCluster) -> None:
    """Keyed by its series; alerts go to a topic of their own."""
    config = {"brokers": cluster.brokers, "topic": "t1", "alert_topic": "a1"}
    answers = delivered("kafka", config, [number(1), number(2), alert()])
    assert {answer.fate for answer in answers} == {Fate.DELIVERED}
    first, second = read(cluster.brokers, "t1", 2)
    assert (first[0], first[2]["value"], second[2]["value"]) == ("node/latency", 1, 2)
    assert first[1] == {"id": "latency-1", "type": "measurement"}
    ((key, headers, value),) = read(cluster.brokers, "a1", 1)
    assert (key, headers["type"], value["message"]) == ("node/!too_slow", "alert", "it is slow")


def test_topic_key_and_headers_may_be_templates(cluster: MockCluster) -> None:
    """They see the event's fields."""
    config = {
        "brokers": cluster.brokers,
        "topic": "t2-{{ name }}",
        "key": "{{ source_node_id }}",
        "headers": {"unit": "{{ unit or 'none' }}"},
    }
    delivered("kafka", config, [number(1)])
    ((key, headers, _),) = read(cluster.brokers, "t2-latency", 1)
    assert (key, headers["unit"]) == ("node", "none")


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("acks", ["all", 1, 0])
def test_every_compression_and_acknowledgement_is_delivered(
    cluster: MockCluster, compression: str, acks: object
) -> None:
    """And reaches the producer's settings."""
    topic = f"t3-{compression}-{acks}"
    config = {
        "brokers": [cluster.brokers],
        "compression": compression,
        "acks": acks,
        "topic": topic,
        "client_id": "mine",
        "linger_s": 0.001,
    }
    driver: Any = create_driver("kafka", config)
    made = driver._options.producer()
    assert (made["compression.type"], made["acks"]) == (compression, str(acks))
    assert (made["client.id"], made["linger.ms"]) == ("mine", 1)
    assert made["enable.idempotence"] == (acks == "all")
    answers = delivered("kafka", config, [number(1)])
    assert answers[0].fate is Fate.DELIVERED


def test_further_settings_reach_the_producer(cluster: MockCluster) -> None:
    """And a wrong one does not start."""
    config = {"brokers": cluster.brokers, "settings": {"client.id": "other"}, "idempotence": False}
    made = create_driver("kafka", config)._options.producer()  # type: ignore[attr-defined]
    assert (made["client.id"], made["enable.idempotence"]) == ("other", False)
    with pytest.raises(Exception, match="No such configuration property"):
        delivered("kafka", {"brokers": cluster.brokers, "settings": {"no.such": 1}}, [number(1)])


def test_errors_that_pass_are_survived() -> None:
    """The producer tries again by itself."""
    with MockCluster() as own:
        own.topic("t")
        own.fail(NOT_LEADER, NOT_ENOUGH_REPLICAS)
        answers = delivered("kafka", {"brokers": own.brokers, "topic": "t"}, [number(1)])
        assert answers[0].fate is Fate.DELIVERED
        assert len(read(own.brokers, "t", 1)) == 1


@pytest.mark.parametrize("error", [TOPIC_AUTHORIZATION, TOO_LARGE])
def test_a_refusal_is_final(error: int) -> None:
    """Trying again could not help."""
    with MockCluster() as own:
        own.topic("t")
        own.fail(error)
        config = {"brokers": own.brokers, "topic": "t", "idempotence": False}
        (answer,) = delivered("kafka", config, [number(1)])
        assert answer.fate is Fate.REJECTED


def test_a_broker_that_goes_and_comes_back_gets_everything(tmp_path: Path) -> None:
    """Through the pipe: what was given up meanwhile is tried again, in order."""
    with MockCluster() as own:
        own.topic("t")
        driver = {
            "type": "kafka",
            "brokers": own.brokers,
            "topic": "t",
            "timeout_s": 1.0,
            "settings": {"reconnect.backoff.max.ms": 200},
            "pipe": {"retry_max_s": 0.2, "breaker_recovery_s": 0.2, "max_attempts": 0},
        }
        with Actions(read_plan(tmp_path, drivers={"k": driver})).running() as actions:
            actions.submit([number(1)])
            until_delivered(actions, 1)
            own.down()
            actions.submit([number(value) for value in range(2, 6)])
            end = time.monotonic() + 30
            while not actions.snapshot()["drivers"]["k"]["retried"]:
                assert time.monotonic() < end
                time.sleep(0.02)
            own.up()
            until_delivered(actions, 5)
        values = [value["value"] for _, _, value in read(own.brokers, "t", 5)]
    assert sorted(set(values)) == [1, 2, 3, 4, 5]


def test_no_broker_is_told_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Not for each try to connect."""
    config = {"brokers": f"127.0.0.1:{free_port()}", "timeout_s": 0.5}
    with pytest.raises(ConnectionError, match="Connection refused"):
        asyncio.run(create_driver("kafka", config).start())
    assert not [each for each in caplog.records if each.levelname != "DEBUG"]


def test_the_producer_gives_up_after_its_time() -> None:
    """Then the pipe has its turn; by default it would have tried for 20 s."""
    with MockCluster() as own:
        own.topic("t")
        config = {"brokers": own.brokers, "topic": "t", "timeout_s": 2.0}
        driver = create_driver("kafka", config)

        async def play() -> tuple[Delivery, float]:
            await driver.start()
            own.down()
            begun = time.monotonic()
            (answer,) = await driver.send([number(1)])
            took_s = time.monotonic() - begun
            with contextlib.suppress(Exception):
                await driver.stop(timeout_s=1.0)
            return answer, took_s

        answer, took_s = asyncio.run(play())
    assert answer.fate is Fate.RETRY
    assert 1.9 <= took_s < 18


def until_delivered(actions: Actions, count: int) -> None:
    """Wait until so many events were delivered."""
    end = time.monotonic() + 60
    while actions.snapshot()["drivers"]["k"]["delivered"] < count:
        assert time.monotonic() < end, actions.snapshot()
        time.sleep(0.02)


def test_the_instrument_s_settings_topics_and_keys_work(cluster: MockCluster) -> None:
    """With `producer_configs` taking effect."""
    config = {
        "bootstrap_servers": cluster.brokers,
        "producer_configs": {"compression.type": "gzip"},
    }
    driver: Any = create_driver("kafka", config)
    assert driver._options.producer()["compression.type"] == "gzip"
    delivered("kafka", config, [reading(400), alert(), clearing()])
    shown = read(cluster.brokers, "photoacoustic.display", 2)
    assert {key: value["type"] for key, _, value in shown} == {
        "co2": "display_update",
        "clear": "clear_action",
    }
    ((key, _, value),) = read(cluster.brokers, "photoacoustic.alerts", 1)
    assert (key, value["timestamp"]) == ("too_slow", 1_700_000_000)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, "brokers: is required"),
        ({"brokers": "x", "compresion": "lz4"}, "did you mean 'compression'"),
        ({"brokers": "x", "compression": "rar"}, "kafka.compression"),
        ({"brokers": "x", "acks": 2}, "kafka.acks"),
        ({"brokers": "x", "topic": "{{"}, "not a template"),
        ({"brokers": "x", "timeout_s": 0}, "kafka.timeout_s"),
    ],
)
def test_wrong_options_are_told(config: dict[str, Any], told: str) -> None:
    """With what is wrong and what to do."""
    with pytest.raises(SettingsError) as problem:
        create_driver("kafka", config)
    assert told in str(problem.value)
