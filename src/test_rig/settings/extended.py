"""Letting every extension have its say, before the settings freeze."""

from __future__ import annotations

from typing import Any

from test_rig.errors import Problem, SettingsError
from test_rig.resilience import without_passwords
from test_rig.settings.draft import Draft
from test_rig.settings.extension import Arguments, config_extensions, extension_options
from test_rig.settings.fields import checks, models
from test_rig.settings.merge import Merged, shown
from test_rig.settings.origin import Origin, Source

__all__ = ["extended"]

_DEFAULT = Origin(source=Source.DEFAULT, where="default")


def extended(merged: Merged) -> Merged:
    """Return the values after each extension wrote into the draft, in order of registration.

    Raises:
        SettingsError: With the problem of every extension that failed or wrote what a key
            cannot hold.
    """
    extensions = config_extensions()
    if not extensions:
        return merged
    draft = Draft({table: dict(model) for table, model in models(merged.values).items()})
    values, origins = dict(merged.values), dict(merged.origins)
    problems: list[Problem] = []
    for name, extension in extensions.items():
        before = draft.snapshot()
        try:
            extension.build_config(_arguments(name, draft), draft)
        except Exception as exc:  # noqa: BLE001 -- an extension is the user's code: a door
            what = f"build_config failed: {type(exc).__name__}: {without_passwords(str(exc))}"
            problems.append(Problem(where=f"extension {name}", what=what))
            continue
        for slot, value in draft.changes_since(before).items():
            try:
                values[slot] = _checked(slot, value)
            except ValueError as exc:
                where = f"extension {name}: {'.'.join(slot)}"
                problems.append(Problem(where=where, what=str(exc)))
            origins[slot] = _origin(name, origins.get(slot), slot, before)
    if problems:
        raise SettingsError(problems)
    return Merged(values=values, origins=origins)


def _arguments(name: str, draft: Draft) -> Arguments:
    home = name.replace("-", "_")
    own = [option.key for option in extension_options() if option.table == home]
    return Arguments({key: getattr(draft.table(home), key) for key in own})


def _checked(slot: tuple[str, str], value: Any) -> Any:
    check = checks().get(slot)
    return value if check is None or value is None else check(value)


def _origin(
    name: str, hidden: Origin | None, slot: tuple[str, str], before: dict[tuple[str, str], Any]
) -> Origin:
    if slot not in before:
        return Origin(source=Source.EXTENSION, where=name)
    old = _DEFAULT if hidden is None else hidden
    told = (str(old), str(shown(slot[1], before[slot])))
    return Origin(source=Source.EXTENSION, where=name, hid=(told, *old.hid))
