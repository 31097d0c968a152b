"""The worker: a child process that loads one file and runs its handlers, one machine each.

The order comes on standard input, messages leave on the file descriptor that is the first argument,
one JSON object a line; the second one is the journal's. Standard input stays open as a lifeline:
when it ends, the conductor is gone, and so is the worker.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from test_rig.errors import RigError, UsageError
from test_rig.machine import (
    DynamicStateMachine,
    Limits,
    RunResult,
    StateContext,
    StateHandler,
    bound_state,
    checked_seconds,
    handler_tables,
    is_handler,
)
from test_rig.plugins import Found, load, make
from test_rig.suite.evidence import Recorder
from test_rig.suite.journal import Journal
from test_rig.suite.judge import judge
from test_rig.suite.logs import log_to
from test_rig.suite.order import Message, Order, encoded
from test_rig.targets import Target, observe_sessions
from test_rig.verdict import HandlerResult, ResultStatus

__all__ = ["work_and_exit"]

Tell = Callable[[Message], None]
#: How often a worker shows that it lives.
_LIFE_S = 0.25
_SETTINGS_TODO = "give it in a settings file in [handlers.NAME], or with --set NAME=VALUE"
_NO_BASE = (
    "classes end in Handler, but none is a StateHandler of this rig",
    "import PyStateHandler from test_rig_python; a module of that name beside the file hides it",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One thing to run: a whole test, or a file's bound handlers on the machine's own way."""

    name: str
    test: Found | None
    bound: Sequence[Found]
    line: int


def work_and_exit() -> NoReturn:
    """Work, and end the process: threads that a handler left behind must not keep it."""
    code = _main()
    sys.stdout.flush()
    os._exit(code)


def _main() -> int:
    out = os.fdopen(int(sys.argv[1]), "wb", buffering=0)
    guard = threading.Lock()

    def tell(message: Message) -> None:
        with guard:
            out.write(encoded(message) + b"\n")

    journal = Journal(int(sys.argv[2]))
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    _hold_the_lifeline()
    _show_life(journal)
    log_to(lambda line: tell(Message(log=line)), level=order.log_level)
    _be_a_script(order)
    return _work(order, tell, journal)


def _hold_the_lifeline() -> None:
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)

    def hold() -> None:
        while os.read(lifeline, 1):
            pass
        os._exit(1)

    threading.Thread(target=hold, name="lifeline", daemon=True).start()


def _show_life(journal: Journal) -> None:
    """Show that Python's threads go on: they do not while one of them holds the interpreter."""

    def show() -> None:
        while True:
            journal.show_life()
            time.sleep(_LIFE_S)

    threading.Thread(target=show, name="life", daemon=True).start()


def _be_a_script(order: Order) -> None:
    """Make the process look as scripts expect it."""
    sys.argv = [order.source]
    here = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", os.defpath)])
    url = order.target
    if not url.is_embedded:
        values = {
            "TIDB_HOST": url.host,
            "TIDB_PORT": url.port,
            "TIDB_USER": url.user,
            "TIDB_PASSWORD": url.password,
            "TIDB_DATABASE": url.database,
        }
        os.environ.update({name: str(each) for name, each in values.items() if each is not None})
    if order.folder is not None:
        os.chdir(order.folder)


def _work(order: Order, tell: Tell, journal: Journal) -> int:
    seen_names: list[str] = []

    def wanted(name: str, value: object) -> bool:
        if name.endswith("Handler") and isinstance(value, type):
            seen_names.append(name)
        return is_handler(name, value)

    try:
        generation = load(order.source, wanted)
    except UsageError as error:
        tell(Message(problems=(str(error),)))
        return 0
    cases = [case for case in _cases(generation.found) if _is_chosen(order, case, generation.found)]
    problems = [str(problem) for problem in generation.problems]
    if seen_names and not generation.found and not problems:
        problems.append(f"{order.source}: {_NO_BASE[0]}: {', '.join(seen_names)} ({_NO_BASE[1]})")
    names = {name for each in generation.found for name in (each.name, each.file.stem)}
    chosen = tuple(case.name for case in cases)
    tell(Message(problems=tuple(problems), chosen=chosen, named=tuple(sorted(names))))
    for case in cases[order.skip :]:
        if not _run_one(order, case, tell, journal):
            return 0
    return 0


def _cases(found: Sequence[Found]) -> list[_Case]:
    bound = [each for each in found if bound_state(_kind(each)) is not None]
    tests = [each for each in found if bound_state(_kind(each)) is None]
    if bound and not tests:
        return [_Case(name=bound[0].file.stem, test=None, bound=bound, line=bound[0].line)]
    return [_Case(name=each.name, test=each, bound=bound, line=each.line) for each in tests]


