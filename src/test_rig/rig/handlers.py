"""A run of handlers put together: settings, targets, workers, run folder and report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from test_rig.clock import SYSTEM_CLOCK
from test_rig.errors import RigError, TargetError
from test_rig.report import Report
from test_rig.rig.alerting import ConnectionAlerts
from test_rig.rig.listeners import listening
from test_rig.rig.pages import write_page
from test_rig.rig.places import EMBEDDED_URLS, absolute_url, target_of
from test_rig.runs import RunFolder, RunStatus, RunWriter
from test_rig.settings import AppConfig
from test_rig.suite import (
    FileDone,
    FileTask,
    HandlerDone,
    HandlerLimits,
    Order,
    Selection,
    SuiteEvent,
    conduct,
    suite_verdict,
)
from test_rig.targets import Target, TargetUrl
from test_rig.telemetry import Emit
from test_rig.verdict import HandlerResult, SuiteResult, SuiteVerdict, TargetInfo, Verdict

__all__ = ["HandlerOptions", "SuiteRun", "run_handlers"]

_LOG = logging.getLogger("test_rig.rig")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """A finished run of handlers, and where everything about it is."""

    folder: Path
    verdict: SuiteVerdict
    report: Report
    html: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerOptions:
    """Which handlers are run, and how."""

    selection: Selection = field(default_factory=Selection)
    jobs: int = 1
    #: Each file in a private place on the target; always so where there are several jobs.
    in_scratch: bool = False
    #: A doubtful result is a finding.
    is_strict: bool = False
    #: What constructors get besides the settings.
    values: Mapping[str, object] = field(default_factory=dict)


def run_handlers(
    config: AppConfig,
    urls: Sequence[TargetUrl | str],
    tasks: Sequence[FileTask],
    *,
    how: HandlerOptions,
    argv: Sequence[str] = (),
    on_event: Callable[[TargetInfo, SuiteEvent], None],
    on_output: Callable[[str], None],
) -> SuiteRun:
    """Run handlers of files on each target, and keep it all in a run folder.

    A target that cannot be used does not stop the others; where no other is, its error is raised.

    Args:
        config: The settings: limits, what constructors get, where runs are kept.
        urls: The targets; the embedded ones where empty.
        tasks: The files and modules.
        how: Which handlers, how many at a time, where.
        argv: The command line for the record, passwords masked.
        on_event: Told of everything that happens, one at a time.
        on_output: Given what handlers print, as they do.

    Raises:
        TargetError: The only target could not be used.
        RunFolderError: The run folder cannot be written.
    """
    places = [absolute_url(url) for url in urls or EMBEDDED_URLS]
    lost = ConnectionAlerts(config, "run")
    with ExitStack() as stack:
        targets = [stack.enter_context(target_of(config, url)) for url in places]
        if len(targets) == 1:
            _ = targets[0].info  # one that cannot be used leaves no run behind
        writer = stack.enter_context(
            RunFolder.create(
                config.runs.folder,
                "run",
                argv=argv,
                settings=config.without_secrets(),
                seed=config.test.seed,
                targets=[target.url.safe() for target in targets],
            )
        )
        emit = lost.emit = stack.enter_context(listening(config, writer.emit))
        done: list[SuiteResult] = []
        for target in targets:
            try:
                found = _run_on(
                    config, target, tasks, how, writer, done, on_event, on_output, emit=emit
                )
                done.append(found)
            except TargetError as error:
                lost.failed(target, error)
                if len(targets) == 1:
                    raise
                done.append(_unusable_suite(target, error))
        verdict = SuiteVerdict(targets=tuple(done), verdict=suite_verdict(done, how.is_strict))
        writer.write_results(suite=verdict)
        writer.finish(verdict.verdict, status=RunStatus.FINISHED)
    report, html = write_page(writer.path)
    return SuiteRun(folder=writer.path, verdict=verdict, report=report, html=html)


def _run_on(
    config: AppConfig,
    target: Target,
    tasks: Sequence[FileTask],
    how: HandlerOptions,
    writer: RunWriter,
    before: Sequence[SuiteResult],
    on_event: Callable[[TargetInfo, SuiteEvent], None],
    on_output: Callable[[str], None],
    *,
    emit: Emit,
) -> SuiteResult:
    started = SYSTEM_CLOCK.now_ns()
    info = target.info
    so_far: list[HandlerResult] = []

    def keep(event: SuiteEvent) -> None:
        if isinstance(event, HandlerDone):
            so_far.append(event.result)
            _log_handler(writer, info, event.result)
            partial = SuiteResult(target=info, handlers=tuple(so_far))
            unfinished = SuiteVerdict(targets=(*before, partial), verdict=Verdict.UNKNOWN)
            writer.write_results(suite=unfinished)
        on_event(info, event)

    is_private = target.url.is_embedded and target.url.path is None
    files = conduct(
        tasks,
        _order(config, target, how),
        target,
        jobs=how.jobs,
        in_scratch=target.url.scheme != "memory" and (how.in_scratch or how.jobs > 1 or is_private),
        on_event=keep,
        on_output=on_output,
        emit=emit,
    )
    _tell_unused(how.values, files)
    return SuiteResult(
        target=info,
        handlers=tuple(result for each in files for result in each.results),
        problems=tuple(problem for each in files for problem in each.problems),
        duration_s=(SYSTEM_CLOCK.now_ns() - started) / 1e9,
    )


def _order(config: AppConfig, target: Target, how: HandlerOptions) -> Order:
    test = config.test
    names: dict[str, object] = {
        "rows": test.rows,
        "test_rows": test.rows,
        "seed": test.seed,
        "verbose": test.verbose,
    }
    names |= {"timeout_secs": test.timeout_secs, "pool_size": config.database.pool_size}
    return Order(
        source="",
        folder=None,
        target=target.url,
        selection=how.selection,
        limits=HandlerLimits(
            handler_s=test.timeout_secs,
            transitions=test.transitions,
            statement_s=config.database.timeout_secs,
        ),
        settings={"handlers": _merged(dict(config.handlers), how.values), "test": names},
        log_level="DEBUG" if test.verbose else config.logging.level.upper(),
        pool_size=config.database.pool_size,
    )


def _tell_unused(values: Mapping[str, object], files: Sequence[FileDone]) -> None:
    """Warn of single values for a class that nothing of what was run is called.

    Where a file could not be loaded nobody knows what it has.
    """
    if any(each.problems for each in files):
        return
    known = {name for each in files for name in each.named}
    for name, value in values.items():
        if isinstance(value, Mapping) and name.endswith("Handler") and name not in known:
            key = next(iter(value), "")
            _LOG.warning("--set %s.%s has no effect: there is no class of that name", name, key)


def _merged(settings: Mapping[str, Any], values: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings of handlers with single values replaced, those of tables too."""
    merged = dict(settings)
    for name, value in values.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = {**before, **value}
        else:
            merged[name] = value
    return merged


def _log_handler(writer: RunWriter, info: TargetInfo, result: HandlerResult) -> None:
    writer.log(
        "handler",
        target=info.url,
        handler=result.handler,
        file=result.file,
        status=result.status.value,
        reason=result.reason,
        statements=result.statement_count,
        duration_s=result.duration_s,
    )


def _unusable_suite(target: Target, error: RigError) -> SuiteResult:
    info = TargetInfo(url=target.url.safe(), product=target.dialect.product, version="not reached")
    return SuiteResult(target=info, handlers=(), error=str(error))
