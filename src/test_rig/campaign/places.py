"""The databases of a campaign: what is kept of them, and where their passwords are found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from test_rig.campaign.document import Document, TargetTable
from test_rig.campaign.planned import PlannedTarget
from test_rig.campaign.problems import Problems
from test_rig.errors import TargetError, UsageError
from test_rig.rig import absolute_url, target_of, target_urls
from test_rig.settings import AppConfig, secret_of_variable
from test_rig.targets import LevelSpec, TargetUrl

__all__ = ["FoundTarget", "find_targets", "name_of", "with_password"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTarget:
    """A target, its address with the password, and what it said of itself."""

    planned: PlannedTarget
    url: TargetUrl
    #: Whether the campaign's file itself tells the password.
    is_told: bool = False
    #: None where it was not reached.
    levels: tuple[LevelSpec, ...] | None = None
    #: Why it was not reached.
    error: str = ""


def name_of(text: str, document: Document) -> str:
    """Return what a target is called: its table's name, or its URL without a password.

    Raises:
        TargetUrlError: It is neither.
    """
    return text if text in document.targets else TargetUrl.parse(text).safe()


def find_targets(
    document: Document, config: AppConfig, problems: Problems
) -> dict[str, FoundTarget]:
    """Return every target that is named, each asked for its levels, by name."""
    named = {name: ("targets", name) for name in document.targets}
    asked: list[tuple[str, tuple[str | int, ...]]] = [
        (name, ("matrix", "targets", at)) for at, name in enumerate(document.matrix.targets)
    ]
    asked += [(each.target, ("include", at, "target")) for at, each in enumerate(document.include)]
    places: dict[str, tuple[TargetTable, tuple[str | int, ...]]] = {
        name: (document.targets[name], keys) for name, keys in named.items()
    }
    for text, keys in asked:
        if text in document.targets:
            continue
        if ":" not in text:
            todo = f"make a table [targets.{text}] with its url, or give a whole URL here"
            problems.add(f"there is no target {text!r}", *keys, todo=todo)
            continue
        try:
            places.setdefault(name_of(text, document), (TargetTable(url=text), keys))
        except UsageError as error:
            problems.add_error(error, *keys)
    found = {}
    for name, (table, keys) in places.items():
        each = _find(name, table, keys, document, config, problems)
        if each is not None:
            found[name] = each
    return found


def _find(
    name: str,
    table: TargetTable,
    keys: tuple[str | int, ...],
    document: Document,
    config: AppConfig,
    problems: Problems,
) -> FoundTarget | None:
    if table.password_env is not None and table.password_file is not None:
        problems.add("one of password_env and password_file is enough", *keys, "password_file")
        return None
    try:
        url = absolute_url(target_urls(config, (table.url,))[0])
        planned = PlannedTarget(
            name=name,
            url=url.safe(),
            password_env=table.password_env,
            password_file=table.password_file and str(Path(table.password_file).absolute()),
            parallel=table.parallel or document.campaign.parallel_per_target,
        )
        url = with_password(url, planned)
        is_told = TargetUrl.parse(table.url).password is not None
        with target_of(config, url) as target:
            try:
                levels, info = target.levels, target.info
            except TargetError as error:
                return FoundTarget(planned=planned, url=url, is_told=is_told, error=error.what)
    except UsageError as error:
        problems.add_error(error, *keys, *([] if error.where is None else [error.where]))
        return None
    product = f"{info.product} {info.version}"
    planned = replace(planned, product=product)
    return FoundTarget(planned=planned, url=url, is_told=is_told, levels=levels)


def with_password(url: TargetUrl, target: PlannedTarget) -> TargetUrl:
    """Return an address with the password that its target's variable or file holds.

    Raises:
        UsageError: There is no such variable, or the file cannot be read; `where` is the key.
    """
    if target.password_env is not None:
        password = secret_of_variable(target.password_env)
        if password is None:
            what = f"the environment has no variable {target.password_env}"
            raise UsageError(what, where="password_env", todo="set it to the password")
        return replace(url, password=password)
    if target.password_file is not None:
        try:
            text = Path(target.password_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8"
            what = f"{target.password_file} cannot be read: {reason}"
            raise UsageError(what, where="password_file") from error
        return replace(url, password=text.strip("\r\n"))
    return url
