"""Drivers wait for their receivers as long as their options say."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from action_events import delivered, number
from servers.private import free_port
from test_rig.actions import Fate, create_driver


@pytest.mark.parametrize(
    ("type", "config"),
    [("nats", {"servers": "nats://127.0.0.1:{port}"}), ("mqtt", {"host": "127.0.0.1"})],
)
def test_connecting_takes_as_long_as_is_said(type: str, config: dict[str, str]) -> None:
    """To a server that says nothing, to a port where nobody is at once, and it says so."""

    def refusal(port: int, limit_s: float) -> Exception:
        given = {name: value.format(port=port) for name, value in config.items()}
        place = {"port": port} if type == "mqtt" else {}
        driver = create_driver(type, {**given, **place, "timeout_s": limit_s})
        with pytest.raises(Exception) as refused:
            asyncio.run(asyncio.wait_for(driver.start(), 30))
        return refused.value

    took_s = []
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for limit_s in (0.1, 2.0):
            begun = time.monotonic()
            refusal(mute.getsockname()[1], limit_s)
            took_s.append(time.monotonic() - begun)
    assert took_s[0] < took_s[1] - 1
    assert re.search("(?i)refused|connect call failed", str(refusal(free_port(), 600)))


@pytest.fixture
def slow_server() -> Iterator[str]:
    """The URL of a server that takes two seconds for each answer."""

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            is_over.wait(2)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    is_over = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        is_over.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("type", "option"), [("prometheus", "push_url"), ("otlp", "endpoint"), ("http", "url")]
)
@pytest.mark.parametrize(("limit_s", "fate"), [(0.2, Fate.RETRY), (60, Fate.DELIVERED)])
def test_a_slow_answer_is_waited_for_as_long_as_is_said(
    slow_server: str, type: str, option: str, limit_s: float, fate: Fate
) -> None:
    """And no longer: then it is tried again."""
    (answer,) = delivered(type, {option: slow_server, "timeout_s": limit_s}, [number(1)])
    assert answer.fate is fate
