"""What the rig concludes, and the evidence for it.

How to think of it: a *step* was sent to a session and had an outcome; a *transcript* is the steps
of one scenario in the order in which they happened; a *cell* says what the scenario showed for one
anomaly at one level of one target; a *level row* compares its cells with what the server claims.
All are frozen values without behaviour beyond what follows from their fields, made by engines and
read by renderers; they survive a round trip through JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from test_rig.isolation import Anomaly, Level
from test_rig.verdict.witness import WitnessHistory

__all__ = [
    "AuditVerdict",
    "Cell",
    "Finding",
    "HandlerResult",
    "HandlerVisit",
    "LevelRow",
    "Occurrence",
    "Remark",
    "RemarkKind",
    "ResultSet",
    "ResultStatus",
    "StatementRecord",
    "StepPhase",
    "StepRecord",
    "StepReport",
    "StepStatus",
    "SuiteResult",
    "SuiteVerdict",
    "TargetInfo",
    "TargetVerdict",
    "Transcript",
    "Verdict",
    "WorkloadFinding",
    "WorkloadMoment",
    "WorkloadVerdict",
]


class Verdict(Enum):
    """What a judge says."""

    VALID = "valid"
    INVALID = "invalid"
    #: Could not be judged; the reason is told beside it.
    UNKNOWN = "unknown"


class ResultStatus(Enum):
    """How a run of a handler, a task or a scenario ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


class Occurrence(Enum):
    """What one scenario showed for one anomaly."""

    PREVENTED = "prevented"
    OCCURS = "occurs"
    NOT_APPLICABLE = "not applicable"
    UNKNOWN = "unknown"


class StepStatus(Enum):
    """How a step of a scenario ended."""

    OK = "ok"
    ERROR = "error"
    #: Not sent: its transaction was over before.
    SKIPPED = "skipped"
    #: Neither ended nor seen blocked within the limit, or cancelled by the rig at the end.
    UNFINISHED = "unfinished"


