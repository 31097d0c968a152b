"""A database under test: opened by URL, told apart by what the server says of itself."""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from test_rig.errors import (
    ConnectFailed,
    FailureKind,
    MissingExtra,
    StatementFailed,
    TargetError,
    TargetUrlError,
    UnknownName,
)
from test_rig.resilience import MASK
from test_rig.targets.dialect import Dialect, LevelSpec, Wire
from test_rig.targets.door import SqlListener, read_failure
from test_rig.targets.embedded import Embedded, scratch_file
from test_rig.targets.leftovers import Leftover, remembered, remove_leftovers
from test_rig.targets.opened import tell_of
from test_rig.targets.scratch import Observer, Scratch
from test_rig.targets.session import Session, find_level
from test_rig.targets.url import TargetUrl
from test_rig.verdict import TargetInfo

__all__ = ["Target"]

#: Who waits is asked all the time: a server that does not answer soon will not tell.
_OBSERVE_S = 5.0
#: A server that has not noticed yet that a client is gone keeps its leftover: for a later run.
_LEFTOVER_S = 5.0


def _dialect(scheme: str) -> Dialect:
    """Return the dialect that a scheme starts with; the server may name another later."""
    if scheme == "sqlite":
        from test_rig.targets.sqlite import SQLITE

        return SQLITE
    if scheme == "memory":
        from test_rig.targets.memory import MEMORY

        return MEMORY
    if scheme == "duckdb":
        from test_rig.targets.duckdb import DUCKDB

        return DUCKDB
    extra, module = ("postgresql", "psycopg") if scheme == "postgresql" else ("mysql", "PyMySQL")
    try:
        if scheme == "postgresql":
            from test_rig.targets.postgresql import DIALECT
        else:
            from test_rig.targets.mysql import DIALECT
    except ImportError as error:
        raise MissingExtra(
            f"{scheme}:// needs the driver {module}, which cannot be imported: {error}",
            extra=extra,
        ) from error
    return DIALECT


def _check_options(url: TargetUrl, known: Collection[str]) -> None:
    for name in url.options:
        if name not in known:
            raise UnknownName(f"option of {url.scheme} URLs", name, tuple(known))
    authority = url.options.get("ssl_ca")
    if authority is not None and not Path(authority).is_file():
        raise TargetUrlError(f"the URL's ssl_ca is no file: {authority}")


