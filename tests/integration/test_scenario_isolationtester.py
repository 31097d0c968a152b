"""What `run_spec` prints is what PostgreSQL's own isolation tester prints, line by line."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path

import pytest

from test_rig.scenario import read_spec, run_spec
from test_rig.scenario.transcript_text import isolationtester_text
from test_rig.targets import Target

SPECS = sorted((Path(__file__).parent / "scenario_specs").glob("*.spec"))
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/lib/pgxs/src/test/isolation/isolationtester"))
TESTER = str(PLACES[-1]) if PLACES else shutil.which("isolationtester")


@pytest.fixture
def target(postgres_url: str) -> Iterator[Target]:
    """The PostgreSQL server at hand."""
    with Target.open(postgres_url) as target:
        yield target


def theirs(spec: Path, target: Target) -> str:
    """Run the tester in a schema of its own."""
    schema, url = f"rig_iso_{secrets.token_hex(4)}", target.url
    with target.connect() as session:
        session.execute(f"CREATE SCHEMA {schema}")
        try:
            done = subprocess.run(
                [
                    str(TESTER),
                    f"host={url.host} port={url.port} user={url.user} dbname={url.database} "
                    f"options='-c search_path={schema}'",
                ],
                input=spec.read_bytes(),
                capture_output=True,
                check=True,
                timeout=60,
            )
        finally:
            session.execute(f"DROP SCHEMA {schema} CASCADE")
    assert done.stderr == b""
    return done.stdout.decode()


def ours(path: Path, target: Target) -> str:
    """Run the rig in a scratch place of its own."""
    spec = read_spec(path)
    with target.scratch() as scratch:
        texts = [isolationtester_text(transcript) for transcript in run_spec(spec, scratch)]
    return f"Parsed test spec with {len(spec.sessions)} sessions\n{''.join(texts)}"


def difference(path: Path, target: Target) -> str:
    """Return how the two outputs differ; empty where they do not."""
    texts = theirs(path, target).splitlines(), ours(path, target).splitlines()
    return "\n".join(unified_diff(*texts, "theirs", "ours", lineterm=""))


@pytest.mark.skipif(
    TESTER is None, reason="isolationtester is not installed (Debian: postgresql-NN)"
)
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_same_output(path: Path, target: Target) -> None:
    """Waits, deadlocks, markers, notices, errors and tables come in the same lines and order.

    Both look at the server by the clock, so that a machine that stalls can make either of them
    see a thing later: a real difference is there every time.
    """
    differences = []
    while len(differences) < 3 and (found := difference(path, target)):
        differences.append(found)
    assert len(differences) < 3, "\n\n".join(differences)
