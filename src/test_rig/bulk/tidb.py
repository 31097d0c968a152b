"""TiDB's import jobs, out of `SHOW IMPORT JOBS`, whichever columns its version has.

TiDB documentation, SHOW IMPORT JOB: 13 columns up to v8.5.0, then 20 (`Cur_Step...`), then 21
(`Group_Key`); so columns are taken by name, and a missing one is nothing known. Sizes and speeds
are texts for people. Timestamps are in the session's time zone, so they are only ever compared with
the same session's `NOW()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from test_rig.bulk.job import ImportJob, JobState

__all__ = ["read_jobs", "size_of", "span_of"]

_STATES = {
    "pending": JobState.QUEUED,
    "running": JobState.RUNNING,
    "finished": JobState.FINISHED,
    "failed": JobState.FAILED,
    # The source has two l, the documentation one.
    "cancelled": JobState.CANCELLED,
    "canceled": JobState.CANCELLED,
}
_SIZE = re.compile(r"\s*([\d.]+)\s*([KMGTPE]?)(i?)B\s*", re.IGNORECASE)
_CLOCK = re.compile(r"\s*(?:(\d+)d)?\s*(\d+):(\d{2}):(\d{2})\s*")
_SPAN = re.compile(r"([\d.]+)(h|m(?!s)|s)")
_UNITS = " KMGTPE"


def read_jobs(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], now: datetime | None
) -> list[ImportJob]:
    """Return the jobs of an answer.

    Args:
        columns: The answer's column names.
        rows: Its rows.
        now: The same session's clock.
    """
    return [_job(dict(zip(columns, row, strict=True)), now) for row in rows]


def _job(raw: Mapping[str, Any], now: datetime | None) -> ImportJob:
    given = {name.lower(): value for name, value in raw.items()}
    number = str(given.get("job_id"))
    state = _STATES.get(str(given.get("status")).lower(), JobState.UNKNOWN)
    total = size_of(given.get("source_file_size"))
    step = _text(given.get("cur_step"))
    return ImportJob(
        id=number,
        key=number,
        table=_text(given.get("target_table")),
        source=_text(given.get("data_source")),
        state=state,
        phase=" / ".join(filter(None, (_text(given.get("phase")), step))) or None,
        rows_done=_number(given.get("imported_rows")),
        # What a step has processed may be gone through again by the next: only what is finished
        # has the whole of its source done.
        bytes_done=total if state is JobState.FINISHED else None,
        bytes_total=total,
        message=_text(given.get("result_message")),
        step_done=_share(given.get("cur_step_progress_pct")),
        server_left_s=span_of(given.get("cur_step_eta")),
        elapsed_s=_elapsed_s(given, now),
        columns=tuple(raw.items()),
    )


def _elapsed_s(given: Mapping[str, Any], now: datetime | None) -> float | None:
    start = _time(given.get("start_time"))
    end = _time(given.get("end_time")) or now
    return None if start is None or end is None else max((end - start).total_seconds(), 0.0)


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None  # NULL, or the zero date


def _text(value: Any) -> str | None:
    text = "" if value is None else str(value).strip()
    return None if text.upper() in ("", "NULL") else text


def _number(value: Any) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _share(percent: Any) -> float | None:
    try:
        share = float(str(percent).strip().removesuffix("%")) / 100
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def size_of(text: Any) -> int | None:
    """Return the bytes that a size for people means; None for what is none.

    >>> size_of("1.5GiB"), size_of("4.55GB"), size_of("16B"), size_of("3 conflicts")
    (1610612736, 4550000000, 16, None)
    """
    found = None if text is None else _SIZE.fullmatch(str(text))
    if found is None:
        return None
    unit = _UNITS.index(found[2].upper() or " ")
    return round(float(found[1]) * float(1024 if found[3] else 1000) ** unit)


def span_of(text: Any) -> float | None:
    """Return the seconds that a span of time for people means; None for what is none.

    >>> span_of("07:26:03"), span_of("2m30s"), span_of(None)
    (26763.0, 150.0, None)
    """
    found = None if text is None else _CLOCK.fullmatch(str(text))
    if found is not None:
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    parts = _SPAN.findall("" if text is None else str(text))
    if not parts:
        return None
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)
