"""The journal: what outlives the process that wrote it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_rig.suite.journal import Journal

WRITES_AND_DIES = """
import os, sys
from test_rig.suite.journal import Journal
journal = Journal(int(sys.argv[1]))
journal.note(b"of another handler")
journal.begin()
journal.note(b"first")
journal.note(b"second")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def journal() -> Iterator[Journal]:
    """Return new memory, let go afterwards."""
    made = Journal()
    yield made
    made.close()


def test_what_a_killed_process_had_noted_is_read(journal: Journal) -> None:
    """In order, from where the last handler began."""
    ended = subprocess.run(
        [sys.executable, "-c", WRITES_AND_DIES, str(journal.descriptor)],
        pass_fds=(journal.descriptor,),
        check=False,
    )
    assert ended.returncode == -9
    assert journal.read() == (2, [b"first", b"second"])


def test_of_very_many_notes_the_first_and_the_last_are_kept(journal: Journal) -> None:
    """All are counted, and none is kept in part."""
    notes = [b"%06d" % number + b"x" * 994 for number in range(20_000)]
    for note in notes:
        journal.note(note)
    count, kept = journal.read()
    assert count == len(notes)
    assert kept[:2000] == notes[:2000]
    assert kept[-2000:] == notes[-2000:]
    assert kept == sorted(set(kept))
    assert len(kept) < len(notes)


def test_a_note_that_is_too_long_is_only_counted(journal: Journal) -> None:
    """What follows it is kept."""
    journal.note(b"x" * 3_000_000)
    journal.note(b"short")
    assert journal.read() == (2, [b"short"])


def test_what_was_written_over_is_left_out(journal: Journal) -> None:
    """Nobody waits for an end that is far beyond the memory."""
    journal.note(b"whole")
    os.pwrite(journal.descriptor, b"garbage\n" * 6, 0)
    assert journal.read() == (1, [b"whole"])


def test_the_memory_has_no_name(journal: Journal) -> None:
    """What statements say is in no folder."""
    place = str(Path(f"/proc/self/fd/{journal.descriptor}").readlink())
    assert "deleted" in place or "memfd" in place
