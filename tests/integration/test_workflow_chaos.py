"""Workers are killed at random moments: nothing is lost, nothing finished is run again."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "workflow_scripts"))

from chaos import kill_at_random

#: Few, so that every test run can afford them; benchmarks/workflow_chaos.py has the long form.
KILLS = int(os.environ.get("TEST_RIG_WORKFLOW_KILLS", "2"))


@pytest.fixture
def url(store_url: str) -> str:
    """The URL of an empty store of each kind."""
    return store_url


@pytest.mark.parametrize("workers", [1, 2])
def test_kills_at_random_moments_lose_and_repeat_nothing(
    url: str, tmp_path: Path, workers: int
) -> None:
    """No run is lost or stuck, none is made twice, and every task has the right result."""
    seed = random.randrange(2**32)
    wreck = kill_at_random(
        url,
        tmp_path,
        workers=workers,
        kills=KILLS,
        runs=6 * KILLS * workers,
        chance=random.Random(seed),
        step_s=0.03,
        at_once=4,
    )
    print(f"{wreck.kills} kills, {wreck.in_vain} attempts in vain, seed {seed}")
    assert wreck.faults == ()
