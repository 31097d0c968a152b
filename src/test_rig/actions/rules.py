"""Rules: when a series of measurements raises an alert, and when the alert is over.

Theory of operation: each rule keeps a small state for each series that it matches: *ok*, *pending*
(the condition holds, but not yet for long enough) or *firing*. `observe` is told of a measurement,
`tick` of time alone; both return the next state and, where something changed, a `Change`. Pure.

- `above` or `below` raises, `clear` ends: between the two nothing changes (hysteresis).
- `levels` are further thresholds in the same direction: a ladder of severities, with the same
  distance between raising and clearing.
- `rate_window_s` compares the change of the value per second instead of the value.
- `absent_s` raises when a series that was there stays away.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal, Self

from msgspec import Struct, UnsetType
from msgspec.structs import replace
from pydantic import BeforeValidator, Field, model_validator

from test_rig.actions.event import MeasurementEvent, severity_rank
from test_rig.actions.options import Options, Seconds

__all__ = [
    "Change",
    "RuleOptions",
    "SeriesState",
    "is_timed",
    "observe",
    "rule_matches",
    "standing",
    "tick",
]

_S = 1_000_000_000
#: The most samples that a rate looks at.
_SAMPLES = 512

SeverityName = Literal["info", "warning", "critical"]


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")  # noqa: TRY004 -- pydantic wants it
    return value


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


class RuleOptions(Options):
    """One rule: the table `[actions.rules.NAME]`."""

    EARLIER: ClassVar = {}

    measurement: str = Field(
        min_length=1, description="The name of the measurements, with `*` and `?`."
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels that a series must have, with `*` and `?`."
    )
    source: str = Field(default="*", description="Where they come from, with `*` and `?`.")
    field: Literal["value", "peak_amplitude", "peak_frequency"] = Field(
        default="value",
        description="What is compared: `value`, or the instrument's `peak_amplitude` or "
        "`peak_frequency`.",
    )
    above: Number | None = Field(default=None, description="Raise when the value is greater.")
    below: Number | None = Field(default=None, description="Raise when the value is less.")
    clear: Number | None = Field(
        default=None,
        description="The alert is over when the value is back at this one; `above` or `below` "
        "itself if unset.",
    )
    levels: dict[SeverityName, Number] = Field(
        default_factory=dict,
        description="Further thresholds for other severities, such as `{critical = 500}`.",
    )
    severity: SeverityName = Field(
        default="warning", description="The severity of `above`, `below` or `absent_s`."
    )
    for_s: Seconds = Field(
        default=0.0, description="How long the condition must hold before the alert, in seconds."
    )
    keep_s: Seconds = Field(
        default=0.0,
        description="How long the value must be back before the alert is over, in seconds.",
    )
    cooldown_s: Seconds = Field(
        default=0.0,
        description="How long after its end the same alert is not raised again, in seconds.",
    )
    rate_window_s: Seconds = Field(
        default=0.0,
        description="Compare the change per second within this time instead of the value.",
    )
    absent_s: Seconds = Field(
        default=0.0, description="Raise when no measurement came for this long, in seconds."
    )
    alert_type: str = Field(default="", description="The alert's type; the rule's name if empty.")
    message: str = Field(
        default="",
        description="A template of the message; it sees `name`, `value`, `threshold`, `labels`, "
        "`source_node_id`, `rule`.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.above is not None and self.below is not None:
            raise ValueError("above and below exclude each other: write two rules")
        limit = self.limit
        if limit is None and not self.absent_s:
            raise ValueError("needs above, below or absent_s")
        if limit is None:
            if self.clear is not None or self.levels or self.rate_window_s:
                raise ValueError("clear, levels and rate_window_s need above or below")
            return self
        if self.absent_s:
            raise ValueError("absent_s excludes above and below: write two rules")
        wrong = [name for name, value in self.levels.items() if self._is_milder(value, limit)]
        if wrong:
            raise ValueError(f"the level {wrong[0]!r} is reached before the rule's own threshold")
        if self.clear is not None and not self._is_milder(self.clear, limit, or_same=True):
            raise ValueError("clear lies on the wrong side of the threshold")
        return self

    def _is_milder(self, value: float, than: float, *, or_same: bool = False) -> bool:
        if value == than:
            return or_same
        return value < than if self.above is not None else value > than

    @property
    def limit(self) -> float | None:
        """The threshold of the rule's own severity."""
        return self.above if self.above is not None else self.below