def _is_chosen(order: Order, case: _Case, found: Sequence[Found]) -> bool:
    file = case.test.file if case.test else found[0].file
    return order.selection.has(file.name, case.name)


def _kind(found: Found) -> type:
    assert isinstance(found.value, type)  # noqa: S101 - `is_handler` chose classes
    return found.value


def _run_one(order: Order, case: _Case, tell: Tell, journal: Journal) -> bool:
    """Run one handler and tell its result; return whether this process can go on."""
    refused: UsageError | None = None
    try:
        limits = _limits(order, case.test)
    except UsageError as error:
        limits, refused = _limits(order, None), error
    journal.begin()
    tell(Message(began=case.name, line=case.line, limit_s=limits.run_s or 0.0))
    measurements: tuple[Any, ...] = ()
    is_spoilt = False
    if order.folder is not None:
        os.chdir(order.folder)  # whatever the handler before has done
    try:
        if refused is not None:
            raise refused
        result, run = _run(order, case, limits, tell, journal)
        measurements = run.measurements
        is_spoilt = any(" did not " in note for note in run.notes) or "left behind" in str(
            run.error
        )
    except RigError as error:
        result = _not_made(order, case, str(error))
    _end_output(order.marker)
    tell(Message(done=result, measurements=measurements, is_spoilt=is_spoilt))
    return not is_spoilt


def _limits(order: Order, test: Found | None) -> Limits:
    """Return the limits of a test: its class's own, where it says some.

    Raises:
        UsageError: What its class says is no limit.
    """
    kind = None if test is None else _kind(test)
    own_s, own_count = getattr(kind, "timeout_s", None), getattr(kind, "max_transitions", None)
    run_s, run_name, count = order.limits.handler_s, "test.timeout_secs", order.limits.transitions
    if test is not None and own_s is not None:
        run_name = f"{test.name}.timeout_s"
        run_s = checked_seconds(own_s, where=f"{test.where}: {run_name}")
    if test is not None and own_count is not None:
        where = f"{test.where}: {test.name}.max_transitions"
        if isinstance(own_count, bool) or not isinstance(own_count, int) or own_count < 1:
            raise UsageError(f"{own_count!r} is too small or no whole number", where=where)
        count = own_count
    return Limits(transitions=count, run_s=run_s, run_name=run_name, exit_s=order.limits.exit_s)


def _run(
    order: Order, case: _Case, limits: Limits, tell: Tell, journal: Journal
) -> tuple[HandlerResult, RunResult]:
    handlers = [(bound_state(_kind(each)), _made(order, each)) for each in case.bound]
    test = None if case.test is None else _made(order, case.test)
    with Target.open(order.target, statement_timeout_s=order.limits.statement_s) as target:
        context = StateContext(target=target)
        context.pool_size = order.pool_size
        machine = DynamicStateMachine(context=context, limits=limits)
        own = {state for state, _ in handlers if state is not None}
        for (state, handler), found in zip(handlers, case.bound, strict=True):
            try:
                machine.register_handler(str(state), handler)
            except UsageError as error:
                raise UsageError(str(error), where=f"{found.where}: {found.name}") from error
        if test is not None:
            machine.register_test(test, name=case.name)
        recorder = Recorder(
            lambda: context.current_state,
            lambda state: state.is_test or state in own,
            secret=order.target.password,
            on_session=lambda number: tell(Message(session=number)),
            journal=journal,
        )
        with observe_sessions(recorder.opened):
            run = machine.run_sync()
        product = f"{context.product} {context.server_version}".strip()
        file = str(case.test.file if case.test else case.bound[0].file)
        evidence = recorder.evidence()
        return judge(case.name, run, evidence, file=file, line=case.line, product=product), run


def _made(order: Order, found: Found) -> StateHandler:
    tables = [*handler_tables(order.settings.get("handlers", {}), found), order.settings["test"]]
    handler = make(_kind(found), tables, where=found.where, todo=_SETTINGS_TODO)
    assert isinstance(handler, StateHandler)  # noqa: S101 - `is_handler` chose classes
    return handler


def _not_made(order: Order, case: _Case, reason: str) -> HandlerResult:
    file = str(case.test.file if case.test else order.source)
    return HandlerResult(
        handler=case.name, file=file, line=case.line, status=ResultStatus.ERROR, reason=reason
    )


def _end_output(marker: str) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # the handler closed it, or put something else there
    with suppress(OSError):
        os.write(1, f"\0{marker}\n".encode())
