"""librdkafka's mock cluster: real brokers' protocol in this process, with faults on demand.

It is driven through the very library that confluent-kafka has loaded. `error` codes are those of
the Kafka protocol; requests are named by their protocol keys (0: Produce).
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import confluent_kafka

__all__ = ["MockCluster"]

PRODUCE = 0
_PRODUCER = 0


def _library() -> ctypes.CDLL:
    assert confluent_kafka.libversion()
    maps = Path("/proc/self/maps").read_text()
    found = re.search(r"(/\S*librdkafka\S*\.so\S*)", maps)
    assert found, "librdkafka is not loaded as a library of its own"
    return ctypes.CDLL(found[1])


class MockCluster:
    """A cluster that lives as long as the `with` block."""

    def __init__(self, brokers: int = 1) -> None:
        self._brokers = brokers

    def __enter__(self) -> Self:
        lib = self._lib = _library()
        lib.rd_kafka_conf_new.restype = ctypes.c_void_p
        lib.rd_kafka_new.restype = ctypes.c_void_p
        lib.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
        lib.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        complaint = ctypes.create_string_buffer(256)
        configuration = ctypes.c_void_p(lib.rd_kafka_conf_new())
        made = lib.rd_kafka_new(_PRODUCER, configuration, complaint, ctypes.c_size_t(256))
        assert made, complaint.value
        self._handle = ctypes.c_void_p(made)
        cluster = lib.rd_kafka_mock_cluster_new(self._handle, ctypes.c_int(self._brokers))
        assert cluster
        self._cluster = ctypes.c_void_p(cluster)
        self.brokers: str = lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
        self._lib.rd_kafka_destroy(self._handle)

    def topic(self, name: str, *, partitions: int = 1) -> None:
        """Create a topic."""
        arguments: tuple[Any, ...] = (name.encode(), ctypes.c_int(partitions), ctypes.c_int(1))
        assert self._lib.rd_kafka_mock_topic_create(self._cluster, *arguments) == 0

    def fail(self, *errors: int, request: int = PRODUCE) -> None:
        """Answer the next requests with errors, one each."""
        array = (ctypes.c_int * len(errors))(*errors)
        self._lib.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(request), ctypes.c_size_t(len(errors)), array
        )

    def down(self, broker: int = 1) -> None:
        """Take a broker away: connections end, and no new one is taken."""
        assert self._lib.rd_kafka_mock_broker_set_down(self._cluster, ctypes.c_int32(broker)) == 0

    def up(self, broker: int = 1) -> None:
        """Bring it back."""
        assert self._lib.rd_kafka_mock_broker_set_up(self._cluster, ctypes.c_int32(broker)) == 0
