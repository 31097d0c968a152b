"""The built-in scenarios: one for each anomaly that the rig looks for.

How to think of it: a scenario is data, written so that every SQL database takes it: a small
table, transactions T1 to T3, statements in an order in which a weak level shows the anomaly, and a
last read of what is left. `BEGIN` stands for whatever starts a transaction of the level under test.

The scenarios are those of the Hermitage suite (M. Kleppmann, 2014), in SQL of our own. Where they
differ, it is so that the outcome speaks for itself. In the dirty write each transaction would be
the last to write one of the rows, so that permission shows in what is left. In the lost update the
two write different values. In the phantom write T2 reads by its predicate before T1 writes, so
that a dirty read cannot hide what the delete does. The second write predicate of the read skew is
our own: there the predicate matches the other transaction's value, so that a database that refuses
nothing and reads one snapshot throughout passes too.
"""

from __future__ import annotations

from dataclasses import dataclass

from test_rig.isolation import Anomaly
from test_rig.scenario import judge
from test_rig.scenario.judge import Pattern
from test_rig.scenario.moves import OnError
from test_rig.scenario.script import Script, ScriptSession, ScriptStep
from test_rig.targets import LevelSpec

__all__ = ["BUILT_IN", "Scenario", "steps_of"]

_SETUP = (
    "DROP TABLE IF EXISTS test",
    "CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER)",
    "INSERT INTO test (id, value) VALUES (1, 10), (2, 20)",
)
_TEARDOWN = ("DROP TABLE test",)
_FINAL = "SELECT id, value FROM test ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One anomaly's script and pattern."""

    name: str
    anomaly: Anomaly
    title: str
    #: (session, SQL) in the order in which they are sent; BEGIN and COMMIT as words.
    steps: tuple[tuple[str, str], ...]
    pattern: Pattern
    setup: tuple[str, ...] = _SETUP
    final: str = _FINAL
    teardown: tuple[str, ...] = _TEARDOWN

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions, in order."""
        return tuple(sorted({session for session, _ in self.steps}))

    def script(self, level: LevelSpec | None) -> Script:
        """Return the script for one level; None stands for the server's default."""
        begin = level.begin if level else ("BEGIN",)
        return Script(
            name=self.name,
            setup=self.setup,
            sessions=tuple(ScriptSession(name=name) for name in self.sessions),
            steps=steps_of(self.steps, begin),
            final=self.final,
            teardown=self.teardown,
            on_error=OnError.ABORT,
        )


_KINDS = {
    "BEGIN": "begin",
    "START": "begin",
    "COMMIT": "commit",
    "ROLLBACK": "rollback",
    "SELECT": "read",
    "INSERT": "write",
    "UPDATE": "write",
    "DELETE": "write",
}


def steps_of(lines: tuple[tuple[str, str], ...], begin: tuple[str, ...]) -> tuple[ScriptStep, ...]:
    """Return named steps: BEGIN becomes the level's own statements, names tell who does what."""
    sent = [
        (session, sql)
        for session, line in lines
        for sql in (begin if line.strip().rstrip(";").upper() == "BEGIN" else (line,))
    ]
    counts: dict[str, int] = {}
    steps = []
    for session, sql in sent:
        kind = _KINDS.get((sql.split(None, 1) or [""])[0].rstrip(";").upper(), "step")
        stem = f"{session.lower()}-{kind}"
        counts[stem] = counts.get(stem, 0) + 1
        # Reads and writes are numbered from the first, the others only where they repeat.
        is_numbered = kind in ("read", "write", "step") or counts[stem] > 1
        name = f"{stem}-{counts[stem]}" if is_numbered else stem
        steps.append(ScriptStep(session=session, name=name, sql=sql))
    return tuple(steps)


def _lines(text: str) -> tuple[tuple[str, str], ...]:
    """Return "T1 SQL" lines as steps."""
    pairs = (line.strip().split(None, 1) for line in text.strip().splitlines())
    return tuple((session, sql) for session, sql in pairs)


def _scenario(anomaly: Anomaly, pattern: Pattern, text: str) -> Scenario:
    return Scenario(
        name=anomaly.value.lower(),
        anomaly=anomaly,
        title=anomaly.info.title,
        steps=_lines(text),
        pattern=pattern,
    )


