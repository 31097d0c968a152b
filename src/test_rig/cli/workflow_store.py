"""What the commands of `test-rig workflow` share: the store, the files, and the input."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.options import CommonOptions, ConfigFiles, load_config

if TYPE_CHECKING:
    from test_rig.settings import AppConfig
    from test_rig.workflow import Executor, Ledger, Progress, Workflow

__all__ = [
    "Store",
    "load_workflows",
    "open_executor",
    "open_ledger",
    "read_context",
    "read_json",
]

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where runs are recorded; the setting workflow.url if not given.",
        show_default=False,
    ),
]


def _settings(store: str | None, config: ConfigFiles) -> AppConfig:
    from test_rig.settings import OptionValue

    extra = {} if store is None else {"workflow.url": OptionValue(store, "--store")}
    return load_config(CommonOptions(config=config or []), extra=extra)


def open_ledger(store: str | None, config: ConfigFiles, *, make: bool = False) -> Ledger:
    """Look at the store; one in a file that is not there is made only where that is asked for."""
    from test_rig.workflow import Ledger

    return Ledger.open(_settings(store, config).workflow.url, make=make)


@contextmanager
def open_executor(
    store: str | None, config: ConfigFiles, workflows: Sequence[Workflow]
) -> Iterator[Executor]:
    """Run workflows on the store, tell what happens, and hand it to the actions."""
    from test_rig.rig import listening
    from test_rig.workflow import Emitting, Executor

    settings = _settings(store, config)
    with listening(settings) as emit:
        emitting = Emitting(emit)

        def tell(progress: Progress) -> None:
            _show(progress)
            emitting(progress)

        with Executor(
            settings.workflow.url,
            workflows=workflows,
            on_progress=tell,
            max_tasks=settings.workflow.max_tasks,
            lease_s=settings.workflow.lease_secs,
        ) as executor:
            yield executor


def _show(progress: Progress) -> None:
    from test_rig.cli.workflow_text import progress_line

    typer.echo(progress_line(progress), err=True)


def load_workflows(files: Sequence[str]) -> list[Workflow]:
    """Return the workflows of files; those of a file that names none are its marked tasks."""
    from test_rig.errors import UsageError
    from test_rig.plugins import load
    from test_rig.workflow import Workflow

    found: dict[str, Workflow] = {}
    for file in files:
        generation = load(file, _is_wanted)
        objects: list[Any] = [each.value for each in generation.require().found]
        own = [each for each in objects if isinstance(each, Workflow)]
        if not own and objects:
            own = [Workflow(Path(file).stem, objects)]
        if not own:
            raise UsageError("no workflow and no task in it", where=file, todo="mark with @task")
        for workflow in own:
            workflow.check()
            found[workflow.name] = workflow
    return list(found.values())


def _is_wanted(name: str, value: object) -> bool:
    from test_rig.workflow import Workflow, is_task

    del name
    return isinstance(value, Workflow) or is_task(value)


def read_context(given: str | None) -> dict[str, Any]:
    """Return the input that was given as JSON, or in a file."""
    from test_rig.errors import UsageError

    if given is None:
        return {}
    if given.startswith("@"):
        try:
            given = Path(given[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=given[1:]) from error
    value = read_json(given, "--context")
    if not isinstance(value, dict):
        raise UsageError("the input is a JSON object, with a value for each key", where="--context")
    return value


def read_json(text: str, where: str) -> Any:
    """Return a value that was given as JSON."""
    from test_rig.errors import UsageError

    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"is no JSON: {error}", where=where) from error
