"""`python`: functions of a script, in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import msgspec
from pydantic import Field, model_validator

from test_rig.actions.delivery import DELIVERED, Delivery, rejected, retry
from test_rig.actions.driver import DriverContext, DriverType
from test_rig.actions.drivers.python_isolated import run_alone
from test_rig.actions.drivers.python_script import FunctionNames, LiveScript
from test_rig.actions.event import AlertEvent, ClearEvent, Event, MeasurementEvent
from test_rig.actions.options import Count, Names, Options, Seconds
from test_rig.actions.payload import fields_of
from test_rig.clock import SYSTEM_CLOCK
from test_rig.errors import PluginError
from test_rig.plugins import (
    Answer,
    Answers,
    Call,
    Each,
    Outcome,
    Sandbox,
    Script,
    WorkerLimits,
    WorkerPlan,
    WorkerResting,
)
from test_rig.telemetry import Alert, Severity

__all__ = ["DRIVER", "PythonDriver", "PythonOptions"]

_LOG = logging.getLogger("test_rig.actions")
_LOOK_S = 0.2
_STATUS_S = 2.0
_ENCODE = msgspec.json.Encoder(enc_hook=str).encode


class PythonOptions(Options):
    """Which script, in which Python, with what limits."""

    script_path: str = Field(min_length=1, description="The script's file.")
    functions: dict[str, str] = Field(
        default={},
        description="Names of the script's functions: `update`, `alert`, `init`, `shutdown`, "
        "`status`, `clear`; the same as the options `update_function` and so on.",
    )
    update_function: str = Field(
        default="on_measurement", description="Called with each measurement."
    )
    alert_function: str = Field(default="on_alert", description="Called with each alert.")
    init_function: str = Field(
        default="initialize", description="Called once in each new process, without arguments."
    )
    shutdown_function: str = Field(default="shutdown", description="Called at the end.")
    status_function: str = Field(
        default="get_status", description="Called when the status is asked for."
    )
    clear_function: str = Field(
        default="clear_action", description="Called when a display is to be cleared."
    )
    venv_path: str | None = Field(
        default=None, description="A virtual environment, whose Python (3.8 or newer) runs it."
    )
    python_executable: str | None = Field(
        default=None,
        description="A Python that runs it, instead of the environment's or the rig's.",
    )
    python_paths: Names = Field(
        default=(), description="Folders to import from, after the script's own."
    )
    working_dir: str | None = Field(default=None, description="The folder in which it runs.")
    pass_env: Names = Field(
        default=(),
        description="Variables that it gets beside PATH, HOME, LANG and TZ.",
    )
    timeout_seconds: Seconds = Field(
        default=30.0,
        gt=0,
        description="How long a call may take: then an exception is raised in it, and right after "
        "that the process is killed.",
    )
    memory_limit_mb: Count | None = Field(
        default=None, description="What the process may take, in MiB; unset: no limit."
    )
    auto_reload: bool = Field(
        default=False,
        description="Whether an edited file is loaded beside, and serves once it is good.",
    )
    isolated: bool = Field(
        default=False,
        description="A new process for each call, with the event as JSON on standard input too; "
        "a script without any of the functions is run as a program.",
    )
    sandbox: bool = Field(
        default=False,
        description="Whether it runs in a user namespace of its own (Linux): files are read-only, "
        "no other process is seen in /proc.",
    )
    sandbox_writable: Names = Field(
        default=(), description="With `sandbox`: folders in which it may write."
    )
    sandbox_network: bool = Field(
        default=True, description="With `sandbox`: whether it has the network."
    )
    max_history: Count = Field(default=1000, description="How many past events the history tells.")

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        known = FunctionNames.__dataclass_fields__
        for role, name in self.functions.items():
            if role not in known:
                raise ValueError(f"functions.{role} is unknown; known: {', '.join(known)}")
            own = f"{role}_function"
            if own in self.model_fields_set and getattr(self, own) != name:
                raise ValueError(f"functions.{role} and {own} are two names for one function")
        if self.venv_path is not None and self.python_executable is not None:
            raise ValueError("venv_path and python_executable both say which Python: leave one out")
        if not self.sandbox and (self.sandbox_writable or not self.sandbox_network):
            raise ValueError("sandbox_writable and sandbox_network need sandbox = true")
        if self.isolated and self.auto_reload:
            raise ValueError("isolated reads the file at each call: auto_reload has no meaning")
        return self

    def pipe_defaults(self) -> Mapping[str, Any]:
        """Return the pipe's: it waits longer than the script may take, and tells as much."""
        return {"timeout_s": 2 * self.timeout_seconds + 30.0, "history": self.max_history}

    def absent(self) -> list[tuple[str, str]]:
        """Return what has to be there and is not."""
        python = self.plan.python or ""
        missing = [] if Path(self.script_path).is_file() else [("script_path", self.script_path)]
        if self.venv_path is not None and not Path(python).exists():
            missing.append(("venv_path", python))
        if self.python_executable is not None and shutil.which(python) is None:
            missing.append(("python_executable", python))
        if self.working_dir is not None and not Path(self.working_dir).is_dir():
            missing.append(("working_dir", self.working_dir))
        missing += [
            ("sandbox_writable", each) for each in self.sandbox_writable if not Path(each).is_dir()
        ]
        return missing

    @property
    def names(self) -> FunctionNames:
        """What the functions are called, in whichever spelling that was said."""
        flat = {
            role: getattr(self, f"{role}_function") for role in FunctionNames.__dataclass_fields__
        }
        return FunctionNames(**{**flat, **self.functions})

    @property
    def plan(self) -> WorkerPlan:
        """How its workers run."""
        python = self.python_executable
        if python is None and self.venv_path is not None:
            python = str(Path(self.venv_path, "bin", "python").absolute())
        sandbox = None
        if self.sandbox:
            sandbox = Sandbox(writable=self.sandbox_writable, network=self.sandbox_network)
        memory = None if self.memory_limit_mb is None else self.memory_limit_mb << 20
        return WorkerPlan(
            script=Script(path=Path(self.script_path).absolute()),
            python=python or sys.executable,
            python_paths=[str(Path(each).absolute()) for each in self.python_paths],
            working_dir=self.working_dir,
            pass_env=self.pass_env,
            sandbox=sandbox,
            limits=WorkerLimits(memory_bytes=memory, start_s=max(10.0, self.timeout_seconds)),
        )


