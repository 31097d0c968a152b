"""Witnesses as files, and their replay."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from test_rig.checker import Seen, check, history_of, one_of_each, witness_of
from test_rig.errors import HistoryError, UsageError
from test_rig.history import History, write_history
from test_rig.isolation import Anomaly, Level, history_levels
from test_rig.report import cycle_picture, render_picture, timeline_picture
from test_rig.rig.places import target_of
from test_rig.runs import RunWriter, decode_json, encode_json
from test_rig.scenario import (
    by_search,
    read_spec,
    run_own,
    steps_in,
    witness_played,
    witness_scenario,
    witness_spec,
    witness_steps,
)
from test_rig.settings import AppConfig
from test_rig.targets import Dialect, LevelSpec, Scratch, SqlListener, Target, TargetUrl
from test_rig.verdict import (
    ResultStatus,
    TargetInfo,
    Witness,
    WitnessHistory,
    WitnessStep,
    WorkloadVerdict,
)

__all__ = ["ReplayRun", "read_witness", "replay_witness", "save_witnesses", "write_witnesses"]

_FOLDER = "witnesses"
_FACT = re.compile(r"# (anomaly|level|target|workload): (.+)")
_WRITES = frozenset({"append", "write", "insert"})
_DOES = _WRITES | {"begin", "read", "search", "commit", "rollback"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRun:
    """What came of the replays of a witness."""

    witness: Witness
    target: TargetInfo
    level: str
    claim: Level
    #: How often it was played, in how many of these the anomaly occurred, and how many could not
    #: be judged, because a step did not end or an answer was lost.
    tries: int
    occurred: int
    unjudged: int
    #: Whether the level's claim forbids what occurred.
    is_forbidden: bool


def write_witnesses(writer: RunWriter, shown: WorkloadVerdict, target: Target) -> None:
    """Write into the run's folder what shows each anomaly of a workload."""
    for finding in shown.findings:
        small = finding.history
        if small is None:
            continue
        level = target.level(shown.level)
        dirty = level.claim is Level.READ_UNCOMMITTED
        witness = replace(
            _witness(finding.anomaly, small, shows_uncommitted=dirty),
            workload=shown.workload,
            target=shown.target.url,
            level=shown.level,
        )
        _write(writer.path / _FOLDER, witness, small, (target.dialect, level.begin_once))


def save_witnesses(folder: Path, history: History, found: Sequence[Seen]) -> list[Path]:
    """Write into a folder what shows each anomaly of a history, and return the files.

    Args:
        folder: Where; it is made if need be.
        history: The history.
        found: What was seen in it.

    Raises:
        UsageError: The folder cannot be written.
    """
    files: list[Path] = []
    with Target.open("sqlite://") as spelling:  # as PostgreSQL spells it too
        for seen in one_of_each(found):
            small = witness_of(history, seen)
            witness = _witness(seen.anomaly, small)
            try:
                files += _write(folder, witness, small, (spelling.dialect, ("BEGIN",)))
            except OSError as error:
                what = f"cannot be written: {error.strerror}"
                raise UsageError(what, where=str(folder)) from error
    return files


def _witness(anomaly: str, small: WitnessHistory, *, shows_uncommitted: bool = False) -> Witness:
    why, steps = "; ".join(small.why), witness_steps(small, shows_uncommitted=shows_uncommitted)
    if anomaly == Anomaly.G2.value:  # its registers are rows that a search found or not
        steps = by_search(steps)
    return Witness(anomaly=anomaly, told=why, steps=steps, history=small)


