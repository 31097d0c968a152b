"""Runs a machine: a thread calls the handlers, while the caller's thread watches.

Theory of operation. The `runner` is a thread of its own for each run: it visits state after state
until the journey is over, cleans up, and ends. The thread that called `run` is the watcher: it
waits, and ends calls that are too late (`watch`). So a limit holds whatever a handler does, Ctrl-C
arrives while a handler works, and a machine can be run from within an event loop without blocking
it: there the watcher is another thread, and the caller awaits it.

Async handlers run on an event loop of the runner's own, one for the whole run. It is not the
caller's loop, since that one must not be blocked by the sync handlers between.

A visit calls `enter`, then `execute` until it leads away, then `exit`: always, once `enter` was
called. After a failure open transactions are rolled back before `exit`. Only a call that does not
come back even when its connection is cut loses its `exit`: a thread cannot be ended from outside.
Then the run ends without it, and says so.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import traceback
from concurrent.futures import Future

from test_rig.errors import MachineError
from test_rig.machine import context as contexts
from test_rig.machine import runner as runners
from test_rig.machine.awaiting import Pending
from test_rig.machine.ledger import Ledger, OverTimeError
from test_rig.machine.loop import RunLoop
from test_rig.machine.result import RESULT_NAMES, RunResult
from test_rig.machine.runner import Runner, RunOrder
from test_rig.machine.trace import Call, Phase
from test_rig.machine.watch import CLEANING_UP, Watch

__all__ = ["is_in_event_loop", "run_pending", "run_to_end"]

#: Frames down to this file's are the rig's, in the stack of a call that does not come back.
_RUNNER_FILE = runners.__file__


def run_to_end(order: RunOrder) -> RunResult:
    """Run in a thread, watch it, and return the result.

    Raises:
        MachineError: The machine is running already.
        KeyboardInterrupt: It was interrupted; `exit` was called and everything closed before.
    """
    return _Run(order).to_end()


def run_pending(order: RunOrder) -> Pending[RunResult]:
    """Return something to await that runs then, without blocking the event loop."""
    return Pending(
        _awaited(order), RESULT_NAMES, todo="write `await machine.run()`, or use run_sync()"
    )


async def _awaited(order: RunOrder) -> RunResult:
    run = _Run(order)
    future: Future[RunResult] = Future()
    inner = contextvars.copy_context()

    def watch() -> None:
        try:
            future.set_result(inner.run(run.to_end))
        except BaseException as error:  # noqa: BLE001 - thread top: raised where it is awaited
            future.set_exception(error)

    threading.Thread(target=watch, name="test-rig-machine-watch", daemon=True).start()
    waiting = asyncio.wrap_future(future)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        run.interrupt()
        await asyncio.wait([waiting])
        raise


def is_in_event_loop() -> bool:
    """Return whether the calling thread is running an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Run:
    """One run of a machine, as its caller sees it.

    Raises:
        MachineError: The machine is running already.
    """

    def __init__(self, order: RunOrder) -> None:
        if not order.busy.acquire(blocking=False):
            raise MachineError(
                "the machine is running already, or a call that an earlier run left behind is",
                todo="make another machine",
            )
        self._order, self._context = order, order.context
        self._ledger = Ledger(order.context, order.clock)
        self._loop = RunLoop()
        limits = order.limits
        naps = [limits.exit_s, limits.state_s, limits.run_s, *order.state_limits.values()]
        self._watch = Watch(
            order.clock,
            longest_nap_s=min(nap for nap in naps if nap is not None),
            grace_s=limits.grace_s,
            stop=self._stop_work,
            cut=self._cut_connections,
        )
        self._runner = Runner(order, self._ledger, self._loop, self._watch)
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._runner.run,),
            name="test-rig-machine",
            daemon=True,
        )

    def to_end(self) -> RunResult:
        """Run to the end in a thread, watch it, and return the result."""
        try:
            self._thread.start()
            is_over = self._watch.keep()
        except BaseException:  # Ctrl-C, above all: whatever it is must not leave a run behind
            self._end_early()
            raise
        if is_over:
            self._thread.join()
        else:
            self._leave_behind()
        result = self._ledger.result()
        self._context.current_state = result.final_state
        if is_over:
            self._order.busy.release()
        return result

    def interrupt(self) -> None:
        """Let the run end now, its `exit` included. From any thread."""
        self._watch.interrupt()

    def _end_early(self) -> None:
        if self._thread.ident is not None:
            self._watch.interrupt()
            if not self._watch.keep():
                self._leave_behind()
                return
        self._order.busy.release()

    def _leave_behind(self) -> None:
        """Account for a call that did not come back."""
        call = self._watch.abandoned
        if call is None or call is CLEANING_UP:
            self._ledger.note("cleaning up did not end within its limit")
        else:
            self._ledger.fail(self._never_back(call), call, stack=self._stack())
            end = "did not end" if call.phase is Phase.EXIT else "did not run"
            self._ledger.note(f"{call.handler}.exit {end} in state {call.state}")
        self._ledger.note_problems(contexts.release(self._context))

    def _never_back(self, call: Call) -> MachineError:
        what = (
            "did not come back; a thread cannot be ended from outside, so its connections were "
            "cancelled and closed, and it was left behind"
        )
        where = f"state {call.state}"
        if self._watch.is_interrupted and call.phase is not Phase.EXIT:
            return MachineError(f"the run was interrupted, but {call} {what}", where=where)
        return OverTimeError(
            f"{call} reached {self._runner.limit_of(call)} and {what}", where=where
        )

    def _stack(self) -> list[str]:
        """Return where the call is that did not come back, the way tracebacks are told."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        if frame is None:
            return []
        frames = traceback.extract_stack(frame)
        ours = [n for n, each in enumerate(frames) if each.filename == _RUNNER_FILE]
        inner = frames[ours[-1] + 1 :] if ours else frames
        return ["It is here (most recent call last):\n", *traceback.format_list(inner)]

    # Stopping a call, from the watcher's thread

    def _stop_work(self) -> None:
        self._loop.cancel()
        for session in self._context.sessions():
            try:
                if getattr(session, "is_busy", True):
                    session.cancel()
            except Exception as error:  # noqa: BLE001 - the door: stopping goes on without it
                self._ledger.note(f"a session could not be cancelled: {error}")

    def _cut_connections(self) -> None:
        for session in self._context.sessions():
            try:
                session.give_up("the handler that used it did not come back in time")
            except Exception as error:  # noqa: BLE001 - the door: cutting goes on without it
                self._ledger.note(f"a session could not be cut: {error}")