class SeriesState(Struct, frozen=True, kw_only=True):
    """What a rule remembers of one series. Times are Unix nanoseconds."""

    phase: str = "ok"
    since_ns: int = 0
    severity: str = ""
    #: What was compared last: the value, or its rate.
    seen: float | None = None
    seen_ns: int = 0
    #: Since when it is back while it fires; 0: it is not.
    back_ns: int = 0
    #: When the last alert ended.
    ended_ns: int = 0
    samples: tuple[tuple[int, float], ...] = ()
    name: str = ""
    source: str = ""
    labels: dict[str, str] = {}


class Change(Struct, frozen=True, kw_only=True):
    """An alert begins, changes its severity, or ends."""

    kind: str
    severity: str
    value: float | None
    threshold: float | None
    since_ns: int
    duration_s: float = 0.0


def rule_matches(rule: RuleOptions, event: MeasurementEvent) -> bool:
    """Return whether a rule looks at a measurement."""
    return (
        fnmatchcase(event.name, rule.measurement)
        and fnmatchcase(event.source_node_id, rule.source)
        and _has(event.labels, rule.labels)
    )


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(key in labels and fnmatchcase(labels[key], each) for key, each in wanted.items())


def observe(
    rule: RuleOptions, state: SeriesState, event: MeasurementEvent, *, now_ns: int
) -> tuple[SeriesState, Change | None]:
    """Return the state after a measurement, and what changed."""
    state = replace(
        state,
        name=event.name,
        source=event.source_node_id,
        labels=event.labels,
        seen_ns=now_ns,
    )
    if rule.limit is None:
        state = replace(state, seen=event.value)
        return _step(rule, state, "", now_ns)
    found: float | UnsetType = getattr(event, rule.field)
    if isinstance(found, UnsetType):
        return state, None
    value: float | None = found
    if rule.rate_window_s:
        state, value = _rate(rule, state, event.timestamp_ns, found)
    if value is None or value != value:  # NaN says nothing
        return state, None
    state = replace(state, seen=value)
    return _step(rule, state, _severity(rule, state, value), now_ns)


def tick(
    rule: RuleOptions, state: SeriesState, *, now_ns: int
) -> tuple[SeriesState, Change | None]:
    """Return the state after time has passed, and what changed."""
    if rule.limit is None:
        is_away = now_ns - state.seen_ns >= rule.absent_s * _S
        return _step(rule, state, rule.severity if is_away else "", now_ns)
    if state.seen is None:
        return state, None
    return _step(rule, state, _severity(rule, state, state.seen), now_ns)


def is_timed(rule: RuleOptions, state: SeriesState) -> bool:
    """Return whether time alone can change the state."""
    return rule.limit is None or state.phase == "pending" or state.back_ns > 0


def _rate(
    rule: RuleOptions, state: SeriesState, time_ns: int, value: float
) -> tuple[SeriesState, float | None]:
    oldest_ns = time_ns - rule.rate_window_s * _S
    kept = [each for each in state.samples if each[0] >= oldest_ns][-_SAMPLES:]
    samples = (*kept, (time_ns, value))
    state = replace(state, samples=samples)
    (first_ns, first), (last_ns, last) = samples[0], samples[-1]
    if last_ns <= first_ns:
        return state, None
    return state, (last - first) / ((last_ns - first_ns) / _S)


