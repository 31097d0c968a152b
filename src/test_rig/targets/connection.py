"""A connection to make, in separate parts, as scripts write it down."""

from __future__ import annotations

from dataclasses import dataclass, field

from test_rig.targets.url import TargetUrl

__all__ = ["ConnectionConfig"]


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """Where a named connection leads; prints without its password.

    >>> ConnectionConfig("primary", "db.example:4000", 4000, "root", "secret").url
    TargetUrl(scheme='tidb', host='db.example', port=4000, user='root', database=None, path=None, options={})
    """  # noqa: E501 - what Python prints

    #: What results and messages call it.
    id: str
    #: `host`, `host:port`, or a whole URL.
    host: str = "127.0.0.1"
    #: Wins over a port within `host`; if neither tells one, the default of the kind of database.
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    #: Of an embedded one: its file.
    database: str | None = None

    @property
    def url(self) -> TargetUrl:
        """The address.

        Raises:
            TargetUrlError: The parts name no target.
        """
        return TargetUrl.from_parts(
            host=self.host,
            port=self.port,
            user=self.username,
            password=self.password,
            database=self.database,
        )
