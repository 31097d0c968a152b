"""The HTTP side, where its extra is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from test_rig.errors import MissingExtra

if TYPE_CHECKING:
    from test_rig.actions.run import Actions
    from test_rig.actions.server import ActionsServer

__all__ = ["serve"]


def serve(actions: Actions, listen: str) -> ActionsServer:
    """Serve running actions over HTTP, on loopback; return the server, which has to be stopped.

    Raises:
        MissingExtra: aiohttp or prometheus-client is not installed.
        UsageError: The address is none, no loopback, or taken.
    """
    try:
        from test_rig.actions.server import ActionsServer
    except ModuleNotFoundError as exc:
        raise MissingExtra(f"listening needs {exc.name}", extra="http") from exc
    server = ActionsServer(actions, listen)
    server.start()
    return server
