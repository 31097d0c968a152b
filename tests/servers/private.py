"""The products that a test can have for itself.

Each says how its data are made, how it is run in the foreground, and where its administrator finds
it; `process.py` does the rest. Durability is off: a test asks what a server answers, not what it
keeps after a power cut (a killed process loses nothing that was written).
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from servers.process import NotHereError, PrivateServer, free_port

__all__ = [
    "NotHereError",
    "PrivateMariadb",
    "PrivateMysql",
    "PrivatePostgres",
    "PrivateSeekdb",
    "PrivateServer",
    "fetched_versions",
    "free_port",
]

CACHE = Path(__file__).parents[2] / ".cache"


def fetched_versions() -> dict[str, str | None]:
    """Return which servers `make servers` fetched, and which versions it was given."""
    found = {name: CACHE / name.lower() / "version" for name in ("MySQL", "seekdb")}
    return {name: path.read_text() if path.exists() else None for name, path in found.items()}


class PrivatePostgres(PrivateServer):
    """PostgreSQL, with trust for `postgres` and passwords (SCRAM) for all others."""

    name = "PostgreSQL"
    user = "postgres"
    stop_signal = signal.SIGINT  # its "fast" shutdown: it does not wait for clients to leave

    def __init__(self, **settings: str) -> None:
        programs = Path("/usr/lib/postgresql").glob("*/bin/initdb")
        newest = max(programs, key=lambda path: float(path.parts[-3]), default=None)
        if newest is None:
            raise NotHereError("no PostgreSQL programs under /usr/lib/postgresql")
        self._bin = newest.parent
        self._settings = settings
        super().__init__()

    def initialize(self) -> None:
        how = ["--auth=trust", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"]
        self.run_tool(f"{self._bin}/initdb", f"--pgdata={self.data}", "--username=postgres", *how)
        rules = ("host all postgres 127.0.0.1/32 trust", "host all all 127.0.0.1/32 scram-sha-256")
        (self.data / "pg_hba.conf").write_text("\n".join(rules) + "\n")

    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            **self._settings,
        }
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [f"{self._bin}/postgres", "-D", str(self.data), *flags]

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"


class PrivateMariadb(PrivateServer):
    """MariaDB, with a root that needs no password."""

    name = "MariaDB"
    user = "mysql"

    def __init__(self, **settings: str) -> None:
        program = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise NotHereError("no mariadbd on this machine")
        self._program = program
        self._settings = settings
        super().__init__()

    def initialize(self) -> None:
        self.run_tool(
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    def command(self) -> list[str]:
        settings = {
            "datadir": str(self.data),
            "port": str(self.port),
            "bind-address": "127.0.0.1",
            "socket": str(self.folder / "s"),
            "pid-file": str(self.folder / "pid"),
            "innodb-buffer-pool-size": "64M",
            "innodb-flush-log-at-trx-commit": "0",
            **{key.replace("_", "-"): value for key, value in self._settings.items()},
        }
        flags = [f"--{key}={value}" for key, value in settings.items()]
        return [self._program, "--no-defaults", *flags]

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/mysql"


class PrivateMysql(PrivateServer):
    """MySQL as `make servers` fetched it, run by its own dynamic loader; root has no password."""

    name = "MySQL"

    def __init__(self) -> None:
        self._root = CACHE / "mysql" / "root"
        if not (CACHE / "mysql" / "version").exists():
            raise NotHereError("no MySQL was fetched: run `make servers`")
        super().__init__()

    def _mysqld(self, *arguments: str) -> list[str]:
        libraries = next(self._root.glob("usr/lib/*-linux-gnu*"))
        return [
            str(next(self._root.glob("usr/lib*/ld-linux-*.so.*"))),
            "--library-path",
            f"{libraries}:{libraries}/mysql/private",
            str(self._root / "usr" / "sbin" / "mysqld"),
            "--no-defaults",
            *(["--user=root"] if os.geteuid() == 0 else []),
            f"--datadir={self.data}",
            f"--basedir={self._root / 'usr'}",
            f"--lc-messages-dir={self._root / 'usr' / 'share' / 'mysql'}",
            f"--plugin-dir={self._root / 'usr' / 'lib' / 'mysql' / 'plugin'}",
            f"--secure-file-priv={self.folder}",
            *arguments,
        ]

    def initialize(self) -> None:
        self.run_tool(*self._mysqld("--initialize-insecure"))

    def command(self) -> list[str]:
        return self._mysqld(
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 's'}",
            f"--pid-file={self.folder / 'pid'}",
            "--mysqlx=OFF",
            "--skip-log-bin",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=0",
        )

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/mysql"


class PrivateSeekdb(PrivateServer):
    """OceanBase seekdb as `make servers` fetched it: snapshot isolation on MySQL's protocol."""

    name = "seekdb"

    def __init__(self) -> None:
        self._program = CACHE / "seekdb" / "pylibseekdb" / "seekdb"
        if not self._program.exists():
            raise NotHereError("no seekdb was fetched: run `make servers`")
        super().__init__()

    def initialize(self) -> None:
        self.data.mkdir()

    def command(self) -> list[str]:
        return [
            str(self._program),
            "--nodaemon",
            f"--base-dir={self.data}",
            f"--port={self.port}",
            "--parameter",
            "datafile_size=512M",
            "--parameter",
            "log_disk_size=2G",
        ]

    @property
    def url(self) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/test"