_SCENARIOS = (
    _scenario(
        Anomaly.G0,
        judge.dirty_write,
        """
        T1 BEGIN
        T2 BEGIN
        T1 UPDATE test SET value = 11 WHERE id = 1
        T2 UPDATE test SET value = 12 WHERE id = 1
        T2 UPDATE test SET value = 22 WHERE id = 2
        T1 UPDATE test SET value = 21 WHERE id = 2
        T1 COMMIT
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G1A,
        judge.aborted_read,
        """
        T1 BEGIN
        T2 BEGIN
        T1 UPDATE test SET value = 101 WHERE id = 1
        T2 SELECT id, value FROM test ORDER BY id
        T1 ROLLBACK
        T2 SELECT id, value FROM test ORDER BY id
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G1B,
        judge.intermediate_read,
        """
        T1 BEGIN
        T2 BEGIN
        T1 UPDATE test SET value = 101 WHERE id = 1
        T2 SELECT id, value FROM test ORDER BY id
        T1 UPDATE test SET value = 11 WHERE id = 1
        T1 COMMIT
        T2 SELECT id, value FROM test ORDER BY id
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G1C,
        judge.circular_flow,
        """
        T1 BEGIN
        T2 BEGIN
        T1 UPDATE test SET value = 11 WHERE id = 1
        T2 UPDATE test SET value = 22 WHERE id = 2
        T1 SELECT id, value FROM test WHERE id = 2
        T2 SELECT id, value FROM test WHERE id = 1
        T1 COMMIT
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.OTV,
        judge.vanishing,
        """
        T1 BEGIN
        T2 BEGIN
        T3 BEGIN
        T1 UPDATE test SET value = 11 WHERE id = 1
        T1 UPDATE test SET value = 19 WHERE id = 2
        T2 UPDATE test SET value = 12 WHERE id = 1
        T1 COMMIT
        T3 SELECT id, value FROM test ORDER BY id
        T2 UPDATE test SET value = 18 WHERE id = 2
        T3 SELECT id, value FROM test ORDER BY id
        T2 COMMIT
        T3 SELECT id, value FROM test ORDER BY id
        T3 COMMIT
        """,
    ),
    _scenario(
        Anomaly.PMP,
        judge.phantom_read,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE value = 30
        T2 INSERT INTO test (id, value) VALUES (3, 30)
        T2 COMMIT
        T1 SELECT id, value FROM test WHERE value % 3 = 0
        T1 COMMIT
        """,
    ),
    _scenario(
        Anomaly.PMP_WRITE,
        judge.phantom_write,
        """
        T1 BEGIN
        T2 BEGIN
        T2 SELECT id, value FROM test WHERE value = 20
        T1 UPDATE test SET value = value + 10
        T2 DELETE FROM test WHERE value = 20
        T1 COMMIT
        T2 SELECT id, value FROM test ORDER BY id
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.P4,
        judge.lost_update,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE id = 1
        T2 SELECT id, value FROM test WHERE id = 1
        T1 UPDATE test SET value = 11 WHERE id = 1
        T2 UPDATE test SET value = 12 WHERE id = 1
        T1 COMMIT
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G_SINGLE,
        judge.read_skew,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE id = 1
        T2 SELECT id, value FROM test WHERE id = 1
        T2 SELECT id, value FROM test WHERE id = 2
        T2 UPDATE test SET value = 12 WHERE id = 1
        T2 UPDATE test SET value = 18 WHERE id = 2
        T2 COMMIT
        T1 SELECT id, value FROM test WHERE id = 2
        T1 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G_SINGLE_DEPENDENT,
        judge.predicate_skew,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE value % 5 = 0 ORDER BY id
        T2 UPDATE test SET value = 12 WHERE value = 10
        T2 COMMIT
        T1 SELECT id, value FROM test WHERE value % 3 = 0 ORDER BY id
        T1 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G_SINGLE_WRITE_1,
        judge.skew_seen_by_delete,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE id = 1
        T2 SELECT id, value FROM test ORDER BY id
        T2 UPDATE test SET value = 12 WHERE id = 1
        T2 UPDATE test SET value = 18 WHERE id = 2
        T2 COMMIT
        T1 DELETE FROM test WHERE value = 20
        T1 SELECT id, value FROM test WHERE id = 2
        T1 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G_SINGLE_WRITE_2,
        judge.skew_seen_by_update,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE id = 1
        T2 UPDATE test SET value = 12 WHERE id = 1
        T2 UPDATE test SET value = 18 WHERE id = 2
        T2 COMMIT
        T1 UPDATE test SET value = value + 5 WHERE value = 12
        T1 SELECT id, value FROM test WHERE id = 1
        T1 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G2_ITEM,
        judge.write_skew,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE id IN (1, 2) ORDER BY id
        T2 SELECT id, value FROM test WHERE id IN (1, 2) ORDER BY id
        T1 UPDATE test SET value = 11 WHERE id = 1
        T2 UPDATE test SET value = 21 WHERE id = 2
        T1 COMMIT
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G2,
        judge.predicate_write_skew,
        """
        T1 BEGIN
        T2 BEGIN
        T1 SELECT id, value FROM test WHERE value % 3 = 0
        T2 SELECT id, value FROM test WHERE value % 3 = 0
        T1 INSERT INTO test (id, value) VALUES (3, 30)
        T2 INSERT INTO test (id, value) VALUES (4, 42)
        T1 COMMIT
        T2 COMMIT
        """,
    ),
    _scenario(
        Anomaly.G2_TWO_EDGES,
        judge.reader_skew,
        """
        T1 BEGIN
        T1 SELECT id, value FROM test ORDER BY id
        T2 BEGIN
        T2 UPDATE test SET value = value + 5 WHERE id = 2
        T2 COMMIT
        T3 BEGIN
        T3 SELECT id, value FROM test ORDER BY id
        T3 COMMIT
        T1 UPDATE test SET value = 0 WHERE id = 1
        T1 COMMIT
        """,
    ),
)

#: The built-in scenarios by name, in the order of the anomalies.
BUILT_IN: dict[str, Scenario] = {scenario.name: scenario for scenario in _SCENARIOS}
