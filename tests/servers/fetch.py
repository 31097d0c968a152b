"""Fetches servers that the machine's packages do not offer into `.cache`: `make servers`.

Two further engines on MySQL's protocol, beside MariaDB, to hold the same code against:

- **MySQL**. Debian's stable release has MariaDB only, its unstable one has MySQL. The packages are
  downloaded with package lists of their own, so that the machine's package state is not touched,
  checked against Debian's keyring, unpacked with `dpkg -x`, and run by their own dynamic loader.
  The mirror is the one that this machine uses. Unstable moves: whatever version is served is taken,
  and written down.
- **seekdb**. Its wheel holds the server's program; it is unpacked beside, not installed.

What is there already is left alone. Exit code 0 where both are there, 3 where one cannot be had;
the tests that want it then skip and say so.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGE = "mysql-server-core"
#: Wanted by scripts of the packages, not by the server.
NOT_NEEDED = re.compile(r"^(perl|libperl|gcc-\d+-base|libgdbm|libdb5|openssl-provider)")
#: How a Debian mirror is named in the two formats of apt's sources.
MIRROR = re.compile(r"^(?:URIs:|deb\s+(?:\[.*?\]\s+)?)\s*(\S+/debian)/?(?:\s|$)", re.MULTILINE)
_STEP_S = 300


class UnavailableError(Exception):
    """The server cannot be had here; the message says why."""


def run(*command: str, folder: Path | None = None) -> str:
    """Run a command to its end and return what it printed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=_STEP_S,
        )
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"{command[0]}: {error.stderr.strip()[-500:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    return done.stdout


def mirror(apt: Path = Path("/etc/apt")) -> str:
    """Return the Debian mirror that this machine uses."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.is_file() and (found := MIRROR.search(path.read_text())):
            return found[1]
    raise UnavailableError("this machine has no Debian mirror")


def fetch_mysql(folder: Path) -> str:
    """Download and unpack MySQL; return its version."""
    if not KEYRING.exists():
        raise UnavailableError(f"{KEYRING} is missing: packages could not be checked")
    apt = folder / "apt"
    for name in ("lists/partial", "archives/partial", "debs"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} sid main\n")
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
    }
    get = [
        "apt-get",
        *(part for key, value in options.items() for part in ("-o", f"{key}={value}")),
    ]
    run(*get, "update")
    wanted = run(*get, "install", "--yes", "--no-install-recommends", "--print-uris", PACKAGE)
    names = [line.split()[1].split("_")[0] for line in wanted.splitlines() if line[:1] == "'"]
    needed = [name for name in names if not NOT_NEEDED.match(name)]
    run(*get, "download", *needed, folder=apt / "debs")
    for deb in sorted((apt / "debs").glob("*.deb")):
        run("dpkg", "-x", str(deb), str(folder / "root"))
    (package,) = (apt / "debs").glob(f"{PACKAGE}_*.deb")
    version = package.name.split("_")[1]
    shutil.rmtree(apt)
    return version


def fetch_seekdb(folder: Path) -> str:
    """Unpack seekdb's wheel; return its version."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--target", str(folder), "pylibseekdb")
    (info,) = folder.glob("pylibseekdb-*.dist-info")
    return info.name.removesuffix(".dist-info").partition("-")[2]


def fetched(name: str) -> str:
    """Return the version of a server that is in the cache, fetching it where it is not."""
    folder = CACHE / name.lower()
    if not (folder / "version").exists():
        shutil.rmtree(folder, ignore_errors=True)  # half of an earlier attempt
        folder.mkdir(parents=True)
        version = {"MySQL": fetch_mysql, "seekdb": fetch_seekdb}[name](folder)
        (folder / "version").write_text(version)
    return (folder / "version").read_text()


def main() -> int:
    """Fetch both; tell what is there and what is not."""
    code = 0
    for name in ("MySQL", "seekdb"):
        try:
            print(f"{name} {fetched(name)} is in {CACHE.name}/", flush=True)
        except UnavailableError as error:
            print(f"{name} cannot be had: {error}", file=sys.stderr, flush=True)
            code = 3
    return code


if __name__ == "__main__":
    sys.exit(main())
