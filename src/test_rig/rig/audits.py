"""An audit put together: settings, targets, scenarios, run folder and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from test_rig.audit import (
    AuditEvent,
    AuditOptions,
    CellDone,
    LevelDone,
    LevelStarted,
    PathTaken,
    PlaceMade,
    TargetStarted,
    WorkloadSeen,
    WorkloadStarted,
    audit_target,
    overall,
)
from test_rig.errors import (
    ConnectFailed,
    FailureKind,
    MachineError,
    RigError,
    TargetError,
    UnknownName,
)
from test_rig.history import Origin
from test_rig.machine import Limits, StateMachine
from test_rig.report import Report
from test_rig.rig.alerting import ConnectionAlerts, anomaly_found
from test_rig.rig.listeners import listening
from test_rig.rig.pages import write_page
from test_rig.rig.places import EMBEDDED_URLS, target_of
from test_rig.rig.witnesses import write_witnesses
from test_rig.rig.workloads import plan_of
from test_rig.runs import RunFolder, RunStatus, RunWriter
from test_rig.scenario import BUILT_IN
from test_rig.settings import AppConfig
from test_rig.targets import SqlListener, Target, TargetUrl
from test_rig.telemetry import Emit
from test_rig.verdict import AuditVerdict, TargetInfo, TargetVerdict, Verdict
from test_rig.workload import find_workload, operation

__all__ = ["AuditRun", "audit"]

#: What every level is tried with after the scenarios.
_WORKLOAD = "list-append"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRun:
    """A finished audit: what it found, and where everything about it is."""

    folder: Path
    verdict: AuditVerdict
    report: Report
    html: Path
    #: Why nothing could be judged, where the only target could not be used.
    error: TargetError | None = None


def audit(
    config: AppConfig,
    urls: Sequence[TargetUrl | str],
    *,
    argv: Sequence[str] = (),
    on_event: Callable[[AuditEvent], None],
    listener: SqlListener | None = None,
    may_ask: bool = False,
) -> AuditRun:
    """Audit the targets one after the other, and keep it all in a run folder.

    A target that cannot be used does not stop the others; its error is in the verdict.

    Args:
        config: The settings: time limits, levels, where runs are kept.
        urls: The targets; the embedded ones where empty.
        argv: The command line for the record, passwords masked.
        on_event: Told of everything that happens, for progress.
        listener: Told of every statement.
        may_ask: The caller can ask a person for a password: where that is what the only target
            wants, nothing is kept.

    Raises:
        ConnectFailed: The only target wants a password, and `may_ask` is set.
        UnknownName: A level was asked for that none of the targets has.
        RunFolderError: The run folder cannot be written.
    """
    lost = ConnectionAlerts(config, "audit")
    with ExitStack() as stack:
        targets = [
            stack.enter_context(target_of(config, url, listener=lost.listener(url, listener)))
            for url in urls or EMBEDDED_URLS
        ]
        plans = _plan(config, targets, on_event, may_ask=may_ask)
        writer = stack.enter_context(
            RunFolder.create(
                config.runs.folder,
                "audit",
                argv=argv,
                settings=config.without_secrets(),
                seed=config.test.seed,
                targets=[target.url.safe() for target in targets],
            )
        )
        emit = lost.emit = stack.enter_context(listening(config, writer.emit))
        options = _options(config)
        verdict = _audit_all(plans, options, writer, on_event, emit=emit, lost=lost)
        writer.finish(verdict.verdict, status=RunStatus.FINISHED)
    run = _render(writer.path, verdict)
    only = plans[0].error if len(plans) == 1 else None
    return run if only is None else replace(run, error=only)


def _options(config: AppConfig) -> AuditOptions:
    time_s = config.audit.workload_time_secs
    return AuditOptions(
        step_timeout_s=config.audit.step_timeout_secs,
        workload=find_workload(_WORKLOAD) if time_s else None,
        plan=replace(plan_of(config), time_s=time_s),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is to be done with one target."""

    target: Target
    #: Keys of levels; all where empty.
    levels: tuple[str, ...] = ()
    path: PathTaken | None = None
    #: Why it cannot be used.
    error: TargetError | None = None


def _plan(
    config: AppConfig,
    targets: Sequence[Target],
    on_event: Callable[[AuditEvent], None],
    *,
    may_ask: bool,
) -> list[_Plan]:
    """Go the way to each target, before anything is made anywhere, and choose its levels."""
    names = tuple(dict.fromkeys(config.audit.levels))
    plans: list[_Plan] = []
    unknown: dict[str, list[str]] = {}
    found: set[str] = set()
    for target in targets:
        try:
            path = _go_there(config, target)
        except TargetError as error:
            if may_ask and len(targets) == 1 and _wants_password(error):
                raise
            plans.append(_Plan(target=target, error=error))
            continue
        on_event(path)
        chosen = []
        for name in names:
            try:
                chosen.append(target.level(name).key)
                found.add(name)
            except UnknownName as error:
                unknown.setdefault(name, []).extend(error.known)
        if chosen or not names:
            plans.append(_Plan(target=target, levels=tuple(dict.fromkeys(chosen)), path=path))
    # A level that one target has and another lacks is audited where it is.
    for name, known in unknown.items():
        if name not in found:
            raise UnknownName("isolation level", name, list(dict.fromkeys(known)))
    return plans


