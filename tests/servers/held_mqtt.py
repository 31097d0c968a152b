"""A way to an MQTT broker on which acknowledgements are held back."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

__all__ = ["HeldBroker"]

_PUBLISH, _PUBACK = 3, 4


class HeldBroker:
    """Passes every packet on as it is, but PUBACKs when it is told to.

    Use as an async context manager; clients connect to `port` on the loopback address.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._broker_port = host, port
        self._links: list[asyncio.Task[None]] = []
        self._open = 0
        self._change = asyncio.Condition()
        #: PUBLISH packets seen.
        self.published = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        for each in self._links:
            each.cancel()

    async def seen(self, count: int) -> None:
        """Wait until so many messages were published."""
        async with self._change:
            await self._change.wait_for(lambda: self.published >= count)

    async def let_by(self, count: int) -> None:
        """Let so many acknowledgements by."""
        async with self._change:
            self._open += count
            self._change.notify_all()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection(self._host, self._broker_port)
        for source, sink in ((reader, broker_writer), (broker_reader, writer)):
            self._links.append(asyncio.create_task(self._pass_on(source, sink)))

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while True:
                packet = await _packet(source)
                kind = packet[0] >> 4
                async with self._change:
                    if kind == _PUBLISH:
                        self.published += 1
                        self._change.notify_all()
                    if kind == _PUBACK:
                        await self._change.wait_for(lambda: self._open > 0)
                        self._open -= 1
                sink.write(packet)
                await sink.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            sink.close()


async def _packet(source: asyncio.StreamReader) -> bytes:
    """Return one packet: a byte, a length in sevens of bits, so many bytes (MQTT 3.1.1, 2.2)."""
    head = await source.readexactly(1)
    size = shift = 0
    while True:
        digit = await source.readexactly(1)
        head += digit
        size |= (digit[0] & 0x7F) << shift
        shift += 7
        if not digit[0] & 0x80:
            return head + await source.readexactly(size)
