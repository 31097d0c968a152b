"""Deleting runs that are over, a few at a time, with everything that is recorded of them.

How to think of it: a run goes with its children, and theirs, or not at all: when one of them is
not over, or ended too recently, all of them stay. A large value goes when no run uses it any more.
Who writes at the same time is kept out by the locks of rows: of the runs that go, so that nobody
retries one of them; and of the values, which whoever names one locks as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from test_rig.workflow.pruning import Pruned, PruneOrder
from test_rig.workflow.sql.saying import Say, marks, slices
from test_rig.workflow.states import RunStatus
from test_rig.workflow.store import Cursor

__all__ = ["prune_some"]

#: Runs without a parent in one transaction: some ten milliseconds.
_AT_ONCE = 200
_OTHERS = ("wf_attempt", "wf_signal", "wf_fire", "wf_use")


def prune_some(
    say: Say, order: PruneOrder, after: Cursor, *, lock: str, is_dry_run: bool
) -> tuple[Pruned, Cursor | None]:
    """Delete some runs; return what went, and where to go on, or None when that was all.

    Args:
        say: Executes statements, of one transaction unless it is a dry run.
        order: Which runs may go.
        after: Where the last few ended.
        lock: What makes a query lock the rows that it gives.
        is_dry_run: Whether nothing is deleted.
    """
    roots = _roots(say, order, after)
    if not roots:
        return Pruned(), None
    gone = _families(say, order, [root for _, root in roots], lock)
    pruned = _counted(say, gone) if is_dry_run else _deleted(say, gone, lock)
    return pruned, roots[-1]


def _roots(say: Say, order: PruneOrder, after: Cursor) -> list[tuple[float, str]]:
    """Return runs that are nobody's child, in the order in which they were made."""
    whose, values = ("", []) if order.workflow is None else (" AND workflow = ?", [order.workflow])
    found = say(
        "SELECT created, id FROM wf_run r WHERE status = ? AND (created, id) > (?, ?)"
        " AND created < ? AND finished < ?"
        " AND (parent IS NULL OR NOT EXISTS (SELECT 1 FROM wf_run p WHERE p.id = r.parent))"
        f"{whose} ORDER BY created, id LIMIT ?",
        (order.status, *after, order.before, order.before, *values, _AT_ONCE),
    )
    return [(created, run_id) for created, run_id in found]


def _families(say: Say, order: PruneOrder, roots: Sequence[str], lock: str) -> list[str]:
    """Return those runs and what descends from them, without families that have to stay."""
    root_of = {root: root for root in roots}
    level = list(roots)
    while level:
        below = []
        for some in slices(level):
            sql = f"SELECT id, parent FROM wf_run WHERE parent IN ({marks(some)})"
            for run_id, parent in say(sql, some):
                root_of[run_id] = root_of[parent]
                below.append(run_id)
        level = below
    staying = set()
    for some in slices(sorted(root_of)):
        sql = f"SELECT id, status, finished FROM wf_run WHERE id IN ({marks(some)})"
        for run_id, status, finished in say(f"{sql} ORDER BY id{lock}", some):
            is_over = RunStatus(status).is_final and finished is not None
            if not is_over or finished >= order.before:
                staying.add(root_of[run_id])
    return [run_id for run_id, root in root_of.items() if root not in staying]


def _counted(say: Say, runs: Sequence[str]) -> Pruned:
    count = 0
    for some in slices(runs):
        sql = f"SELECT count(*) FROM wf_step WHERE run_id IN ({marks(some)})"
        count += say(sql, some)[0][0]
    return Pruned(runs=len(runs), results=count)


def _deleted(say: Say, runs: Sequence[str], lock: str) -> Pruned:
    gone, results, values = 0, 0, 0
    used: set[str] = set()
    for some in slices(runs):
        which = f"IN ({marks(some)})"
        sql = f"SELECT DISTINCT sha256 FROM wf_use WHERE run_id {which}"
        used |= {row[0] for row in say(sql, some)}
        results += say(f"DELETE FROM wf_step WHERE run_id {which}", some)[0][0]
        for table in _OTHERS:
            say(f"DELETE FROM {table} WHERE run_id {which}", some)
        gone += say(f"DELETE FROM wf_run WHERE id {which}", some)[0][0]
    for some in slices(sorted(used)):
        which = f"FROM wf_payload WHERE sha256 IN ({marks(some)})"
        # First the locks, then the look: who named one of them meanwhile is seen by it.
        say(f"SELECT sha256 {which} ORDER BY sha256{lock}", some)
        unused = "NOT EXISTS (SELECT 1 FROM wf_use u WHERE u.sha256 = wf_payload.sha256)"
        values += say(f"DELETE {which} AND {unused}", some)[0][0]
    return Pruned(runs=gone, results=results, values=values)