def _write(
    folder: Path,
    witness: Witness,
    small: WitnessHistory,
    spelling: tuple[Dialect, tuple[str, ...]],
) -> list[Path]:
    """Write a witness in all its forms; the numbers of files go on from those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.json"))) + 1
    stem = f"{number:02}-{witness.anomaly.replace(' ', '-')}"
    texts = {
        ".json": encode_json(witness, pretty=True),
        "-cycle.svg": render_picture(cycle_picture(witness.anomaly, small)).encode(),
        "-timeline.svg": render_picture(timeline_picture(witness.anomaly, small)).encode(),
        ".spec": witness_spec(
            witness.steps,
            *spelling,
            facts={
                "anomaly": witness.anomaly,
                "level": witness.level,
                "target": witness.target,
                "workload": witness.workload,
            },
            why=small.why,
        ).encode(),
    }
    if not witness.steps:
        del texts[".spec"]
    found = []
    for suffix, text in texts.items():
        path = folder / f"{stem}{suffix}"
        path.write_bytes(text)
        found.append(path)
    edn = folder / f"{stem}.edn"
    write_history(history_of(small), edn)
    return [*found, edn]


def read_witness(path: Path) -> Witness:
    """Return the witness in a file: JSON, or a specification whose steps tell what they do.

    Raises:
        UsageError: It cannot be read, or is none.
        SpecSyntaxError: It is a specification, and of no witness.
    """
    if path.suffix == ".spec":
        return _from_spec(path)
    todo = "name a file of a folder `witnesses`"
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


def _from_spec(path: Path) -> Witness:
    steps = steps_in(read_spec(path), file=str(path))
    lines = path.read_text(encoding="utf-8").splitlines()
    facts = {match[1]: match[2] for match in map(_FACT.fullmatch, lines) if match is not None}
    if "anomaly" not in facts:
        what = "this is no witness: no line `# anomaly: NAME`"
        raise UsageError(what, where=str(path), todo="say what it is to show")
    witness = Witness(
        anomaly=facts["anomaly"],
        told="",
        steps=steps,
        workload=facts.get("workload"),
        target=facts.get("target"),
        level=facts.get("level"),
    )
    problem = _problem(witness)
    if problem is not None:
        raise UsageError(f"this is no witness: {problem}", where=str(path))
    return witness


def _problem(witness: Witness) -> str | None:
    for number, step in enumerate(witness.steps, 1):
        if step.do not in _DOES:
            return f"step {number}: there is no step {step.do!r}"
        if step.do in _WRITES | {"read", "search"} and step.key is None:
            return f"step {number} has no key"
        if step.do in _WRITES and step.element is None:
            return f"step {number} has no element"
    does = {step.do for step in witness.steps}
    if {"append", "write"} <= does:
        return "it has lists and registers"
    if does & {"search", "insert"} and does & {"append", "write", "read"}:
        return "it searches for rows, and has keys as well"
    return None if witness.steps or witness.history else "it has no steps"


def replay_witness(
    config: AppConfig,
    witness: Witness,
    urls: Sequence[TargetUrl | str],
    *,
    level: str | None = None,
    times: int,
    on_try: Callable[[int, bool | None], None],
    listener: SqlListener | None = None,
) -> ReplayRun:
    """Play a witness several times on a target and count how often its anomaly occurs.

    Args:
        config: The settings: time limits.
        witness: What to play.
        urls: The target; the witness's own where empty.
        level: The level's key or name; the witness's own if None.
        times: How often.
        on_try: Told of each try and whether the anomaly occurred; None where it was not judged.
        listener: Told of every statement.

    Raises:
        TargetError: The target could not be used.
        UnknownName: It has no such level.
        UsageError: Neither the witness nor the caller names a target, or a level.
    """
    if not witness.steps:
        what = f"this witness of {witness.anomaly} has no steps that could be played"
        raise UsageError(what, todo="run the workload again")
    where, at = next(iter(urls), witness.target), level or witness.level
    if where is None or at is None:
        missing = "target" if where is None else "level"
        option = "--url" if where is None else "--level"
        raise UsageError(f"the witness names no {missing}", todo=f"name one with {option}")
    wanted, results = _names(witness), list[bool | None]()
    with target_of(config, where, listener=listener) as target:
        spec = target.level(at)
        with target.scratch() as scratch:
            for number in range(1, times + 1):
                results.append(_try(wanted, witness.steps, scratch, spec))
                on_try(number, results[-1])
        occurred = results.count(True)
        forbidden = history_levels("rw-register").get(spec.claim.value, frozenset())
        is_forbidden = bool(wanted & forbidden)
        if _is_by_search(witness):  # levels differ in what they say of rows by key and by search
            is_forbidden = Anomaly.G2 in spec.claim.info.forbids
        return ReplayRun(
            witness=witness,
            target=target.info,
            level=spec.name,
            claim=spec.claim,
            tries=times,
            occurred=occurred,
            unjudged=results.count(None),
            is_forbidden=bool(occurred) and is_forbidden,
        )


def _is_by_search(witness: Witness) -> bool:
    return any(step.do == "search" for step in witness.steps)


def _names(witness: Witness) -> frozenset[str]:
    """Return what the checker calls an anomaly; a judge of its own kind may have another name."""
    if _is_by_search(witness):
        return frozenset({Anomaly.G2_ITEM.value})  # of rows, each a register
    known = frozenset[str]().union(*history_levels("rw-register").values())
    if witness.anomaly in known or witness.history is None:
        return frozenset({witness.anomaly})
    return frozenset(each.anomaly for each in check(history_of(witness.history)).seen)


def _try(
    wanted: frozenset[str], steps: Sequence[WitnessStep], scratch: Scratch, level: LevelSpec
) -> bool | None:
    """Play the steps once and return whether the anomaly occurred; None if nobody can say."""
    played = run_own(witness_scenario(steps, scratch.dialect), scratch, level)
    if played.status is ResultStatus.ERROR:
        return None
    try:
        seen = check(witness_played(steps, level, played.transcript)).seen
    except (HistoryError, ValueError):
        return None  # what was read is no list, or not what was written
    return not wanted.isdisjoint(each.anomaly for each in seen)
