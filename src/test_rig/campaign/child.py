"""The process of one run: it does what its order says, and answers with the outcome.

The order comes on standard input, the outcome leaves on the file descriptor that is the only
argument. Standard input stays open as a lifeline: when it ends, nobody waits for the run any more,
and it is interrupted, so that it removes what it made on the target.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from test_rig.campaign.order import Order
from test_rig.campaign.places import with_password
from test_rig.campaign.planned import CheckKind, Found, RunOutcome, SeenLevel, Standing
from test_rig.campaign.seen import standing_of, told_audit, told_suite, told_workloads
from test_rig.errors import RigError
from test_rig.resilience import clean_message
from test_rig.rig import HandlerOptions, audit, run_handlers, run_workloads, target_urls
from test_rig.runs import decode_json, encode_json
from test_rig.settings import AppConfig, OptionValue
from test_rig.suite import file_tasks
from test_rig.targets import TargetUrl
from test_rig.verdict import Verdict
from test_rig.workload import find_workload

__all__ = ["perform_and_exit"]

#: How long an interrupted run has for removing what it made.
_CLEAN_UP_S = 20.0


def perform_and_exit() -> NoReturn:
    """Do the run, and end the process: threads that it left behind must not keep it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    answer = os.fdopen(int(sys.argv[1]), "wb", buffering=0)
    order = decode_json(sys.stdin.buffer.readline(), Order)
    threading.Thread(target=_hold_the_lifeline, name="lifeline", daemon=True).start()
    outcome = perform(order)
    answer.write(encode_json(outcome))
    sys.stdout.flush()
    os._exit(0)


def _hold_the_lifeline() -> None:
    while os.read(0, 4096):
        pass
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    time.sleep(_CLEAN_UP_S)
    os._exit(1)


def perform(order: Order) -> RunOutcome:
    """Do a run here, and return what came of it; a target that fails is an outcome."""
    started, begun = time.time(), time.monotonic()
    folder: Path | None = None
    levels: tuple[SeenLevel, ...] = ()
    findings: tuple[Found, ...] = ()
    error: str | None = None
    try:
        folder, verdict, (levels, findings), error = _run(order)
        standing = standing_of(verdict) if error is None else Standing.ERROR
    except RigError as failed:
        standing, error = Standing.ERROR, str(failed)
    except Exception as failed:  # noqa: BLE001 -- the door to drivers: whatever it is, it is told
        standing, error = Standing.ERROR, f"{type(failed).__name__}: {clean_message(failed)}"
    return RunOutcome(
        planned=order.planned,
        standing=standing,
        folder=None if folder is None else str(folder),
        worker=f"{platform.node()}:{os.getpid()}",
        started=started,
        duration_s=time.monotonic() - begun,
        attempt=order.attempt,
        error=error,
        target=order.target.product,
        levels=levels,
        findings=findings,
    )


_Done = tuple[Path, Verdict, tuple[tuple[SeenLevel, ...], tuple[Found, ...]], str | None]


def _run(order: Order) -> _Done:
    config = _config(order)
    urls = [_address(order, config)]
    planned = order.planned
    argv = ("test-rig", "campaign", "run", planned.id)
    if planned.check.kind is CheckKind.WORKLOAD:
        workload = run_workloads(
            config,
            find_workload(planned.check.name),
            urls,
            argv=argv,
            on_level=_ignore,
            on_progress=_ignore,
        )
        told = told_workloads(workload.report.workloads)
        return workload.folder, workload.verdict, told, None
    if planned.check.kind is CheckKind.AUDIT:
        done = audit(config, urls, argv=argv, on_event=_ignore, may_ask=False)
        error = None if done.error is None else str(done.error)
        return done.folder, done.verdict.verdict, told_audit(done.verdict), error
    suite = run_handlers(
        config,
        urls,
        list(file_tasks(planned.check.name)),
        how=HandlerOptions(in_scratch=True),
        argv=argv,
        on_event=_ignore,
        on_output=_ignore,
    )
    return suite.folder, suite.verdict.verdict, told_suite(suite.verdict), None


def _config(order: Order) -> AppConfig:
    planned = order.planned
    values = {**order.settings, "test.seed": planned.seed, "runs.folder": order.runs}
    if planned.level is not None and planned.check.kind is not CheckKind.HANDLERS:
        values[f"{planned.check.kind.value}.levels"] = [planned.level]
    cli = {key: OptionValue(value, key) for key, value in values.items()}
    return AppConfig.from_sources(cli=cli, files=order.config_files or None)


def _address(order: Order, config: AppConfig) -> TargetUrl:
    """Return the target's address with its password: the order's, or the one that is found here."""
    if order.url.password is not None or order.url.is_embedded:
        return order.url
    found = target_urls(config, (order.target.url,))[0]
    return with_password(found, order.target)


def _ignore(*_: object) -> None:
    """Be told what happens: a campaign tells how its runs end."""