class Target:
    """A database under test. Make one with `Target.open`; it connects when asked to.

    It is a context manager: leaving it removes the private file of a target without a path.
    """

    def __init__(
        self,
        url: TargetUrl,
        *,
        listener: SqlListener | None = None,
        statement_timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
    ) -> None:
        self.url = url
        self._listener = listener
        self._statement_timeout_s = statement_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._dialect = _dialect(url.scheme)
        self._version: str | None = None
        self._lock = threading.Lock()
        self._remove: Callable[[], object] | None = None
        self._file_url = url
        if isinstance(self._dialect, Embedded) and url.path is None:
            self._file_url, remove = self._dialect.private_place(url)
            # Called by `close`, or when nobody knows the target any more.
            self._remove = weakref.finalize(self, remove)

    @classmethod
    def open(
        cls,
        url: str | TargetUrl,
        *,
        listener: SqlListener | None = None,
        statement_timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
    ) -> Target:
        """Return the target of a URL, without connecting to it.

        Raises:
            TargetUrlError: The URL names no target.
            MissingExtra: Its driver is not installed.
        """
        parsed = TargetUrl.parse(url) if isinstance(url, str) else url
        _check_options(parsed, _dialect(parsed.scheme).url_options)
        return cls(
            parsed,
            listener=listener,
            statement_timeout_s=statement_timeout_s,
            connect_timeout_s=connect_timeout_s,
        )

    @property
    def dialect(self) -> Dialect:
        """The dialect: by the URL at first, by the server's word after the first connection."""
        return self._dialect

    @property
    def info(self) -> TargetInfo:
        """What the server is; connects where that is not known yet."""
        if self._version is None:
            self.connect("probe").close()
        return TargetInfo(
            url=self.url.safe(), product=self._dialect.product, version=self._version or "unknown"
        )

    @property
    def levels(self) -> tuple[LevelSpec, ...]:
        """The levels this server has, weakest first; connects where it is not known yet."""
        if self._version is None:
            self.connect("probe").close()
        return self._dialect.levels()

    def level(self, name: str) -> LevelSpec:
        """Return the level of that key or name.

        Raises:
            UnknownName: The server has none such; the message lists those it has.
        """
        return find_level(name, self.levels)

    def connect(self, name: str = "conn_0", *, level: LevelSpec | None = None) -> Session:
        """Open a session.

        Args:
            name: How it is called in transcripts and errors.
            level: Make it a session of this level: its setup is sent, its options hold.

        Raises:
            ConnectFailed: No session could be made within the time limit.
        """
        return self._open_session(name, self._file_url, level)

    def observer(self) -> Observer:
        """Return somebody who asks the server who waits for whom; the listener is not told."""
        wire, version = self._recognised(self._file_url)
        return Observer(
            Session(
                "observer",
                wire,
                dialect=self._dialect,
                url=self._file_url,
                version=version,
                timeout_s=min(self._statement_timeout_s, _OBSERVE_S),
            )
        )

    def _open_session(
        self,
        name: str,
        url: TargetUrl,
        level: LevelSpec | None,
        *,
        for_scenario: bool = False,
    ) -> Session:
        if level is not None:
            url = url.with_options(**dict(level.options))
        wire, version = self._recognised(url)
        session = self._session(name, wire, url=url, version=version, listener=self._listener)
        try:
            for statement in level.session_setup if level else ():
                session.execute(statement)
            if for_scenario:
                self._dialect.prepare_waiting(session.execute)
        except TargetError as error:
            session.close()
            raise self._connect_failed(error) from error
        tell_of(session)
        return session

    def _session(
        self,
        name: str,
        wire: Wire,
        *,
        url: TargetUrl,
        version: str,
        listener: SqlListener | None = None,
    ) -> Session:
        return Session(
            name,
            wire,
            dialect=self._dialect,
            url=url,
            version=version,
            timeout_s=self._statement_timeout_s,
            listener=listener,
        )

    def _recognised(self, url: TargetUrl) -> tuple[Wire, str]:
        """Return an open wire, made by the dialect that the server asks for, and the version."""
        with self._lock:
            if self._version is None:
                first = self._dialect
                wire = self._wire(url)
                self._dialect, self._version = self._recognise(wire, url)
                if self._dialect is first:
                    return wire, self._version
                wire.close()  # it cancels as the first dialect does, which may be another way
            version = self._version
        return self._wire(url), version

    def _recognise(self, wire: Wire, url: TargetUrl) -> tuple[Dialect, str]:
        greeting = self._session("greeting", wire, url=url, version="unknown")
        ask = partial(greeting.execute, deadline_s=self._connect_timeout_s)
        try:
            return self._dialect.recognise(ask)
        except TargetError as error:
            greeting.close()
            raise self._connect_failed(error) from error

    def _wire(self, url: TargetUrl) -> Wire:
        try:
            return self._dialect.connect(url, self._connect_timeout_s)
        except Exception as error:
            raise self._connect_failed(error) from error

    def _connect_failed(self, error: Exception) -> ConnectFailed:
        failure = read_failure(error, family=self._dialect.family, connecting=True)
        message = failure.message or failure.label()
        if self.url.password:
            message = message.replace(self.url.password, MASK)
        return ConnectFailed(
            f"cannot connect to {self._dialect.product}: {message}",
            failure=failure,
            address=self.url.address(),
            todo=self._advice(failure.kind),
        )

    def _advice(self, kind: FailureKind) -> str | None:
        if kind is not FailureKind.CONNECT or not self.url.is_embedded:
            return _ADVICE.get(kind)
        folder = Path(self.url.path or "").absolute().parent
        if folder.is_dir():
            return "check the path, and that the file can be opened"
        return f"make the folder {folder}, or name another file"

    @contextmanager
    def scratch(self) -> Iterator[Scratch]:
        """Make a private namespace for the time of a block, and remove it for sure at its end.

        A schema on PostgreSQL, a database on MySQL's kin, a folder beside the file on embedded
        targets. Nothing outside it is touched. Sessions that are still open in it are ended. What
        rigs of this machine and user left there that were killed is removed, too.
        """
        where = self._lasting_address()
        if where is not None:
            remove_leftovers(where, self._remove_left)
        name = f"test_rig_{secrets.token_hex(5)}"
        note = nullcontext() if where is None else remembered(Leftover(name, where))
        with note, self.connect("scratch") as admin:
            place = self._create(admin, name)
            scratch = Scratch(self, name, place, partial(self._open_session, for_scenario=True))
            try:
                yield scratch
            except BaseException as error:
                try:
                    self._drop(admin, scratch, place)
                except StatementFailed as second:
                    error.add_note(str(second))  # the block's own error is the one to tell
                raise
            self._drop(admin, scratch, place)

    def _create(self, admin: Session, name: str) -> TargetUrl:
        try:
            return self._dialect.create_scratch(admin.execute, self._file_url, name)
        except (TargetError, OSError) as error:
            raise self._scratch_failed(
                error,
                "cannot make a private place to work in",
                todo="give the user the right to create a schema or database (a read-only user "
                "cannot be used), or name a folder that can be written to",
            ) from error

    def _lasting_address(self) -> str | None:
        """Return where private places are made; None where none outlives the process for long."""
        url = self.url
        if url.scheme == "memory" or (url.is_embedded and not url.path):
            return None
        if url.is_embedded:
            return str(Path(url.path or "").absolute())
        return f"{url.address()}/{url.database or ''}"

    def _remove_left(self, left: Leftover) -> bool:
        """Remove a private place that nobody uses; return whether it need not be tried again."""
        try:
            with self.connect("leftovers") as session:
                ask = partial(session.execute, deadline_s=_LEFTOVER_S)
                place = self._file_url
                if place.is_embedded:
                    place = replace(place, path=scratch_file(place, left.name))
                self._dialect.drop_scratch(ask, place, left.name)
        except TargetError as error:
            return error.failure.kind not in (FailureKind.PERMISSION, FailureKind.TIMEOUT)
        except (OSError, ValueError):
            return False
        return True

    def _drop(self, admin: Session, scratch: Scratch, place: TargetUrl) -> None:
        scratch.end_sessions()
        try:
            self._dialect.drop_scratch(admin.execute, place, scratch.name)
            return
        except (TargetError, OSError):
            pass  # one more try, on a fresh connection
        try:
            with self.connect("cleanup") as fresh:
                self._dialect.drop_scratch(fresh.execute, place, scratch.name)
        except (TargetError, OSError) as second:
            what, todo = (
                f"{scratch.name} could not be removed",
                f"remove it by hand: {scratch.name}",
            )
            raise self._scratch_failed(second, what, todo=todo) from second

    def _scratch_failed(self, error: Exception, what: str, *, todo: str) -> StatementFailed:
        failure = read_failure(error, family=self._dialect.family)
        return StatementFailed(
            f"{what}: {failure.message or failure.label()}",
            failure=failure,
            address=self.url.address(),
            todo=todo,
        )

    def close(self) -> None:
        """Remove what the target made for itself."""
        if self._remove is not None:
            self._remove()

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


#: What to do about a connection that failed.
_ADVICE = {
    FailureKind.AUTHENTICATION: "check user and password (TEST_RIG_DATABASE_PASSWORD, or the "
    "prompt), and that the server lets this user in from here",
    FailureKind.UNKNOWN_DATABASE: "create the database, or name another one in the URL",
    FailureKind.CONNECT: "check host and port, and that the server runs",
    FailureKind.TIMEOUT: "check host, port and firewall, or raise database.timeout_secs",
    FailureKind.TOO_MANY_CONNECTIONS: "close other connections, or raise the server's limit",
    FailureKind.SERVER_STARTING: "wait until the server is up",
}
