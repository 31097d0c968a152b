"""`test-rig actions`: measurements and alerts on their way to files, servers and scripts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from test_rig.cli.actions_dlq import app as dlq_app
from test_rig.cli.options import CommonOptions, common_options
from test_rig.cli.outputs import AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from test_rig.actions import Actions, ActionsPlan, Event, Leftover
    from test_rig.settings import AppConfig

__all__ = ["app"]

app = typer.Typer(
    help="Hand measurements and alerts to files, servers and scripts, as `\\[actions]` says.",
    no_args_is_help=True,
)
app.add_typer(dlq_app, name="dlq")

Folder = Annotated[
    str | None,
    typer.Option("--folder", help="The setting actions.folder.", show_default=False),
]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen",
        help="The setting actions.listen: HTTP on this loopback address.",
        show_default=False,
    ),
]
Drain = Annotated[
    float | None,
    typer.Option("--drain", help="The setting actions.drain_secs.", show_default=False),
]


def configured(common: CommonOptions, **given: Any) -> AppConfig:
    """Return the settings, with the command's own options on top, and the log set up."""
    from test_rig.cli import logs
    from test_rig.cli.options import load_config
    from test_rig.settings import OptionValue

    extra = {
        f"actions.{key}": OptionValue(value, f"--{key}") for key, value in given.items() if value
    }
    config = load_config(common, extra=extra)
    logs.mask(*config.secrets())
    logs.configure(config.logging, level=logs.effective_level(config))
    return config


def planned(config: AppConfig) -> ActionsPlan:
    """Return the plan of the settings, which must name a driver."""
    from test_rig.errors import UsageError
    from test_rig.rig import actions_plan

    plan = actions_plan(config)
    if not plan.drivers:
        todo = 'such as [actions.drivers.out] with type = "file" and path = "events.jsonl"'
        raise UsageError("the settings name no driver", where="actions.drivers", todo=todo)
    return plan


def say(text: str) -> None:
    """Tell progress, on standard error."""
    typer.echo(text, err=True)


def show(content: Any) -> None:
    """Print a result as JSON."""
    import msgspec

    body = msgspec.json.format(msgspec.json.encode(content, enc_hook=str), indent=2)
    typer.echo(body.decode())


