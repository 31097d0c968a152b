"""A script: what one run sends, in order, before it is known what the sessions will make of it.

Specification files, the built-in scenarios and a person's own all become scripts; `run` plays one
and gives its transcript.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from test_rig.scenario.moves import OnError
from test_rig.scenario.spec import Blocker, Permutation, Spec

__all__ = ["CHECK", "Script", "ScriptSession", "ScriptStep", "script_of"]

#: The session that reads the final state, after all others are over.
CHECK = "check"
# A deadlock's is no limit of a wait: it only says when the server looks for circles.
_TIME_LIMIT = re.compile(r"\b(?!deadlock_timeout)\w*timeout\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptStep:
    """One text for one session."""

    session: str
    name: str
    sql: str
    blockers: tuple[Blocker, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSession:
    """A session and what it runs before the first step and after the last."""

    name: str
    setup: tuple[str, ...] = ()
    teardown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What one run sends."""

    name: str
    setup: tuple[str, ...]
    sessions: tuple[ScriptSession, ...]
    steps: tuple[ScriptStep, ...]
    #: Read by a session of its own when all transactions are over.
    final: str | None = None
    teardown: tuple[str, ...] = ()
    on_error: OnError

    @property
    def sets_time_limits(self) -> bool:
        """Whether the script sets a time limit on the server, and so may rely on one."""
        texts = [*self.setup, *(step.sql for step in self.steps)]
        texts += [text for session in self.sessions for text in session.setup]
        return any(_TIME_LIMIT.search(text) for text in texts)


def script_of(spec: Spec, permutation: Permutation) -> Script:
    """Return one permutation of a specification as a script."""
    steps = spec.steps
    return Script(
        name=permutation.name,
        setup=spec.setup,
        sessions=tuple(
            ScriptSession(
                name=session.name,
                setup=(session.setup,) if session.setup else (),
                teardown=(session.teardown,) if session.teardown else (),
            )
            for session in spec.sessions
        ),
        steps=tuple(
            ScriptStep(
                session=steps[place.step][0].name,
                name=place.step,
                sql=steps[place.step][1].sql,
                blockers=place.blockers,
            )
            for place in permutation.steps
        ),
        teardown=(spec.teardown,) if spec.teardown else (),
        on_error=OnError.CONTINUE,
    )
