"""What a whole run of handlers comes to."""

from __future__ import annotations

from collections.abc import Sequence

from test_rig.verdict import ResultStatus, SuiteResult, Verdict

__all__ = ["suite_verdict"]

_FINE = (ResultStatus.PASSED, ResultStatus.SKIPPED)


def suite_verdict(targets: Sequence[SuiteResult], is_strict: bool = False) -> Verdict:
    """Return the verdict of a run: invalid if anything did not pass.

    Args:
        targets: The results.
        is_strict: Take a doubtful result for one that did not pass.
    """
    results = [result for target in targets for result in target.handlers]
    is_broken = any(target.problems for target in targets)
    if is_broken or any(result.status not in _FINE for result in results):
        return Verdict.INVALID
    if is_strict and any(result.is_doubtful for result in results):
        return Verdict.INVALID
    if not results or any(target.error for target in targets):
        return Verdict.UNKNOWN
    return Verdict.VALID