@app.command("run")
@common_options
def run(
    common: CommonOptions,
    listen: Listen = None,
    folder: Folder = None,
    drain: Drain = None,
    stdin: Annotated[
        bool, typer.Option("--stdin/--no-stdin", help="Take JSON lines from standard input.")
    ] = True,
    acks: Annotated[
        bool,
        typer.Option("--acks", help="Print a JSON line each time events were accepted."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Deliver what comes on standard input and over HTTP, until its end or Ctrl-C.

    Exit code 0; 1 when lines were no events, events were lost or refused, or some are left; 2
    for wrong settings.
    """
    from test_rig.actions import Actions
    from test_rig.errors import UsageError

    config = configured(common, listen=listen, folder=folder, drain_secs=drain)
    if not stdin and config.actions.listen is None:
        raise UsageError("nothing to take events from", todo="--listen 127.0.0.1:8765, or --stdin")
    actions = Actions(planned(config)).start()
    bad_lines = 0
    try:
        bad_lines = _take(actions, config, stdin=stdin, acks=acks)
    finally:
        left = actions.stop()
        code = _conclude(actions, left, bad_lines=bad_lines, as_json=as_json)
    raise typer.Exit(code)


def _take(actions: Actions, config: AppConfig, *, stdin: bool, acks: bool) -> int:
    """Take events until there are no more; return how many lines were none."""
    import json
    import sys
    import time

    from test_rig.actions import LineSource, serve

    def accepted(count: int) -> None:
        if acks:
            typer.echo(json.dumps({"accepted": count}))
            sys.stdout.flush()

    source = LineSource(actions, sys.stdin.fileno(), on_problem=say, on_accepted=accepted)
    server = None if config.actions.listen is None else serve(actions, config.actions.listen)
    note = actions.plan.folder / "host.json"
    try:
        if server is not None:
            note.write_text(json.dumps({"url": server.url}), encoding="utf-8")
            say(f"listening on {server.url}")
        # An interrupt ends the taking, in order; what was taken is still delivered.
        with suppress(KeyboardInterrupt):
            if stdin:
                source.run()
            while server is not None and not stdin:
                time.sleep(0.2)
    finally:
        if server is not None:
            server.stop()
            note.unlink(missing_ok=True)
    return source.problems


def _conclude(actions: Actions, left: Sequence[Leftover], *, bad_lines: int, as_json: bool) -> int:
    told = actions.snapshot()
    drivers: Mapping[str, Any] = told["drivers"]
    lost = sum(sum(each["lost"].values()) for each in drivers.values())
    dead = sum(each["dead"] for each in drivers.values())
    spooled = sum(each.spooled for each in left)
    if as_json:
        show(
            {
                "drivers": drivers,
                "left": [{"driver": e.name, "spooled": e.spooled, "dead": e.dead} for e in left],
                "bad_lines": bad_lines,
            }
        )
    for name, each in drivers.items():
        gone = f", {sum(each['lost'].values())} lost" if each["lost"] else ""
        say(f"{name}: {each['delivered']} delivered{gone}")
    for each in left:
        if each.spooled:
            say(f"{each.name}: {each.spooled} events wait in the spool for the next start")
        if each.dead:
            say(f"{each.name}: {each.dead} dead letters (test-rig actions dlq list)")
    return int(bool(bad_lines or lost or dead or spooled or told["intake_lost"]))


@app.command("check")
@common_options
def check(
    common: CommonOptions,
    offline: Annotated[
        bool, typer.Option("--offline", help="Look at the settings only; start no driver.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the settings of actions, and whether each driver starts; nothing is sent.

    Exit code 0 when all do, 1 when one does not start, 2 when the settings cannot be used.
    """
    plan = planned(configured(common))
    from test_rig.cli.actions_trial import start_once

    found = {each.name: "" if offline else start_once(each) for each in plan.drivers}
    if as_json:
        told = [{"driver": name, "ok": not why, "problem": why} for name, why in found.items()]
        show({"drivers": told, "rules": sorted(plan.rules)})
    else:
        for name, why in found.items():
            typer.echo(f"{name}: {why or ('settings are right' if offline else 'starts')}")
        typer.echo(f"{len(plan.rules)} rules")
    raise typer.Exit(int(any(found.values())))


@app.command("test")
@common_options
def send_test(
    common: CommonOptions,
    drivers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DRIVER|SCRIPT.py]...",
            help="Drivers of the settings (all if none is named), or scripts.",
            show_default=False,
        ),
    ] = None,
    event: Annotated[
        Path | None,
        typer.Option("--event", help="A file with events; else one of each kind."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Send events to drivers at once, without queue, rules or retries, and print each answer.

    Exit code 0 when all were delivered, 1 when one was not.
    """
    from test_rig.cli.actions_trial import chosen_plans, send_once

    config = configured(common)
    events = _events_of(event)
    found = {each.name: send_once(each, events) for each in chosen_plans(config, drivers or [])}
    if as_json:
        show(found)
    else:
        for name, answers in found.items():
            for each in answers:
                why = f": {each['reason']}" if each["reason"] else ""
                typer.echo(f"{name}: {each['type']} {each['id']}: {each['fate']}{why}")
                if each["detail"]:
                    say(str(each["detail"]))
    bad = [e for answers in found.values() for e in answers if e["fate"] != "delivered"]
    raise typer.Exit(int(bool(bad)))


def _events_of(file: Path | None) -> list[Event]:
    import time

    from test_rig.actions import events_of
    from test_rig.errors import UsageError

    body = (
        b'{"name": "test", "value": 1, "unit": "", "source": "test-rig"}\n'
        b'{"alert_type": "test", "severity": "info", "message": "a test of the drivers", '
        b'"source": "test-rig"}'
    )
    if file is not None:
        try:
            body = file.read_bytes()
        except OSError as exc:
            raise UsageError(f"cannot be read: {exc.strerror}", where=str(file)) from exc
    numbers: Iterator[int] = iter(range(1, 1 << 62))
    now_ns = time.time_ns()
    events, problems = events_of(
        body, now_ns=now_ns, next_id=lambda: f"test-{now_ns:x}-{next(numbers)}"
    )
    if problems or not events:
        raise UsageError("; ".join(problems) or "there are no events", where=str(file))
    return events


@app.command("replay")
@common_options
def replay(
    common: CommonOptions,
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN|FILE", help="A run folder, or a file of JSON lines."),
    ],
    folder: Folder = None,
    drain: Drain = None,
    as_json: AsJson = False,
) -> None:
    """Send the measurements of an earlier run, or of a file, through rules and drivers again.

    Exit codes as those of `run`.
    """
    from test_rig.actions import Actions
    from test_rig.cli.actions_trial import recorded

    plan = planned(configured(common, folder=folder, drain_secs=drain))
    batches = recorded(source)
    actions = Actions(plan).start()
    try:
        for batch in batches:
            actions.submit(batch)
    finally:
        left = actions.stop()
        code = _conclude(actions, left, bad_lines=0, as_json=as_json)
    raise typer.Exit(code)


@app.command("status")
@common_options
def status(
    common: CommonOptions,
    driver: Annotated[
        str | None,
        typer.Argument(help="All that one driver tells of itself, as JSON.", show_default=False),
    ] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Tell what the running actions do now, or what waits on disk where none run.

    Exit code 0; 3 when actions run here that cannot be asked, or a driver is named and none run.
    """
    from test_rig.cli.actions_asking import standing_of
    from test_rig.cli.actions_trial import as_lines, ask_host, on_disk

    plan = planned(configured(common, folder=folder))
    if driver is not None:
        show(standing_of(plan.folder, driver))
        return
    told = ask_host(plan.folder, "/api/actions")
    content = on_disk(plan) if told is None else {"running": True, **told}
    if as_json:
        show(content)
    else:
        typer.echo("\n".join(as_lines(content)))


@app.command("history")
@common_options
def history(
    common: CommonOptions,
    driver: Annotated[str, typer.Argument(help="The driver's name.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, at most.")] = 20,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Tell the last deliveries of a driver of the running actions, the newest last.

    Exit code 0; 3 when no actions run here that can be asked.
    """
    from test_rig.cli.actions_asking import history_lines, past_of

    past = past_of(planned(configured(common, folder=folder)).folder, driver, limit)
    if as_json:
        show(past)
    elif past:
        typer.echo("\n".join(history_lines(past)))
    else:
        say("no deliveries yet")


@app.command("explain")
@common_options
def explain(
    common: CommonOptions,
    alert: Annotated[str, typer.Argument(help="A rule, or an alert's type.")],
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Tell why an alert fires or does not, and who was told of it."""
    import time
    from urllib.parse import quote

    from test_rig.actions import explain as explained
    from test_rig.actions import read_state
    from test_rig.cli.actions_trial import ask_host

    plan = planned(configured(common, folder=folder))
    told = ask_host(plan.folder, f"/api/alerts/{quote(alert, safe='')}/explain")
    if told is None:
        now_ns = time.time_ns()
        lines = explained(plan, read_state(plan.folder), alert, now_ns=now_ns)
    else:
        lines = told["why"]
    if as_json:
        show({"alert": alert, "why": lines})
    else:
        typer.echo("\n".join(lines))
