"""A TCP link that can go bad: in front of a server, for tests of what the rig does about it.

Threads and blocking sockets; one pair of threads for each connection. It is closed, with all its
connections and threads, at the end of its block.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

_PIECE = 65536


class LossyLink:
    """Passes bytes between clients and a server until it is told otherwise.

    `black_hole()` keeps every connection open and passes nothing any more, either way;
    `lose_replies()` still passes what clients send; `reset()` ends every connection with a RST.
    """

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._passes_up = self._passes_down = True
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def black_hole(self) -> None:
        """Pass nothing any more."""
        self._passes_up = self._passes_down = False

    def lose_replies(self) -> None:
        """Pass what clients send, and nothing of what the server answers."""
        self._passes_down = False

    def heal(self) -> None:
        """Pass what comes from now on; what was lost stays lost."""
        self._passes_up = self._passes_down = True

    def reset(self) -> None:
        """End every connection with a RST."""
        for one in list(self._sockets):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
            except OSError:
                return
            self._sockets += [client, server]
            for source, sink, is_up in ((client, server, True), (server, client, False)):
                thread = threading.Thread(
                    target=self._pass, args=(source, sink, is_up), daemon=True
                )
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if self._passes_up if is_up else self._passes_down:
                    sink.sendall(piece)
        if self._passes_up if is_up else self._passes_down:
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)


class AnsweringServer:
    """Says one thing to everybody who has spoken, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                if b"\x04\xd2\x16\x2f" in client.recv(_PIECE):  # PostgreSQL's request for TLS
                    client.sendall(b"N")
                    client.recv(_PIECE)
                client.sendall(self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
