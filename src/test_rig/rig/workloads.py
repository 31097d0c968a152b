"""Workloads put together: settings, targets, run folder and report."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from test_rig.clock import SYSTEM_CLOCK
from test_rig.history import Origin, read_history
from test_rig.report import Report
from test_rig.rig.alerting import ConnectionAlerts, anomaly_found
from test_rig.rig.listeners import listening
from test_rig.rig.own_workloads import mistakes_of_setup
from test_rig.rig.pages import write_page
from test_rig.rig.places import EMBEDDED_URLS, target_of
from test_rig.rig.witnesses import write_witnesses
from test_rig.runs import RunFolder, RunStatus, RunWriter
from test_rig.settings import AppConfig
from test_rig.targets import LevelSpec, SqlListener, Target, TargetUrl
from test_rig.telemetry import Emit, Measurement
from test_rig.verdict import (
    AuditVerdict,
    TargetInfo,
    Verdict,
    WorkloadMoment,
    WorkloadVerdict,
)
from test_rig.workload import (
    INTERRUPTED,
    Entry,
    Plan,
    Progress,
    Workload,
    operation,
    run_workload,
)

__all__ = ["WorkloadRun", "plan_of", "run_workloads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRun:
    """Finished workloads: what they showed, and where everything about them is."""

    folder: Path
    verdict: Verdict
    report: Report
    html: Path


def run_workloads(
    config: AppConfig,
    workload: Workload,
    urls: Sequence[TargetUrl | str],
    *,
    argv: Sequence[str] = (),
    stop_at_first: bool = False,
    on_level: Callable[[TargetInfo, str], None],
    on_progress: Callable[[Progress], None],
    listener: SqlListener | None = None,
) -> WorkloadRun:
    """Run a workload at the settings' levels of the targets, and keep it all in a run folder.

    A KeyboardInterrupt while it runs ends all of it; what there is until then is judged.

    Args:
        config: The settings: how much, at which levels, where runs are kept.
        workload: What to run.
        urls: The targets; the embedded ones where empty.
        argv: The command line for the record, passwords masked.
        stop_at_first: End each level when something was seen that its claim forbids.
        on_level: Told of each level before it is run.
        on_progress: Told about once a second how it stands.
        listener: Told of every statement.

    Raises:
        TargetError: A target could not be used.
        UnknownName: A target has no such level.
        RunFolderError: The run folder cannot be written.
    """
    plan, lost = plan_of(config), ConnectionAlerts(config, "workload")
    with ExitStack() as stack:
        targets = [
            stack.enter_context(target_of(config, url, listener=lost.listener(url, listener)))
            for url in urls or EMBEDDED_URLS
        ]
        todo = [(target, level) for target in targets for level in _chosen_levels(config, target)]
        writer = stack.enter_context(
            RunFolder.create(
                config.runs.folder,
                "workload",
                argv=argv,
                settings=config.without_secrets(),
                seed=plan.seed,
                targets=[target.url.safe() for target in targets],
            )
        )
        emit = lost.emit = stack.enter_context(listening(config))
        done: list[WorkloadVerdict] = []
        for target, level in todo:
            on_level(target.info, level.name)
            verdict = _run_workload(
                workload,
                target,
                level,
                plan,
                writer=writer,
                emit=emit,
                stop_at_first=stop_at_first,
                on_progress=on_progress,
            )
            done.append(verdict)
            writer.write_results(workloads=done)
            if verdict.ended_early == INTERRUPTED:
                break
        report = Report(
            record=writer.record,
            audit=AuditVerdict(targets=(), verdict=Verdict.UNKNOWN),
            path=writer.path,
            workloads=tuple(done),
        )
        is_whole = done[-1].ended_early != INTERRUPTED
        writer.finish(
            report.verdict,
            status=RunStatus.FINISHED if is_whole else RunStatus.INTERRUPTED,
            error=None if is_whole else "interrupted from the keyboard",
        )
    report, html = write_page(writer.path)
    return WorkloadRun(folder=writer.path, verdict=report.verdict, report=report, html=html)


def plan_of(config: AppConfig) -> Plan:
    """Return how much of a workload the settings want; a seed is drawn where they have none."""
    chosen = config.workload
    seed = config.test.seed
    return Plan(
        time_s=chosen.time_secs,
        clients=chosen.clients,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        rate=chosen.rate,
        keys=chosen.key_count,
        writes_per_key=chosen.writes_per_key,
        ops=chosen.ops,
        pause_s=chosen.pause_secs,
        statement_s=chosen.statement_secs,
    )


def _chosen_levels(config: AppConfig, target: Target) -> Sequence[LevelSpec]:
    names = config.workload.levels
    return [target.level(name) for name in names] if names else target.levels


def _run_workload(
    workload: Workload,
    target: Target,
    level: LevelSpec,
    plan: Plan,
    *,
    writer: RunWriter,
    emit: Emit,
    stop_at_first: bool,
    on_progress: Callable[[Progress], None],
) -> WorkloadVerdict:
    origin = Origin(target=target.url.safe(), level=level.name, scenario=workload.name)
    writer.log("workload", target=origin.target, at=level.name, name=workload.name)

    told: list[WorkloadMoment] = []

    def keep(entries: Sequence[Entry]) -> None:
        writer.record_ops(origin, map(operation, entries))

    def tell(progress: Progress) -> None:
        writer.flush()  # a run that is killed has lost no more than the last second
        hand_out(progress.moments)
        on_progress(progress)

    def hand_out(moments: Sequence[WorkloadMoment]) -> None:
        told.extend(moments)
        for measured in (each for moment in moments for each in _measured(origin, moment)):
            # In the folder times count from the workload's start, elsewhere on the clock.
            emit(replace(measured, time_ns=started_ns + measured.time_ns))

    started_ns = SYSTEM_CLOCK.now_ns()
    with target.scratch() as scratch, mistakes_of_setup(workload):
        verdict = run_workload(
            workload,
            scratch,
            level,
            plan,
            on_entries=keep,
            on_history=lambda part: writer.record_transactions(origin, part),
            on_progress=tell,
            whole=lambda: read_history(writer.transactions_file(origin)),
            stop_at_first=stop_at_first,
        )
    writer.flush()
    write_witnesses(writer, verdict, target)
    hand_out(verdict.moments[len(told) :])
    for moment in verdict.moments:
        for measured in _measured(origin, moment):
            writer.emit(measured)
    if verdict.verdict is Verdict.INVALID:
        emit(
            anomaly_found(
                product=verdict.target.product,
                level=level.name,
                target=origin.target,
                comparison=verdict.comparison,
                anomalies=[each.anomaly for each in verdict.findings if each.is_forbidden],
                source="workload",
            )
        )
    for why, count in verdict.refusals:
        writer.log(
            "connections refused",
            level="warning",
            target=origin.target,
            at=level.name,
            count=count,
            why=why,
        )
    writer.log(
        "workload judged",
        target=origin.target,
        at=level.name,
        verdict=verdict.verdict.value,
        comparison=verdict.comparison,
    )
    return verdict


def _measured(origin: Origin, moment: WorkloadMoment) -> Iterator[Measurement]:
    labels = (("target", origin.target), ("level", origin.level), ("workload", origin.scenario))
    values = (
        ("workload.throughput", moment.ok / moment.length_s, "1/s"),
        ("workload.failures", float(moment.fail + moment.info), "transactions"),
        ("workload.latency_p50", moment.latency_ms_p50, "ms"),
        ("workload.latency_p99", moment.latency_ms_p99, "ms"),
    )
    for name, value, unit in values:
        if value is not None:
            at_ns = round(moment.at_s * 1e9)
            yield Measurement(
                name=name, value=value, unit=unit, time_ns=at_ns, labels=labels, source="workload"
            )
