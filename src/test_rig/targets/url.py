"""Where a database is: a URL, or its parts.

A password is kept out of every text this value gives of itself; only the dialects read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote

from test_rig.errors import TargetUrlError

__all__ = ["DEFAULT_PORTS", "EMBEDDED_SCHEMES", "TargetUrl"]

#: Ports by scheme; a scheme that is not here is not served.
DEFAULT_PORTS: Mapping[str, int] = {"postgresql": 5432, "mysql": 3306, "tidb": 4000}
EMBEDDED_SCHEMES = ("sqlite", "duckdb", "memory")
_ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}
_OPTION = re.compile(r"[A-Za-z_][\w.-]*")
_DEFAULT_USERS = {"postgresql": "postgres", "mysql": "root", "tidb": "root"}


def _known_schemes() -> str:
    return ", ".join([*EMBEDDED_SCHEMES, *DEFAULT_PORTS, "mariadb"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetUrl:
    """One target's address. `str()` and `repr()` leave the password out."""

    scheme: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    #: Embedded targets: the file; None for a private temporary one.
    path: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> TargetUrl:
        """Read a URL such as `postgresql://user@host:5432/db`, or `host:port`.

        A file is named as SQLAlchemy's users know it: three slashes for a relative path
        (`sqlite:///file.db`), four for an absolute one; no path at all, or `:memory:`, means a
        private temporary file, since several sessions must be able to share it.

        Raises:
            TargetUrlError: The text names no target; the message never repeats a password.
        """
        text = text.strip()
        if "://" not in text:
            return cls.from_parts(host=text)
        scheme, _, rest = text.partition("://")
        scheme = _ALIASES.get(scheme.lower(), scheme.lower())
        if "#" in rest:
            raise TargetUrlError(
                "the URL has a # in it, which ends a URL", todo="write %23 where a # is meant"
            )
        if scheme in EMBEDDED_SCHEMES:
            return cls._parse_embedded(scheme, rest)
        if scheme not in DEFAULT_PORTS:
            shown = f"scheme {scheme!r}" if scheme.isalnum() else "scheme"
            raise TargetUrlError(
                f"unknown {shown} in a target URL", todo=f"known: {_known_schemes()}"
            )
        return cls._parse_server(scheme, rest)

    @classmethod
    def _parse_server(cls, scheme: str, rest: str) -> TargetUrl:
        body, _, query = rest.partition("?")
        place, _, path = body.partition("/")
        login, _, where = place.rpartition("@")
        user, colon, password = login.partition(":")
        if "@" in path:
            raise TargetUrlError(
                f"the {scheme} URL has an @ behind its host",
                todo="in a user, password or database write %2F for / and %40 for @",
            )
        host, port = _split_host(where)
        return cls(
            scheme=scheme,
            host=unquote(host) or "127.0.0.1",
            port=port or DEFAULT_PORTS[scheme],
            user=unquote(user) or _DEFAULT_USERS[scheme],
            password=unquote(password) if colon else None,
            database=unquote(path.strip("/")) or None,
            options=_options(scheme, query),
        )

    @classmethod
    def _parse_embedded(cls, scheme: str, rest: str) -> TargetUrl:
        body, _, query = rest.partition("?")
        if body and not body.startswith("/") and body != ":memory:":
            raise TargetUrlError(
                f"a {scheme} URL names a file, not a host",
                todo=f"write {scheme}:///{body} (three slashes: relative; four: absolute)",
            )
        path = unquote(body[1:]) if body.startswith("/") else ""
        return cls(
            scheme=scheme,
            path=None if path in ("", ":memory:") else path,
            options=_options(scheme, query),
        )

    @classmethod
    def from_parts(
        cls,
        *,
        host: str | None = None,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
        scheme: str | None = None,
    ) -> TargetUrl:
        """Make a URL of separate parts; `host` may be `host`, `host:port`, `[v6]:port` or a URL.

        A port given by itself wins over one inside `host`. Without a scheme the port tells it;
        any other port, or none, means the MySQL protocol with TiDB's default port 4000. For an
        embedded scheme the database is its file.

        Raises:
            TargetUrlError: The parts name no target; the message never repeats a password.
        """
        kind = None if scheme is None else _ALIASES.get(scheme.lower(), scheme.lower())
        if host and "://" in host:
            url = cls.parse(host)
        elif kind in EMBEDDED_SCHEMES:
            return cls(scheme=kind, path=None if database in (None, "", ":memory:") else database)
        else:
            url = cls._of_host(host or "127.0.0.1", port, kind)
        return replace(
            url,
            port=_checked_port(str(port)) if port is not None else url.port,
            user=user or url.user,
            password=url.password if password is None else password,
            database=database or url.database,
        )

    @classmethod
    def _of_host(cls, host: str, port: int | None, kind: str | None) -> TargetUrl:
        name, inner = _split_host(host)
        number = inner if port is None else port
        by_port = {value: key for key, value in DEFAULT_PORTS.items()}
        kind = kind or by_port.get(number or 0, "tidb" if number is None else "mysql")
        if kind not in DEFAULT_PORTS:
            raise TargetUrlError(f"unknown scheme {kind!r}", todo=f"known: {_known_schemes()}")
        return cls(
            scheme=kind,
            host=name,
            port=number or DEFAULT_PORTS[kind],
            user=_DEFAULT_USERS[kind],
        )

    @property
    def is_embedded(self) -> bool:
        """Whether the database runs in the rig's own process."""
        return self.scheme in EMBEDDED_SCHEMES

    def safe(self) -> str:
        """Return the URL without its password: what logs and reports print."""
        if self.is_embedded:
            path = "" if self.path is None else f"/{quote(self.path, safe='/:~@ ')}"
            return f"{self.scheme}://{path}"
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        place = self._place(quote(self.host or "", safe=":."))
        return f"{self.scheme}://{user}{place}/{quote(self.database or '', safe='')}"

    def address(self) -> str:
        """Return `host:port`, or the file: where a session leads."""
        if self.is_embedded:
            return self.path or f"{self.scheme} temporary file"
        return self._place(self.host or "")

    def _place(self, host: str) -> str:
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def with_options(self, **options: str) -> TargetUrl:
        """Return the same address with more options."""
        return replace(self, options={**self.options, **options})

    def __str__(self) -> str:
        return self.safe()


def _split_host(text: str) -> tuple[str, int | None]:
    """Split `host`, `host:port`, `[v6]:port` or a bare IPv6 address."""
    if "@" in text:
        # Whatever stands before it may be a password: the message says nothing of it.
        raise TargetUrlError(
            "a host cannot hold an @",
            todo="give user and password by themselves, or a whole URL: scheme://user@host:port/",
        )
    if text.startswith("["):
        name, bracket, tail = text[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise TargetUrlError("the host's brackets are wrong", todo="write [::1]:4000")
        port = tail[1:]
    elif text.count(":") == 1:
        name, _, port = text.partition(":")
    else:
        name, port = text, ""
    return name, _checked_port(port) if port else None


def _checked_port(text: str) -> int:
    # The text is not repeated: in a URL with an unencoded / it is the password's beginning.
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise TargetUrlError(
            "the port is not a number from 1 to 65535",
            todo="correct the port; in a user or password write %3A for : and %2F for /",
        )
    return int(text)


def _options(scheme: str, query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    if not all(_OPTION.fullmatch(name) for name in options):
        raise TargetUrlError(
            f"the {scheme} URL has something behind its ? that is no option",
            todo="write ?name=value&name=value, and %3F where a password holds a ?",
        )
    return options
