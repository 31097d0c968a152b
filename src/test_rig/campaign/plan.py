"""From a campaign's file to its plan: every run it consists of, or everything that is wrong.

How to think of it: the file says what is multiplied; a plan is the product, with the targets'
levels looked up. It holds no password, so that it can be kept and gone on with; where a password
is found is kept instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from test_rig.campaign.document import Document, ExcludeTable, IncludeTable, read_document
from test_rig.campaign.places import FoundTarget, find_targets, name_of
from test_rig.campaign.planned import (
    Check,
    CheckKind,
    LeftOut,
    Limits,
    Pattern,
    Plan,
    PlannedRun,
    plain,
    runs_of,
)
from test_rig.campaign.problems import Problems
from test_rig.errors import RigError, SettingsError, UsageError
from test_rig.resilience import without_passwords
from test_rig.runs import encode_json
from test_rig.settings import AppConfig, OptionValue
from test_rig.suite import file_tasks
from test_rig.targets import TargetUrl
from test_rig.workload import find_workload

__all__ = ["Ready", "make_plan"]

_MAX_RUNS = 100_000
#: Tables that a campaign gives its runs itself.
_OWN_TABLES = ("database", "campaigns", "runs", "workflow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A plan with what must not be kept: addresses with the passwords that the file told."""

    plan: Plan
    urls: Mapping[str, TargetUrl]
    #: The targets whose passwords the file itself tells.
    told: frozenset[str] = frozenset()


def make_plan(path: Path, config: AppConfig) -> Ready:
    """Read a campaign's file, ask its targets for their levels, and return what is to be run.

    A target that cannot be reached now is planned all the same: its runs tell why they failed.

    Raises:
        UsageError: The file cannot be read.
        CampaignInvalid: With everything that is wrong in it.
    """
    document, place, found = read_document(path)
    problems = Problems(place, found)
    settings = _settings(document, problems)
    targets = find_targets(document, config, problems)
    checks = list(_checks(document, problems))
    left_out = list(_left_out(document, targets, problems))
    runs = _matrix(document, targets, checks)
    are_known = all(found.levels is not None for found in targets.values())
    runs = _without(document, runs, problems, are_known=are_known)
    runs += _added(document, targets, problems)
    runs = list(dict.fromkeys(runs))
    if not runs and not problems:
        problems.add("nothing is left to run", "matrix", todo="name workloads, handlers or audit")
    if len(runs) > _MAX_RUNS:
        problems.add(f"these are {len(runs):,} runs; {_MAX_RUNS:,} are the most", "matrix")
    problems.check()
    used = {planned.target for planned in runs}
    asked = document.campaign
    plan = Plan(
        name=asked.name,
        description=asked.description,
        file=str(path.absolute()),
        digest=_digest(document),
        targets=tuple(found.planned for name, found in targets.items() if name in used),
        runs=tuple(runs),
        limits=Limits(
            parallel=asked.parallel, time_limit_s=asked.time_limit_secs, retries=asked.retries
        ),
        left_out=tuple(left_out),
        settings=settings,
    )
    return Ready(
        plan=plan,
        urls={name: targets[name].url for name in used},
        told=frozenset(name for name in used if targets[name].is_told),
    )


def _digest(document: Document) -> str:
    # Who changes a password goes on with the same campaign.
    text = without_passwords(encode_json(document.model_dump()).decode())
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _settings(document: Document, problems: Problems) -> dict[str, Any]:
    """Return the settings for the runs by key; they are checked as those of a file are."""
    found: dict[str, Any] = {}
    for table, keys in document.settings.items():
        for name, value in keys.items():
            key, place = f"{table}.{name}", ("settings", table, name)
            if table in _OWN_TABLES or key == "test.seed":
                todo = "targets, seeds and folders have keys of their own in a campaign"
                problems.add("is not for the runs of a campaign", *place, todo=todo)
                continue
            try:
                AppConfig.from_sources(cli={key: OptionValue(value, key)}, env={}, files=[])
            except SettingsError as error:
                for each in error.problems:
                    problems.add(each.what, *place, todo=each.todo)
            except UsageError as error:
                problems.add_error(error, *place)
            found[key] = value
    return found


def _checks(document: Document, problems: Problems) -> Iterator[Check]:
    matrix = document.matrix
    for at, name in enumerate(matrix.workloads):
        yield from _workload(name, problems, "matrix", "workloads", at)
    if matrix.audit:
        yield Check(kind=CheckKind.AUDIT, name="audit")
    for at, name in enumerate(matrix.handlers):
        yield from _handlers(name, problems, "matrix", "handlers", at)


def _workload(name: str, problems: Problems, *keys: str | int) -> Iterator[Check]:
    try:
        yield Check(kind=CheckKind.WORKLOAD, name=find_workload(name).name)
    except UsageError as error:
        problems.add_error(error, *keys)