def _wants_password(error: TargetError) -> bool:
    return isinstance(error, ConnectFailed) and error.failure.kind is FailureKind.AUTHENTICATION


def _go_there(config: AppConfig, target: Target) -> PathTaken:
    """Run the machine's standard path: connect, try, verify, ask for the version."""
    limits = Limits(run_s=config.test.timeout_secs, run_name="test.timeout_secs")
    machine = StateMachine(target, limits=limits)
    result = machine.run()
    if result.error is not None:
        if isinstance(result.error.exception, RigError):
            raise result.error.exception
        raise MachineError(result.error.message)
    return PathTaken(
        target=target.info,
        states=tuple((visit.state.name, visit.duration_ns / 1e9) for visit in result.visits()),
    )


def _audit_all(
    plans: list[_Plan],
    options: AuditOptions,
    writer: RunWriter,
    on_event: Callable[[AuditEvent], None],
    *,
    emit: Emit,
    lost: ConnectionAlerts,
) -> AuditVerdict:
    done: list[TargetVerdict] = []
    targets = {plan.target.url.safe(): plan.target for plan in plans}

    def keep(event: AuditEvent) -> None:
        """Write what came while it comes, then pass it on."""
        if isinstance(event, CellDone) and event.cell.transcript is not None:
            origin = Origin(
                target=event.target.url,
                level=event.level,
                scenario=event.cell.transcript.scenario,
            )
            writer.record_transcript(origin, event.cell.transcript)
        elif isinstance(event, WorkloadSeen):
            origin = Origin(target=event.target.url, level=event.level, scenario=event.workload)
            writer.record_ops(origin, map(operation, event.entries))
            if event.transactions is not None:
                writer.record_transactions(origin, event.transactions)
        elif isinstance(event, LevelDone):
            writer.flush()
            if event.row.workload is not None:
                write_witnesses(writer, event.row.workload, targets[event.target.url])
            so_far = (*done, event.so_far)
            writer.write_results(AuditVerdict(targets=so_far, verdict=Verdict.UNKNOWN))
            _alert(event, emit)
        _log(writer, event)
        on_event(event)

    for place, plan in enumerate(plans):
        if plan.path is not None:
            _log(writer, plan.path)
        if plan.error is not None:
            lost.failed(plan.target, plan.error)
            done.append(_unusable(plan.target, plan.error))
            continue
        chosen = replace(options, levels=plan.levels)
        scenarios = tuple(BUILT_IN.values())
        try:
            done.append(audit_target(plan.target, scenarios, chosen, on_event=keep, emit=emit))
        except TargetError as failed:
            lost.failed(plan.target, failed)
            plans[place] = replace(plan, error=failed)
            done.append(_unusable(plan.target, failed))
    verdict = AuditVerdict(
        targets=tuple(done), verdict=overall([target.verdict for target in done])
    )
    writer.write_results(verdict)
    return verdict


def _alert(event: LevelDone, emit: Emit) -> None:
    """Tell those who listen of a claim that is broken."""
    row = event.row
    if row.verdict is not Verdict.INVALID:
        return
    emit(
        anomaly_found(
            product=event.target.product,
            level=row.name,
            target=event.target.url,
            comparison=row.comparison,
            anomalies=[finding.anomaly.value for finding in row.findings],
            source="audit",
        )
    )


def _log(writer: RunWriter, event: AuditEvent) -> None:
    """Tell the run's log what happened, so that a killed run says where it was."""
    where = event.target.url
    match event:
        case PathTaken():
            writer.log("path", target=where, states=dict(event.states))
        case TargetStarted():
            version = f"{event.target.product} {event.target.version}"
            writer.log("target", target=where, version=version, levels=event.levels)
        case PlaceMade():
            writer.log("private namespace made", target=where, name=event.name)
        case LevelStarted():
            writer.log("level", target=where, name=event.level)
        case WorkloadStarted():
            writer.log("workload", target=where, at=event.level, name=event.workload)
        case CellDone():
            cell = event.cell
            writer.log(
                "scenario",
                level="debug",
                target=where,
                at=event.level,
                anomaly=cell.anomaly.value,
                occurrence=cell.occurrence.value,
                reason=cell.reason,
            )
        case LevelDone():
            row = event.row
            writer.log(
                "level judged",
                target=where,
                name=row.name,
                verdict=row.verdict.value,
                comparison=row.comparison,
            )


def _unusable(target: Target, error: RigError) -> TargetVerdict:
    """Return the verdict of a target that could not be used at all."""
    info = TargetInfo(url=target.url.safe(), product=target.dialect.product, version="not reached")
    return TargetVerdict(target=info, levels=(), verdict=Verdict.UNKNOWN, error=str(error))


def _render(folder: Path, verdict: AuditVerdict) -> AuditRun:
    report, html = write_page(folder)
    return AuditRun(folder=folder, verdict=verdict, report=report, html=html)