def _severity(rule: RuleOptions, state: SeriesState, value: float) -> str:
    """Return the severity that a value has now; empty where it is fine.

    While an alert fires, a severity that it reached is left at the clearing distance only.
    """
    assert rule.limit is not None  # noqa: S101 -- the callers looked
    distance = 0.0 if rule.clear is None else rule.limit - rule.clear
    reached = ""
    for name, limit in sorted(
        {**rule.levels, rule.severity: rule.limit}.items(), key=lambda each: severity_rank(each[0])
    ):
        is_held = state.phase == "firing" and severity_rank(name) <= severity_rank(state.severity)
        # Held at the clearing value itself it would never end where both are the same.
        at = limit - distance if is_held else limit
        if value > at if rule.above is not None else value < at:
            reached = name
    return reached


def _step(
    rule: RuleOptions, state: SeriesState, severity: str, now_ns: int
) -> tuple[SeriesState, Change | None]:
    if state.phase == "firing":
        return _step_firing(rule, state, severity, now_ns)
    if not severity:
        return replace(state, phase="ok", since_ns=0, severity=""), None
    if state.ended_ns and now_ns - state.ended_ns < rule.cooldown_s * _S:
        return replace(state, phase="ok", since_ns=0, severity=""), None
    since_ns = state.since_ns if state.phase == "pending" else now_ns
    if now_ns - since_ns < rule.for_s * _S:
        return replace(state, phase="pending", since_ns=since_ns, severity=severity), None
    fired = replace(state, phase="firing", since_ns=now_ns, severity=severity, back_ns=0)
    return fired, _change(rule, fired, "raised")


def _step_firing(
    rule: RuleOptions, state: SeriesState, severity: str, now_ns: int
) -> tuple[SeriesState, Change | None]:
    if severity:
        state = replace(state, back_ns=0)
        if severity == state.severity:
            return state, None
        state = replace(state, severity=severity)
        return state, _change(rule, state, "changed")
    back_ns = state.back_ns or now_ns
    if now_ns - back_ns < rule.keep_s * _S:
        return replace(state, back_ns=back_ns), None
    change = replace(_change(rule, state, "resolved"), duration_s=(now_ns - state.since_ns) / _S)
    over = replace(state, phase="ok", since_ns=0, severity="", back_ns=0, ended_ns=now_ns)
    return over, change


def _change(rule: RuleOptions, state: SeriesState, kind: str) -> Change:
    own = rule.limit if state.severity == rule.severity else None
    levels: Mapping[str, float] = {str(name): limit for name, limit in rule.levels.items()}
    return Change(
        kind=kind,
        severity=state.severity,
        value=state.seen,
        threshold=levels.get(state.severity, own),
        since_ns=state.since_ns,
    )


def standing(name: str, rule: RuleOptions, state: SeriesState, *, now_ns: int) -> str:
    """Return in a sentence why an alert of a rule fires for a series, or does not."""
    what = "the rate" if rule.rate_window_s else "the value"
    seen = "nothing was measured yet" if state.seen is None else f"{what} is {state.seen:g}"
    age_s = (now_ns - state.seen_ns) / _S if state.seen_ns else 0.0
    if rule.limit is None:
        seen = f"the last measurement came {age_s:.1f} s ago, {rule.absent_s:g} s are allowed"
    else:
        side = "above" if rule.above is not None else "below"
        back = "" if rule.clear is None else f", over at {rule.clear:g}"
        seen = f"{seen} (raised {side} {rule.limit:g}{back})"
    since_s = (now_ns - state.since_ns) / _S
    if state.phase == "pending":
        return f"{name} does not fire yet: {seen}, for {since_s:.1f} of {rule.for_s:g} s"
    if state.phase == "firing":
        held = f", kept for {rule.keep_s:g} s" if state.back_ns else ""
        return f"{name} fires as {state.severity} since {since_s:.1f} s: {seen}{held}"
    left_s = rule.cooldown_s - (now_ns - state.ended_ns) / _S if state.ended_ns else 0.0
    cooling = f", and not for another {left_s:.1f} s after the last one" if left_s > 0 else ""
    return f"{name} does not fire: {seen}{cooling}"
