"""HTTP on loopback: events come in, and what is true now can be asked.

| request | answer |
|---|---|
| `GET /healthz`, `GET /readyz` | 200, or 503 with what is not right |
| `GET /metrics` | numbers in Prometheus' format |
| `GET /api/actions`, `/api/actions/NAME` | all drivers, one driver with what it says of itself |
| `GET /api/actions/NAME/history?limit=N` | past deliveries, the newest last |
| `GET /api/actions/NAME/history/stats`, `/api/actions/NAME/statistics` | counts and latencies |
| `GET /api/alerts/NAME/explain` | why an alert fires or does not |
| `POST /api/events`, `/api/measurements`, `/api/alerts` | 202 once they are accepted |
| `POST /api/clear` | 202 |

Everything is asked of the running drivers; what cannot be told is 503, never invented. It listens
on a loopback address only, and serves no page of another origin: a POST has to be JSON, and `Host`
has to be the loopback.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from test_rig.actions.exposition import exposition
from test_rig.actions.incoming import events_of
from test_rig.actions.payload import fields_of
from test_rig.actions.pipe import Pipe
from test_rig.actions.run import Actions
from test_rig.errors import NotAccepted, RigError, UnknownName, UsageError

__all__ = ["ActionsServer"]

_BODY = 16 << 20
_JSON_TYPES = ("application/json", "application/x-ndjson", "application/jsonl")


class ActionsServer:
    """Serves running actions from a thread of its own.

    Args:
        actions: What is served.
        listen: `127.0.0.1:8765`, `[::1]:8765`; port 0 takes a free one.
    """

    def __init__(self, actions: Actions, listen: str) -> None:
        self._actions = actions
        self._host, self._port = _loopback(listen)
        self.url = ""
        self._failure: Exception | None = None
        self._is_up, self._is_over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="actions server", daemon=True)

    def start(self) -> str:
        """Listen, and return the address.

        Raises:
            UsageError: It cannot be listened on.
        """
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            why = getattr(self._failure, "strerror", None) or str(self._failure)
            raise UsageError(f"cannot listen: {why}", where=f"{self._host}:{self._port}")
        return self.url

    def stop(self) -> None:
        """Stop listening."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application(client_max_size=_BODY, middlewares=[self._guarded])
        app.add_routes(self._routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as exc:
            self._failure = exc
            self._is_up.set()
            await runner.cleanup()
            return
        port = runner.addresses[0][1]
        self.url = f"http://{_bracketed(self._host)}:{port}"
        self._is_up.set()
        while not self._is_over.is_set():
            await asyncio.sleep(0.05)
        await runner.cleanup()

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self._health),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._metrics),
            web.get("/api/actions", self._all),
            web.get("/api/actions/{name}", self._one),
            web.get("/api/actions/{name}/history", self._history),
            web.get("/api/actions/{name}/history/stats", self._statistics),
            web.get("/api/actions/{name}/statistics", self._statistics),
            web.get("/api/alerts/{name}/explain", self._explain),
            web.post("/api/events", self._take),
            web.post("/api/measurements", self._take),
            web.post("/api/alerts", self._take),
            web.post("/api/clear", self._clear),
        ]

    @web.middleware
    async def _guarded(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Turn errors into answers, and other pages' requests away."""
        if not _is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            return _answer({"error": "this host is not served"}, 403)
        if request.method == "POST" and request.content_type not in _JSON_TYPES:
            return _answer({"error": f"the body must be one of {', '.join(_JSON_TYPES)}"}, 415)
        try:
            return await handler(request)
        except web.HTTPException as exc:
            return _answer({"error": exc.reason}, exc.status)
        except UnknownName as exc:
            return _answer({"error": str(exc)}, 404)
        except NotAccepted as exc:
            return _answer({"error": str(exc)}, 503, {"Retry-After": "1"})
        except RigError as exc:
            return _answer({"error": str(exc)}, 503)

    async def _health(self, request: web.Request) -> web.Response:
        del request
        is_alive = self._actions.is_alive()
        return _answer({"status": "ok" if is_alive else "stopped"}, 200 if is_alive else 503)

    async def _ready(self, request: web.Request) -> web.Response:
        del request
        waiting = self._actions.not_ready()
        return _answer({"ready": not waiting, "waiting": waiting}, 503 if waiting else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        self._live()
        text = exposition(self._actions)
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _all(self, request: web.Request) -> web.Response:
        del request
        return _answer(self._live().snapshot())

    async def _one(self, request: web.Request) -> web.Response:
        pipe = self._pipe(request)
        status = await asyncio.to_thread(pipe.driver_status)
        told = {"name": pipe.name, **pipe.snapshot()}
        return _answer({**told, "options": pipe.options_shown(), "status": dict(status)})

    async def _history(self, request: web.Request) -> web.Response:
        pipe = self._pipe(request)
        text = request.query.get("limit")
        if text is not None and not text.isdigit():
            raise web.HTTPBadRequest(reason="limit is no number")
        past = pipe.history(None if text is None else int(text))
        entries = [{**msgspec.to_builtins(each), "event": fields_of(each.event)} for each in past]
        return _answer({"name": pipe.name, "history": entries})

    async def _statistics(self, request: web.Request) -> web.Response:
        pipe = self._pipe(request)
        past = pipe.history()
        moments = [each.event.timestamp for each in past]
        return _answer(
            {
                "name": pipe.name,
                "driver_type": pipe.plan.kind.name,
                "buffer_capacity": pipe.plan.pipe.history,
                "buffer_size": len(past),
                "oldest_entry": moments[0] if moments else None,
                "newest_entry": moments[-1] if moments else None,
                **pipe.snapshot(),
            }
        )

    async def _explain(self, request: web.Request) -> web.Response:
        lines = self._live().explain(request.match_info["name"])
        return _answer({"name": request.match_info["name"], "why": lines})

    async def _take(self, request: web.Request) -> web.Response:
        actions, body = self._live(), await request.read()
        events, problems = events_of(body, now_ns=time.time_ns(), next_id=actions.next_id)
        if problems:
            # All or nothing: a sender could not tell which of them to send again.
            return _answer({"error": "not every event can be read", "problems": problems}, 400)
        await asyncio.to_thread(actions.submit, events)
        return _answer({"accepted": len(events)}, 202)

    async def _clear(self, request: web.Request) -> web.Response:
        del request
        await asyncio.to_thread(self._live().clear)
        return _answer({"accepted": 1}, 202)

    def _live(self) -> Actions:
        if not self._actions.is_alive():
            raise NotAccepted("the actions do not run")
        return self._actions

    def _pipe(self, request: web.Request) -> Pipe:
        return self._live().pipe(request.match_info["name"])


def _answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(content, enc_hook=str)
    return web.Response(
        body=body, status=status, content_type="application/json", headers=headers or {}
    )


def _loopback(listen: str) -> tuple[str, int]:
    parts = urlsplit(f"//{listen}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise UsageError("no address", where=listen, todo="such as 127.0.0.1:8765")
    if not _is_loopback(host):
        what = "only a loopback address is listened on"
        raise UsageError(what, where=listen, todo="such as 127.0.0.1:8765; let a proxy face others")
    return ("127.0.0.1" if host == "localhost" else host), port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
