"""Which databases are meant, and the targets made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from test_rig.settings import AppConfig, TargetSettings
from test_rig.targets import SqlListener, Target, TargetUrl

__all__ = ["EMBEDDED_URLS", "STAND_IN_URL", "absolute_url", "target_of", "target_urls"]

#: What is audited where no target is named.
EMBEDDED_URLS = ("sqlite://", "duckdb://")
#: What takes the place of every target where the settings want no real database.
STAND_IN_URL = "memory://"


def target_urls(config: AppConfig, given: Sequence[str] = ()) -> list[TargetUrl]:
    """Return the targets that the arguments, or else the settings, name; empty where none do.

    A user, password or database from the settings fills what a URL leaves open, and replaces what
    it says where it came from a stronger source than the URL. With `test.real_db` off it is the
    in-memory stand-in, whatever is named.

    Raises:
        TargetUrlError: One of them names no target.
    """
    if not config.test.real_db:
        return [TargetUrl.parse(STAND_IN_URL)]
    asked = config.target()
    if given:
        return [_filled(text, replace(asked, stronger=frozenset())) for text in given]
    if asked.url is not None:
        return [_filled(asked.url, asked)]
    if asked.host is None and asked.port is None:
        return []
    return [
        TargetUrl.from_parts(
            host=asked.host,
            port=asked.port,
            user=asked.username,
            password=asked.password,
            database=asked.database,
        )
    ]


def _filled(text: str, asked: TargetSettings) -> TargetUrl:
    url = TargetUrl.parse(text)
    if url.is_embedded:
        return url
    names_user = "@" in text.partition("://")[2].partition("/")[0]

    def choose(part: str, own: str | None, other: str | None) -> str | None:
        return other if other is not None and (own is None or part in asked.stronger) else own

    return replace(
        url,
        user=choose("username", url.user if names_user else None, asked.username) or url.user,
        password=choose("password", url.password, asked.password),
        database=choose("database", url.database, asked.database),
    )


def absolute_url(given: TargetUrl | str) -> TargetUrl:
    """Return a target's address as it is from any working folder."""
    url = TargetUrl.parse(given) if isinstance(given, str) else given
    if url.path is None or url.scheme == "memory":
        return url
    return replace(url, path=str(Path(url.path).absolute()))


def target_of(
    config: AppConfig, url: TargetUrl | str, *, listener: SqlListener | None = None
) -> Target:
    """Return the target of a URL with the settings' time limits."""
    return Target.open(
        url,
        listener=listener,
        statement_timeout_s=config.database.timeout_secs,
        connect_timeout_s=config.database.timeout_secs,
    )
