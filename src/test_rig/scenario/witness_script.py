"""The steps of a witness as SQL, as a specification file, and what came of them as a history.

How to think of it: a witness reads and writes lists or registers, in the tables that the workloads
use: two for each kind, a key's parity says which. Or it searches groups of rows and inserts some:
then each row is a register of its own, and a search reads of all in its group whether they are
there. The steps' names in a specification tell what they do (`T0_1_append_5_7`: the first thing
that T0 does is to append 7 to key 5), so that a file can be played on a database that spells it in
another way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from test_rig.errors import SpecSyntaxError
from test_rig.history import History, HistoryBuilder, Mop, OpType
from test_rig.scenario.hermitage import steps_of
from test_rig.scenario.own import OwnScenario
from test_rig.scenario.script import CHECK
from test_rig.scenario.spec import Permutation, PermutationStep, SessionSpec, Spec, Step
from test_rig.targets import Dialect, LevelSpec
from test_rig.verdict import StepRecord, StepStatus, Transcript, WitnessStep

__all__ = ["steps_in", "witness_played", "witness_scenario", "witness_spec"]

_LISTS, _REGISTERS, _MEMBERS = "lists", "registers", "members"
#: The first words of what reads and writes.
_CALLED = {
    "append": "INSERT",
    "write": "INSERT",
    "insert": "INSERT",
    "read": "SELECT",
    "search": "SELECT",
}
_ENDS = {"commit": "COMMIT", "rollback": "ROLLBACK"}
_WRITES = ("append", "write", "insert")
_NAME = re.compile(
    r"T(\d+)_\d+_(begin|append|write|read|search|insert|commit|rollback)(?:_(\d+))?(?:_(\d+))?"
)
_MAKING = {
    _LISTS: "CREATE TABLE {} (k INTEGER PRIMARY KEY, v TEXT)",
    _REGISTERS: "CREATE TABLE {} (k INTEGER PRIMARY KEY, v INTEGER)",
    _MEMBERS: "CREATE TABLE {} (k INTEGER, v INTEGER, PRIMARY KEY (k, v))",
}
#: Of a COMMIT that fails by one of these nobody knows whether it had an effect.
_UNSURE = ("connection lost", "indeterminate commit", "timeout", "cancelled")


def _kind(steps: Sequence[WitnessStep]) -> str:
    if any(step.do in ("search", "insert") for step in steps):
        return _MEMBERS
    return _REGISTERS if any(step.do == "write" for step in steps) else _LISTS


def _tables(steps: Sequence[WitnessStep]) -> list[str]:
    kind = _kind(steps)
    if kind == _MEMBERS:
        return [kind]
    return [f"{kind}{half}" for half in sorted({(s.key or 0) % 2 for s in steps if s.do in _DO})]


_DO = frozenset({"append", "write", "read", "search", "insert"})


def _sql(step: WitnessStep, kind: str, dialect: Dialect) -> str:
    if step.do not in _DO:
        return _ENDS.get(step.do, "BEGIN")
    if step.do == "search":
        return f"SELECT v FROM {_MEMBERS} WHERE k = {step.key}"  # noqa: S608 - numbers, our names
    if step.do == "insert":
        values = f"{step.key}, {step.element}"
        return f"INSERT INTO {_MEMBERS} (k, v) VALUES ({values})"  # noqa: S608 - numbers, our names
    table = f"{kind}{(step.key or 0) % 2}"
    if step.do == "read":
        return f"SELECT v FROM {table} WHERE k = {step.key}"  # noqa: S608 - numbers and our names
    value = f"'{step.element}'" if kind == _LISTS else str(step.element)
    text = dialect.upsert(table, "k", "v", appends=kind == _LISTS)
    for literal in (str(step.key), value):
        text = text.replace(dialect.placeholder, literal, 1)
    return text


def witness_scenario(steps: Sequence[WitnessStep], dialect: Dialect) -> OwnScenario:
    """Return a scenario that plays the steps and reads what is left."""
    kind, tables = _kind(steps), _tables(steps)
    final = " UNION ALL ".join(f"SELECT k, v FROM {table}" for table in tables)  # noqa: S608 - ours
    return OwnScenario(
        name="witness",
        title="",
        setup=tuple(_MAKING[kind].format(table) for table in tables),
        steps=tuple((step.session, _sql(step, kind, dialect)) for step in steps),
        final=final or None,
        teardown=tuple(f"DROP TABLE {table}" for table in tables),
        expect=(),
    )


def witness_spec(
    steps: Sequence[WitnessStep],
    dialect: Dialect,
    begin: tuple[str, ...],
    *,
    facts: Mapping[str, str | None],
    why: Sequence[str],
) -> str:
    """Return the steps as the text of a specification file.

    Args:
        steps: The steps in order.
        dialect: How its SQL is spelled.
        begin: What starts a transaction of the level.
        facts: What to tell in its first lines, by name: anomaly, level, target.
        why: What was seen, in sentences.
    """
    kind, tables = _kind(steps), _tables(steps)
    sessions: dict[str, list[Step]] = {}
    order: list[PermutationStep] = []
    counts: dict[int, int] = {}
    for step in steps:
        number = counts[step.txn] = counts.get(step.txn, -1) + 1
        parts = ("T" + str(step.txn), number, step.do, step.key, step.element)
        name = "_".join(str(part) for part in parts if part is not None)
        sql = "; ".join(begin) if step.do == "begin" else _sql(step, kind, dialect)
        sessions.setdefault(step.session, []).append(Step(name=name, sql=f"{sql};"))
        order.append(PermutationStep(step=name))
    spec = Spec(
        setup=tuple(f"{_MAKING[kind].format(table)};" for table in tables),
        sessions=tuple(
            SessionSpec(name=name, steps=tuple(steps)) for name, steps in sorted(sessions.items())
        ),
        permutations=(Permutation(steps=tuple(order)),),
        teardown=" ".join(f"DROP TABLE {table};" for table in tables) or None,
    )
    told = [f"# {name}: {value}" for name, value in facts.items() if value]
    lines = [*told, *(f"# {line}" for line in why)]
    return "\n".join([*(line.replace("\n", " ") for line in lines), "", str(spec)])


def steps_in(spec: Spec, *, file: str) -> tuple[WitnessStep, ...]:
    """Return the steps of a witness that a specification has, by their names.

    Raises:
        SpecSyntaxError: A step's name does not tell what it does, or there is no single order.
    """
    if len(spec.permutations) != 1:
        what = f"a witness has one permutation, this has {len(spec.permutations)}"
        raise SpecSyntaxError(what, file=file, line=1, column=1)
    found, strange = [], []
    for place in spec.permutations[0].steps:
        match = _NAME.fullmatch(place.step)
        session = spec.steps[place.step][0].name
        if match is None or (match[3] is None) != (match[2] not in _DO):
            strange.append(place.step)
            continue
        if (match[4] is None) != (match[2] not in _WRITES):
            strange.append(place.step)
            continue
        key, element = (None if each is None else int(each) for each in (match[3], match[4]))
        found.append(
            WitnessStep(txn=int(match[1]), session=session, do=match[2], key=key, element=element)
        )
    if strange:
        what = f"names do not tell what a witness does: {', '.join(strange)}"
        raise SpecSyntaxError(what, file=file, line=1, column=1)
    return tuple(found)


def witness_played(
    steps: Sequence[WitnessStep], level: LevelSpec, transcript: Transcript
) -> History:
    """Return what a run of the steps came to, as a history of transactions.

    Raises:
        ValueError: A row holds what nobody wrote.
    """
    records = _by_step(steps, level, transcript)
    builder = HistoryBuilder()
    kind_of = _kind(steps)
    is_list = kind_of == _LISTS
    rows = _rows(steps)
    for txn in sorted({step.txn for step in steps}):
        mine = [(step, record) for step, record in records if step.txn == txn]
        kind = _outcome(mine)
        done = [each for each in mine if each[0].do in _DO]
        if kind_of == _MEMBERS:
            mops = [mop for step, record in done for mop in _of_rows(step, record, rows)]
        else:
            mops = [_mop(step, record, is_list=is_list) for step, record in done]
        if not mops:
            continue
        times = [record.start_ns for _, record in mine if record is not None]
        ends = [record.end_ns or record.start_ns for _, record in mine if record is not None]
        start, end = min(times, default=0), max(ends, default=0)
        name = next(step.session for step, _ in mine)
        process = name if kind is not OpType.INFO else f"{name}, T{txn}"
        builder.record(process, kind, mops, start=start, end=end)
    final = [step for step in transcript.steps if step.session == CHECK]
    if final and final[-1].status is StepStatus.OK:
        mops = _left(steps, final[-1], rows, is_list=is_list)
        last = max((step.end_ns or step.start_ns for step in transcript.steps), default=0)
        builder.record("final", OpType.OK, mops, start=last + 1, end=last + 2)
    return builder.history()


#: The rows of groups that are inserted, each with the number of its register.
_Rows = Mapping[tuple[int, int], int]


def _rows(steps: Sequence[WitnessStep]) -> _Rows:
    found = {(step.key or 0, step.element or 0) for step in steps if step.do == "insert"}
    return {row: number for number, row in enumerate(sorted(found))}


def _of_rows(step: WitnessStep, record: StepRecord | None, rows: _Rows) -> list[Mop]:
    """Return what a search or an insert does with each row, whose value is 1 once it is there."""
    if step.do == "insert":
        return [("w", rows[step.key or 0, step.element or 0], 1)]
    there = set[int]()
    is_known = record is not None and record.status is StepStatus.OK
    if record is not None and is_known:
        there = {int(row[0] or 0) for row in record.rows}
    mine = [(value, number) for (group, value), number in rows.items() if group == step.key]
    return [("r", number, 1 if value in there else None) for value, number in mine]


def _left(
    steps: Sequence[WitnessStep], final: StepRecord, rows: _Rows, *, is_list: bool
) -> list[Mop]:
    """Return the reads of all that is left."""
    if rows or _kind(steps) == _MEMBERS:
        there = {(int(row[0] or 0), int(row[1] or 0)) for row in final.rows}
        return [("r", number, 1 if row in there else None) for row, number in rows.items()]
    left = {int(row[0] or 0): row[1] for row in final.rows}
    keys = sorted({step.key for step in steps if step.key is not None})
    return [("r", key, _read(left.get(key), is_list=is_list)) for key in keys]


def _by_step(
    steps: Sequence[WitnessStep], level: LevelSpec, transcript: Transcript
) -> list[tuple[WitnessStep, StepRecord | None]]:
    """Return each step with its record; a BEGIN with that of its last statement.

    By name: a transaction that fails has a ROLLBACK in the transcript that is no step.
    """
    records: dict[str, StepRecord] = {}
    for record in transcript.steps:
        records.setdefault(record.step, record)
    # What the steps are called does not depend on how a database spells them.
    lines = tuple((step.session, _CALLED.get(step.do, step.do.upper())) for step in steps)
    names = iter(steps_of(lines, level.begin))
    found: list[tuple[WitnessStep, StepRecord | None]] = []
    for step in steps:
        for _ in range(len(level.begin) if step.do == "begin" else 1):
            name = next(names).name
        found.append((step, records.get(name)))
    return found


def _outcome(mine: Sequence[tuple[WitnessStep, StepRecord | None]]) -> OpType:
    *_, (last, record) = mine
    if record is None or last.do == "rollback" or record.status is StepStatus.SKIPPED:
        return OpType.FAIL
    if record.status is StepStatus.OK:
        return OpType.OK
    return OpType.INFO if (record.error or "").startswith(_UNSURE) else OpType.FAIL


def _mop(step: WitnessStep, record: StepRecord | None, *, is_list: bool) -> Mop:
    key = step.key or 0
    if step.do != "read":
        return ("append" if step.do == "append" else "w", key, step.element)
    if record is None or record.status is not StepStatus.OK:
        return ("r", key, None)
    return ("r", key, _read(record.rows[0][0] if record.rows else None, is_list=is_list))


def _read(text: str | None, *, is_list: bool) -> list[int] | int | None:
    if is_list:
        return [int(part) for part in text.split(",")] if text else []
    return None if text is None else int(text)