class StepPhase(Enum):
    """What one line of a transcript's story says of a step."""

    #: It waits: the server said so, or a marker holds its end back.
    WAITING = "waiting"
    #: It ended without being told as waiting before.
    ENDED = "ended"
    #: It ended after it was told as waiting.
    COMPLETED = "completed"
    #: Its session received a notice.
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One line of a transcript's story."""

    phase: StepPhase
    #: The step's place in the transcript.
    index: int
    #: The notice.
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSet:
    """Rows as the texts that a client would show; None is SQL NULL."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step: what was sent, to which session, and what came of it.

    Times are monotonic nanoseconds since the transcript's start.
    """

    session: str
    step: str
    sql: str
    status: StepStatus
    #: Column names, where the statement gave rows.
    columns: tuple[str, ...] = ()
    #: Rows as the texts that a client would show; None is SQL NULL.
    rows: tuple[tuple[str | None, ...], ...] = ()
    #: Further result sets, of a step with several statements.
    more: tuple[ResultSet, ...] = ()
    #: Rows affected, where the server told.
    row_count: int | None = None
    #: The failure's label: kind and code.
    error: str | None = None
    #: The server's message.
    message: str | None = None
    #: Whether the server said that the step waited for another session, and for which.
    blocked: bool = False
    blocked_by: tuple[str, ...] = ()
    #: From sending to the server's word that it waits; None where it did not wait.
    blocked_seen_ns: int | None = None
    #: Notices and warnings.
    notices: tuple[str, ...] = ()
    start_ns: int = 0
    end_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The steps of one run of a scenario, with what a reader needs to replay them by hand."""

    scenario: str
    #: Statements that made the tables, in order, sent by one session before the steps.
    setup: tuple[str, ...]
    #: Per session: statements sent when the session was opened.
    session_setup: tuple[tuple[str, tuple[str, ...]], ...]
    #: In the order in which the steps were sent; one that was not sent stands where it would be.
    steps: tuple[StepRecord, ...]
    teardown: tuple[str, ...] = ()
    #: Per session: statements sent before it was closed.
    session_teardown: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: The level's name as the server spells it.
    level: str | None = None
    #: The story: which step was seen to wait, to end, in that order.
    reports: tuple[StepReport, ...] = ()
    #: Rows that setup and teardown gave.
    before: tuple[ResultSet, ...] = ()
    after: tuple[ResultSet, ...] = ()
    #: Why the script did not run to its end: an impossible order, or a limit.
    problem: str | None = None
    #: The script's order could never be: a session that was needed waited for idle ones.
    is_impossible: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one scenario showed for one anomaly at one level."""

    anomaly: Anomaly
    occurrence: Occurrence
    #: Why, in a few words: "T2 aborted: deadlock (40P01)", "T2 read 101, which T1 rolled back".
    reason: str
    transcript: Transcript | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An anomaly that a claimed level forbids and that occurred."""

    anomaly: Anomaly
    #: The claim that it breaks.
    level: Level
    #: The witness: the reason of the cell that showed it.
    witness: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRow:
    """One level of one target: the claim, what was seen, and how they compare."""

    #: The level's name as this server spells it, with the mode where modes are levels.
    name: str
    #: What the server's manual promises for it.
    claim: Level
    claim_source: str
    #: What the server answered when asked for its level, or None where it cannot be asked.
    read_back: str | None
    cells: tuple[Cell, ...]
    #: The strongest levels that the cells do not contradict.
    observed: tuple[Level, ...]
    verdict: Verdict
    #: The comparison in words.
    comparison: str
    findings: tuple[Finding, ...] = ()
    duration_s: float = 0.0
    #: What random transactions showed after the scenarios, where they were run.
    workload: WorkloadVerdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetInfo:
    """A target as reports name it."""

    #: The URL without its password.
    url: str
    #: "PostgreSQL", "MariaDB", ...: told by the server.
    product: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVerdict:
    """All levels of one target."""

    target: TargetInfo
    levels: tuple[LevelRow, ...]
    verdict: Verdict
    #: Why the target could not be judged, or was judged only in part.
    error: str | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """The whole audit."""

    targets: tuple[TargetVerdict, ...]
    verdict: Verdict


class RemarkKind(Enum):
    """What is doubtful about a handler's word."""

    #: A statement failed, the handler went on and said that all is well.
    SWALLOWED = "swallowed an error"
    #: It looked at nothing that could have been wrong.
    UNCHECKED = "checked nothing"
    #: A statement that this server does not have; that is no failure of the handler.
    UNSUPPORTED = "not supported here"
    #: What it left behind, and what else the machine had to say.
    LEFT = "left behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something beside a verdict that its reader must know."""

    kind: RemarkKind
    text: str

    @property
    def is_doubt(self) -> bool:
        """Whether it makes a passed verdict doubtful."""
        return self.kind is not RemarkKind.UNSUPPORTED


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRecord:
    """One statement that a handler sent, and what came of it; never its parameters."""

    session: str
    #: The state that the machine was in.
    state: str
    sql: str
    duration_s: float
    #: Rows returned or affected, where the server told.
    row_count: int | None = None
    #: The failure's label: kind and code.
    error: str | None = None
    code: str | None = None
    sqlstate: str | None = None
    #: The server's message.
    message: str | None = None
    #: The statement's own name, where this server does not have it.
    unsupported: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerVisit:
    """One stay of the machine in a state."""

    state: str
    handler: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerResult:
    """How one handler ended, and the evidence for it."""

    handler: str
    file: str
    line: int
    status: ResultStatus
    #: Why, where it did not pass.
    reason: str | None = None
    remarks: tuple[Remark, ...] = ()
    visits: tuple[HandlerVisit, ...] = ()
    #: What the handler itself sent, without the machine's own way to the server.
    statements: tuple[StatementRecord, ...] = ()
    #: How many there were; only the first and last ones are kept of very many.
    statement_count: int = 0
    #: Python's traceback, with the operation, the attempt and the connection's address.
    traceback: str | None = None
    #: What it printed, the end of it if it is long.
    output: str = ""
    duration_s: float = 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether it passed, and there is a reason not to rely on that."""
        passed = self.status is ResultStatus.PASSED
        return passed and any(remark.is_doubt for remark in self.remarks)


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteResult:
    """The handlers of one run on one target."""

    target: TargetInfo
    #: In the order of files and definitions.
    handlers: tuple[HandlerResult, ...]
    #: Files that could not be loaded, each with its line.
    problems: tuple[str, ...] = ()
    #: Why the target could not be used.
    error: str | None = None
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteVerdict:
    """A whole run of handlers."""

    targets: tuple[SuiteResult, ...]
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFinding:
    """One kind of anomaly that a workload showed."""

    #: "G-single", "lost-update", ...
    anomaly: str
    #: What was seen, in words.
    means: str
    #: How often.
    count: int
    #: Whether the claimed level forbids it.
    is_forbidden: bool
    #: The first few, each in a sentence.
    witnesses: tuple[str, ...]
    #: The smallest history that shows it, where one could be made.
    history: WitnessHistory | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadMoment:
    """A short stretch of a workload: what ended in it, and how long the committed ones took."""

    #: Its beginning and length, in seconds since the workload's start.
    at_s: float
    length_s: float
    ok: int
    fail: int
    info: int
    latency_ms_p50: float | None = None
    latency_ms_p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadVerdict:
    """What a workload showed at one level of one target."""

    workload: str
    target: TargetInfo
    #: The level's name as the server spells it, and what its manual promises.
    level: str
    claim: Level
    claim_source: str
    #: What the server answered, in the clients' sessions, when asked for its level.
    read_back: tuple[str, ...]
    verdict: Verdict
    #: The comparison of claim and findings in words.
    comparison: str
    findings: tuple[WorkloadFinding, ...]
    #: How often the workload could have shown what it looks for: (what, count).
    coverage: tuple[tuple[str, int], ...]
    ok: int
    fail: int
    info: int
    #: Failures by kind and code, the most frequent first.
    errors: tuple[tuple[str, int], ...]
    moments: tuple[WorkloadMoment, ...]
    clients: int
    seed: int
    duration_s: float
    #: Why it ended before its time, where it did.
    ended_early: str | None = None
    #: So many transactions, the oldest, were not judged together with all others: 0 where each was.
    apart: int = 0
    #: The weakest levels that forbid something of what was seen.
    weakest_violated: tuple[str, ...] = ()
    #: Where the checker judged what was committed: the strongest that forbid nothing of it.
    strongest_standing: tuple[str, ...] = ()
    #: Of the clients so many never got a connection.
    outside: int = 0
    #: And so many gave theirs back, because the server was full and others need some as well.
    given_back: int = 0
    #: Connections that were refused, by kind, code and first message, the most frequent first.
    refusals: tuple[tuple[str, int], ...] = ()
