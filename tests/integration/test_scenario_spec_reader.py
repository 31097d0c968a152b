"""The reader accepts what PostgreSQL's own isolation tester accepts, and nothing else."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from test_rig.errors import SpecSyntaxError
from test_rig.scenario import parse_spec

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/lib/pgxs/src/test/isolation/isolationtester"))
TESTER = str(PLACES[-1]) if PLACES else shutil.which("isolationtester")

pytestmark = pytest.mark.skipif(
    TESTER is None, reason="isolationtester is not installed (Debian: postgresql-NN)"
)

BASE = 'setup {a} teardown {b} session s setup {c} step x {d} step y {e} session "t u" step z {}'
TAIL = " teardown {f} permutation x y z x permutation z(*, x, y notices 2) x y(z)"
WORDS = [
    "setup",
    "teardown",
    "session",
    "step",
    "permutation",
    "notices",
    "s",
    "x",
    "y",
    "z",
    "{q}",
    "{}",
    "(",
    ")",
    ",",
    "*",
    "12",
    '"',
    "#c\n",
    "\n",
]


def accepted_by_the_tester(text: str) -> bool:
    """Feed the tester: it reads the whole text before it tries to connect, which fails here."""
    done = subprocess.run(
        [str(TESTER), "host=127.0.0.1 port=1 connect_timeout=2"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    return b"Parsed test spec" in done.stdout


def accepted_by_us(text: str) -> bool:
    """Whether the reader takes it."""
    try:
        parse_spec(text)
    except SpecSyntaxError:
        return False
    return True


def mutants(count: int) -> list[str]:
    """Return specifications with a few words dropped, added, swapped or doubled."""
    chance = random.Random(20)
    texts = []
    for _ in range(count):
        words = (BASE + TAIL).replace("(", " ( ").replace(")", " ) ").replace(",", " , ").split()
        for _ in range(chance.randint(0, 3)):
            at = chance.randrange(len(words))
            action = chance.choice(["drop", "add", "replace", "double"])
            new = chance.choice(WORDS)
            words[at : at + (action in ("drop", "replace"))] = (
                [] if action == "drop" else [words[at]] if action == "double" else [new]
            )
        texts.append(" ".join(words))
    return texts


def test_same_language() -> None:
    """Over a few hundred broken and sound texts, the reader and the tester agree.

    A session's name used twice is the one difference: the tester takes it, but a transcript could
    not tell the two apart.
    """
    texts = [text for text in mutants(300) if "session s" not in text.replace("session s", "", 1)]
    verdicts = [(text, accepted_by_us(text), accepted_by_the_tester(text)) for text in texts]
    assert [text for text, ours, theirs in verdicts if ours != theirs] == []
    assert {ours for _, ours, _ in verdicts} == {True, False}
