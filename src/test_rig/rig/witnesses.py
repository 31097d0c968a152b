"""Witnesses of workloads as files of a run, and their replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from test_rig.errors import UsageError
from test_rig.isolation import Level
from test_rig.rig.places import target_of
from test_rig.runs import RunWriter, decode_json, encode_json
from test_rig.settings import AppConfig
from test_rig.targets import SqlListener, TargetUrl
from test_rig.verdict import TargetInfo, Witness, WorkloadVerdict
from test_rig.workload import Shown, replay

__all__ = ["ReplayRun", "read_witness", "replay_witness", "write_witnesses"]

_FOLDER = "witnesses"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRun:
    """What came of the replays of a witness."""

    witness: Witness
    target: TargetInfo
    level: str
    claim: Level
    #: How often the anomaly was looked for, and how often it occurred.
    tries: int
    occurred: int
    #: Whether the level's claim forbids what occurred.
    is_forbidden: bool


def write_witnesses(writer: RunWriter, shown: WorkloadVerdict) -> None:
    """Write a file into the run's folder for each finding that can be replayed."""
    folder = writer.path / _FOLDER
    for finding in shown.findings:
        if not finding.steps:
            continue
        folder.mkdir(exist_ok=True)
        witness = Witness(
            anomaly=finding.anomaly,
            workload=shown.workload,
            target=shown.target.url,
            level=shown.level,
            told=finding.witnesses[0],
            steps=finding.steps,
        )
        number = len(list(folder.iterdir())) + 1
        name = f"{number:02}-{finding.anomaly.replace(' ', '-')}.json"
        (folder / name).write_bytes(encode_json(witness, pretty=True))


def read_witness(path: Path) -> Witness:
    """Return the witness in a file.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    todo = "name a file of a run's folder `witnesses`"
    try:
        witness = decode_json(path.read_bytes(), Witness)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path), todo=todo) from error
    except msgspec.DecodeError as error:
        raise UsageError(f"this is no witness: {error}", where=str(path), todo=todo) from error
    problem = _problem(witness)
    if problem is not None:
        raise UsageError(f"this is no witness: {problem}", where=str(path), todo=todo)
    return witness


def _problem(witness: Witness) -> str | None:
    for number, step in enumerate(witness.steps, 1):
        if step.do not in ("begin", "append", "read", "commit"):
            return f"step {number}: there is no step {step.do!r}"
        if step.do in ("append", "read") and step.key is None:
            return f"step {number} has no key"
        if step.do == "append" and step.element is None:
            return f"step {number} has no element"
    return None if witness.steps else "it has no steps"


def replay_witness(
    config: AppConfig,
    witness: Witness,
    urls: Sequence[TargetUrl | str],
    *,
    level: str | None = None,
    times: int,
    on_try: Callable[[int, bool], None],
    listener: SqlListener | None = None,
) -> ReplayRun:
    """Play a witness several times on a target and count how often its anomaly occurs.

    Args:
        config: The settings: time limits.
        witness: What to play.
        urls: The target; the witness's own where empty.
        level: The level's key or name; the witness's own if None.
        times: How often.
        on_try: Told of each try and whether the anomaly occurred.
        listener: Told of every statement.

    Raises:
        TargetError: The target could not be used.
        UnknownName: It has no such level.
    """
    occurred: list[Shown] = []

    def count(number: int, shown: tuple[Shown, ...]) -> None:
        same = [each for each in shown if each.flaw.anomaly == witness.anomaly]
        occurred.extend(same[:1])
        on_try(number, bool(same))

    with target_of(config, [*urls, witness.target][0], listener=listener) as target:
        spec = target.level(level or witness.level)
        with target.scratch() as scratch:
            replay(witness.steps, scratch, spec, times=times, on_try=count)
        return ReplayRun(
            witness=witness,
            target=target.info,
            level=spec.name,
            claim=spec.claim,
            tries=times,
            occurred=len(occurred),
            is_forbidden=any(spec.claim in each.flaw.forbidden_by for each in occurred),
        )
