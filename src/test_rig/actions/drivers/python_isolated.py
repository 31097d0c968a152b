"""One call of a script in a process that is made for it."""

from __future__ import annotations

import ast
from contextlib import suppress
from dataclasses import replace

import msgspec

from test_rig.actions.drivers.python_script import FunctionNames
from test_rig.errors import PluginError
from test_rig.plugins import Answer, Call, Outcome, Script, Worker, WorkerPlan, WorkerResting

__all__ = ["run_alone"]


def run_alone(
    plan: WorkerPlan,
    names: FunctionNames,
    function: str,
    *,
    body: bytes,
    takes_event: bool,
    timeout_s: float,
) -> Answer:
    """Run a script for one event, which is on its standard input too.

    Args:
        plan: How it runs.
        names: What its functions are called; if it has none of them, it is run as a program.
        function: The one that the event is for.
        body: The event as JSON.
        takes_event: Whether the function wants it as its argument.
        timeout_s: The limit of loading, and that of the call.
    """
    path = plan.script.path
    assert path is not None  # noqa: S101 -- the driver's plan names a file
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        return Answer(outcome=Outcome.RAISED, error=f"{path} cannot be read: {error.strerror}")
    plan = replace(plan, standard_input=body, limits=replace(plan.limits, start_s=timeout_s))
    if _is_program(text, names):
        return _run_program(plan, text, timeout_s)
    try:
        with Worker(plan) as worker:
            if function not in worker.functions(function):
                return Answer(outcome=Outcome.RETURNED)
            call = Call(function, (body,) if takes_event else ())
            return worker.run([call], timeout_s=timeout_s)[0]
    except (PluginError, WorkerResting) as error:
        first, _, rest = str(error).partition("\n")
        return Answer(outcome=Outcome.RAISED, error=first, detail=rest)


def _is_program(text: str, names: FunctionNames) -> bool:
    with suppress(SyntaxError, ValueError):
        defined = {getattr(each, "name", "") for each in ast.parse(text).body}
        return not defined & set(names.all)
    return False


def _run_program(plan: WorkerPlan, text: str, timeout_s: float) -> Answer:
    path = plan.script.path
    assert path is not None  # noqa: S101 -- the caller read it
    order = {"path": str(path), "text": text, "name": "__main__"}
    own = replace(
        plan,
        script=Script(module="sys"),
        python_paths=[str(path.parent), *plan.python_paths],
    )
    try:
        with Worker(own) as worker:
            call = Call("?load", (msgspec.json.encode(order),))
            answer = worker.run([call], timeout_s=timeout_s)[0]
    except (PluginError, WorkerResting) as error:
        return Answer(outcome=Outcome.RAISED, error=str(error).partition("\n")[0])
    if answer.error in ("SystemExit: 0", "SystemExit: None", "SystemExit: "):
        return Answer(outcome=Outcome.RETURNED)
    return answer