class PythonDriver:
    """Calls a script's functions: a batch is one message to its process."""

    def __init__(self, options: PythonOptions, context: DriverContext) -> None:
        self._options, self._context = options, context
        self._names, plan = options.names, options.plan
        self._path = Path(options.script_path).absolute()
        self._script = LiveScript(
            self._path,
            plan,
            names=self._names,
            timeout_s=options.timeout_seconds,
            folder=context.folder,
            on_refused=self._refused,
        )
        self._plan = plan
        self._state = "Not initialized"
        self._error = ""
        self._history: deque[tuple[Event, Outcome, str, float | None]] = deque(
            maxlen=options.max_history
        )
        self._outcomes: Counter[str] = Counter()
        self._calls_s = 0.0
        self._last_result: Any = None
        self._stopping = threading.Event()
        self._watch: threading.Thread | None = None

    async def start(self) -> None:
        """Load the script and call its `initialize`."""
        if not self._options.isolated:
            await asyncio.to_thread(self._script.start)
        elif not self._path.is_file():
            raise FileNotFoundError(f"there is no {self._path}")
        self._state = "Initialized"
        if self._options.auto_reload and self._watch is None:
            self._watch = threading.Thread(target=self._look, name="script watch", daemon=True)
            self._watch.start()

    async def send(self, batch: Sequence[Event]) -> Sequence[Delivery]:
        """Call the functions that the events are for."""
        return await asyncio.to_thread(self._send, batch)

    async def stop(self, *, timeout_s: float) -> None:
        """Call `shutdown` and end the process."""
        self._stopping.set()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.to_thread(self._end)
        except TimeoutError:
            self._script.kill()
            raise
        finally:
            self._state = "Shutdown"

    async def status(self) -> Mapping[str, Any]:
        """Tell what is true of the script, with what its own `get_status` says."""
        own = await asyncio.to_thread(self._script.ask, self._names.status, wait_s=_STATUS_S)
        return {
            "type": "python",
            "script_path": self._options.script_path,
            "driver_status": f"Error: {self._error}" if self._error else self._state,
            "python_status": _read(own.value) if own and own.is_ok else "function not available",
            "auto_reload": self._options.auto_reload,
            "history_size": len(self._history),
            "version": self._script.digest[:12],
            "versions": self._script.versions,
            "refused": self._script.refusal,
            "processes": self._script.starts,
            "last_result": self._last_result,
            "output": self._script.lines()[-20:],
            **self.statistics(),
        }

    def reload(self) -> bool:
        """Look at the file now; return whether a new version has come into service. Blocks."""
        return not self._options.isolated and self._script.reload()

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return past events, what became of each and how long it took, the newest last."""
        past = list(self._history)[-limit:] if limit else list(self._history)
        return [
            {
                **fields_of(event),
                "outcome": outcome.value,
                "error": error,
                "duration_s": duration_s,
            }
            for event, outcome, error, duration_s in past
        ]

    def statistics(self) -> dict[str, Any]:
        """Return counts of calls by outcome, the time they took, how full the history is."""
        past = list(self._history)
        return {
            "calls": dict(self._outcomes),
            "calls_s": round(self._calls_s, 6),
            "size": len(past),
            "max_size": self._options.max_history,
            "oldest": past[0][0].timestamp if past else None,
            "newest": past[-1][0].timestamp if past else None,
        }

    # -- on another thread -------------------------------------------------------------------

    def _send(self, batch: Sequence[Event]) -> list[Delivery]:
        started = time.perf_counter()
        deliveries: list[Delivery] = []
        if self._options.isolated:
            deliveries = self._noted(batch, self._send_alone(batch))
        else:
            for same in _of_one_kind(batch):
                left_s = self._options.timeout_seconds - (time.perf_counter() - started)
                if deliveries and left_s <= 0:
                    break
                try:
                    answers = self._send_same(same, left_s)
                except (WorkerResting, PluginError) as error:
                    if not deliveries:
                        return self._not_there(batch, error)
                    break
                deliveries += self._noted(same, answers)
                if answers.done < len(same):
                    break
        self._calls_s += time.perf_counter() - started
        return deliveries + [_LATER] * (len(batch) - len(deliveries))

    def _not_there(self, batch: Sequence[Event], error: Exception) -> list[Delivery]:
        self._error = str(error).partition("\n")[0]
        if isinstance(error, WorkerResting):
            return [retry(self._error, after_s=error.after_s)] * len(batch)
        return [retry(self._error, detail=str(error))] * len(batch)

    def _send_same(self, batch: Sequence[Event], budget_s: float) -> Answers:
        """Call the function of events of one kind; where it is missing they are delivered."""
        clear = self._names.clear
        names = {MeasurementEvent: self._names.update, AlertEvent: self._names.alert}
        name = names.get(type(batch[0]), clear)
        if not self._script.has(name):
            nothing = Answers(len(batch))
            nothing.done = len(batch)
            return nothing
        calls = [Call(name)] * len(batch) if name == clear else Each(name, batch)
        return self._script.run(calls, budget_s=max(0.0, budget_s))

    def _send_alone(self, batch: Sequence[Event]) -> Answers:
        until = time.monotonic() + self._options.timeout_seconds
        answers = Answers(len(batch))
        for place, event in enumerate(batch):
            if place and time.monotonic() > until:
                break
            names = {MeasurementEvent: self._names.update, AlertEvent: self._names.alert}
            function = names.get(type(event), self._names.clear)
            answer = run_alone(
                self._plan,
                self._names,
                function,
                body=_ENCODE(event),
                takes_event=function != self._names.clear,
                timeout_s=self._options.timeout_seconds,
            )
            answers.end_at(place, answer)
        return answers

    def _noted(self, batch: Sequence[Event], answers: Answers) -> list[Delivery]:
        """Return what the answers mean, and keep them in the history."""
        done, deliveries = answers.done, [DELIVERED] * len(batch)
        for place, answer in answers.odd.items():
            deliveries[place] = self._meant(answer)
            self._outcomes[answer.outcome.value] += 1
        deliveries[done:] = [_LATER] * (len(batch) - done)
        if plain := done - len(answers.odd):
            self._outcomes[Outcome.RETURNED.value] += plain
        first = max(0, done - self._options.max_history)
        for event, answer in zip(batch[first:done], answers[first:done], strict=True):
            self._history.append((event, answer.outcome, answer.error, answer.duration_s))
        if done:
            self._state = "Cleared" if type(batch[done - 1]) is ClearEvent else "Active"
            if done - 1 not in answers.odd:
                self._error = ""
        return deliveries

    def _meant(self, answer: Answer) -> Delivery:
        if answer.outcome is Outcome.RETURNED:
            self._error = ""
            self._last_result = _read(answer.value)
            _LOG.debug("%s returned %r", self._path.name, self._last_result)
            return DELIVERED
        self._error = f"{answer.outcome.value}: {answer.error}"
        return rejected(self._error, detail=answer.detail)

    def _look(self) -> None:
        """Look at the file until the end; what its text is decides, not its date."""
        seen: object = None
        before: object = None
        while not self._stopping.wait(_LOOK_S):
            with suppress(OSError):
                info = self._path.stat()
                now = (info.st_mtime_ns, info.st_ctime_ns, info.st_size, info.st_ino)
                # What changed since the last look may be half written.
                if now != seen and now == before:
                    self.reload()
                    seen = now
                before = now

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.join()
        self._script.stop()

    def _refused(self, why: str) -> None:
        self._context.emit(
            Alert(
                alert_type="plugin_rejected",
                severity=Severity.WARNING,
                message=f"{self._path.name}: this version does not serve",
                time_ns=SYSTEM_CLOCK.now_ns(),
                data={"script_path": str(self._path), "reason": why[:4000]},
                source=self._context.name,
            )
        )


_LATER = Delivery(
    retry("").fate, "the batch's time was over before it came to this event", was_tried=False
)


def _of_one_kind(batch: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Return a batch in parts, whose events have one function."""
    if len(set(map(type, batch))) == 1:
        yield batch
        return
    for _, same in groupby(batch, type):
        yield list(same)


def _read(value: Any) -> Any:
    """Return what a function returned; a text that is a JSON object is read."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(value)
    return value


def _make(options: PythonOptions, context: DriverContext) -> PythonDriver:
    return PythonDriver(options, context)


DRIVER = DriverType(
    name="python",
    about="Calls functions of a script, which runs in a process of its own that can be killed.",
    options=PythonOptions,
    make=_make,
    batch_size=2048,
)