def _handlers(name: str, problems: Problems, *keys: str | int) -> Iterator[Check]:
    try:
        if not list(file_tasks(name)):
            problems.add(f"{name} holds no test_*.py", *keys)
    except RigError as error:
        problems.add(f"{name}: {error.what}", *keys, todo=error.todo)
    else:
        yield Check(kind=CheckKind.HANDLERS, name=_absolute(name))


def _absolute(name: str) -> str:
    """Return a file or folder as it is from any working folder; a module stays as it is."""
    return str(Path(name).absolute()) if Path(name).exists() else name


def _key(level: str, found: FoundTarget) -> str | None:
    """Return the key of a level on a target; as it was asked for where nobody can tell."""
    if found.levels is None:
        return level
    for spec in found.levels:
        if plain(level) in (plain(spec.key), plain(spec.name)):
            return spec.key
    return None


def _asked_levels(document: Document) -> list[str]:
    return [each for each in document.matrix.levels if plain(each) != "all"]


def _left_out(
    document: Document, targets: Mapping[str, FoundTarget], problems: Problems
) -> Iterator[LeftOut]:
    """Yield what is asked for and not there; what no target has is a problem of the file."""
    for name, found in targets.items():
        if found.error:
            yield LeftOut(target=name, what="", why=f"not reached while planning: {found.error}")
    for at, level in enumerate(document.matrix.levels):
        if plain(level) == "all":
            continue
        without = [name for name, found in targets.items() if _key(level, found) is None]
        if targets and len(without) == len(targets):
            known = sorted({spec.key for found in targets.values() for spec in found.levels or ()})
            what = f"no target has a level {level!r}"
            problems.add(what, "matrix", "levels", at, todo=f"known: {', '.join(known)}")
        for name in without:
            yield LeftOut(target=name, what=level, why="it has no such level")


def _matrix(
    document: Document, targets: Mapping[str, FoundTarget], checks: list[Check]
) -> list[PlannedRun]:
    asked = _asked_levels(document)
    rows = []
    for text in document.matrix.targets:
        try:
            found = targets[name_of(text, document)]
        except (UsageError, KeyError):
            continue  # that is told already
        keys = [_key(level, found) for level in asked]
        levels: list[str | None] = [key for key in dict.fromkeys(keys) if key is not None]
        if not asked:
            # Of a target that was not reached nobody knows the levels: one run has all of them.
            levels = [None] if found.levels is None else [spec.key for spec in found.levels]
        rows.append((found.planned.name, levels))
    return runs_of(rows, checks, document.matrix.seeds)


def _without(
    document: Document, runs: list[PlannedRun], problems: Problems, *, are_known: bool
) -> list[PlannedRun]:
    """Take away what is excluded; where all levels are known, what excludes nothing is wrong."""
    for at, table in enumerate(document.exclude):
        pattern = _pattern(table)
        kept = [planned for planned in runs if not pattern.matches(planned)]
        if len(kept) == len(runs) and are_known and not problems:
            problems.add("excludes nothing", "exclude", at, todo="correct or remove it")
        runs = kept
    return runs


def _pattern(table: ExcludeTable) -> Pattern:
    def several(value: Any) -> tuple[Any, ...]:
        return tuple(value) if isinstance(value, list) else (value,)

    handlers = [form for each in several(table.handlers) for form in (each, _absolute(each))]
    audit = ["audit"] if table.audit else []
    return Pattern(
        targets=several(table.target),
        levels=several(table.level),
        checks=(*several(table.workload), *handlers, *audit),
        seeds=several(table.seed),
    )


def _added(
    document: Document, targets: Mapping[str, FoundTarget], problems: Problems
) -> Iterator[PlannedRun]:
    for at, table in enumerate(document.include):
        keys = ("include", at)
        checks = list(_included_checks(table, problems, at))
        if not (table.workload or table.handlers or table.audit):
            problems.add("names no workload, no handlers and no audit", *keys)
        try:
            found = targets[name_of(table.target, document)]
        except (UsageError, KeyError):
            continue  # that is told already
        level = None
        if table.level is not None:
            level = _key(table.level, found)
            if level is None:
                known = ", ".join(spec.key for spec in found.levels or ())
                what = f"{found.planned.name} has no level {table.level!r}"
                problems.add(what, *keys, "level", todo=f"known: {known}")
        seed = document.matrix.seeds[0] if table.seed is None else table.seed
        yield from runs_of([(found.planned.name, [level])], checks, [seed])


def _included_checks(table: IncludeTable, problems: Problems, at: int) -> Iterator[Check]:
    if table.workload is not None:
        yield from _workload(table.workload, problems, "include", at, "workload")
    if table.audit:
        yield Check(kind=CheckKind.AUDIT, name="audit")
    if table.handlers is not None:
        yield from _handlers(table.handlers, problems, "include", at, "handlers")
