"""A campaign's runs are done, tried again and recorded, whoever does them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from test_rig.campaign import RunOutcome, Standing, list_campaigns, open_campaign, summary_of
from test_rig.campaign.conduct import conduct, outcomes_so_far
from test_rig.campaign.order import Order
from test_rig.campaign.run import Opened
from test_rig.cli.report import report
from test_rig.errors import UnknownName, UsageError
from test_rig.settings import AppConfig


class Recorder:
    """Does runs as a test says, and notes what it is told."""

    def __init__(self, standing: Callable[[Order], Standing]) -> None:
        self.standing = standing
        self.attempts: Counter[int] = Counter()
        self.told: list[tuple[int, int]] = []
        self.most, self._live, self._lock = 0, 0, threading.Lock()

    def do(self, order: Order, is_wanted: Callable[[], bool]) -> RunOutcome:
        """Do a run: at once."""
        assert is_wanted()
        with self._lock:
            self.attempts[order.planned.seed] += 1
            self._live += 1
            self.most = max(self.most, self._live)
        standing = self.standing(order)
        with self._lock:
            self._live -= 1
        return RunOutcome(planned=order.planned, standing=standing, started=1.0)

    def began(self, planned: object, attempt: int) -> None:
        """Be told of a beginning."""

    def ended(self, outcome: RunOutcome, done: int, total: int) -> None:
        """Be told of an end."""
        self.told.append((done, total))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Opened]:
    """Open a campaign of one workload with as many seeds as are wanted."""

    def make(seeds: int, against: str | None = None, **limits: int) -> Opened:
        lines = ["[campaign]", 'name = "small"', *(f"{k} = {v}" for k, v in limits.items())]
        lines += ["[matrix]", 'targets = ["sqlite://"]', 'levels = ["wal deferred"]']
        lines += ['workloads = ["bank"]', f"seeds = {list(range(seeds))}"]
        path = tmp_path / "small.toml"
        path.write_text("\n".join(lines))
        config = AppConfig(campaigns={"folder": str(tmp_path / "campaigns")})
        return open_campaign(path, config, against=against)

    return make


def conducted(opened: Opened, by: Recorder) -> list[Standing]:
    """Do all runs, and return what they came to."""
    record = conduct(
        opened.folder,
        store_url=None,
        urls=opened.ready.urls,
        do=by.do,
        teller=by,
        config_files=None,
    )
    return [outcome.standing for outcome in record.outcomes]


@pytest.mark.parametrize(
    ("retries", "standings", "attempts"),
    [(0, [Standing.VALID, Standing.ERROR], [1, 1]), (1, [Standing.VALID] * 2, [1, 2])],
)
def test_what_failed_is_tried_again_as_often_as_the_file_says(
    opened: Callable[..., Opened], retries: int, standings: list[Standing], attempts: list[int]
) -> None:
    """A target that could not be used once; what was judged is not tried again."""

    def standing(order: Order) -> Standing:
        is_bad = order.planned.seed == 1 and order.attempt == 1
        return Standing.ERROR if is_bad else Standing.VALID

    recorder = Recorder(standing)
    assert conducted(opened(2, retries=retries), recorder) == standings
    assert [recorder.attempts[seed] for seed in range(2)] == attempts


def test_a_target_gets_no_more_runs_at_a_time_than_it_bears(
    opened: Callable[..., Opened],
) -> None:
    """Though the campaign as a whole could do more; the count of ended runs grows one by one."""
    recorder = Recorder(lambda order: Standing.VALID)
    done = conducted(opened(12, parallel=8, parallel_per_target=2), recorder)
    assert done == [Standing.VALID] * 12
    assert recorder.most <= 2
    assert sorted(recorder.told) == [(number, 12) for number in range(1, 13)]


def test_a_campaign_that_is_over_is_not_run_again(opened: Callable[..., Opened]) -> None:
    """What came of it is in its folder, and a second call finds it there."""
    recorder = Recorder(lambda order: Standing.INVALID)
    one = opened(3)
    conducted(one, recorder)
    assert conducted(one, recorder) == [Standing.INVALID] * 3
    assert set(recorder.attempts.values()) == {1}
    record = one.folder.record()
    assert outcomes_so_far(one.folder, record, None) == record.outcomes


def test_what_cannot_be_compared_is_told_before_anything_is_made(
    opened: Callable[..., Opened], tmp_path: Path
) -> None:
    """No folder is left, whether none has the name or its records are elsewhere."""
    for wrong in ("last", "nobody"):
        with pytest.raises(UnknownName):
            opened(1, against=wrong)
    assert not (tmp_path / "campaigns").exists()
    first = opened(1)
    first.folder.write(replace(first.folder.record(), store="postgresql://db/elsewhere"))
    (first.folder.runs / "one").mkdir()
    with pytest.raises(UsageError, match="recorded in postgresql://db/elsewhere"):
        opened(2, against=first.folder.id)
    assert list_campaigns(tmp_path / "campaigns") == (first.folder,)


def test_a_campaign_that_is_recorded_elsewhere_is_not_shown_as_empty(
    opened: Callable[..., Opened],
) -> None:
    """Where its store is not named, that is told."""
    folder = opened(1).folder
    folder.write(replace(folder.record(), store="postgresql://db/elsewhere"))
    with pytest.raises(UsageError, match="--store postgresql://db/elsewhere"):
        summary_of(folder, AppConfig())


@pytest.mark.parametrize(
    ("form", "start"),
    [("text", "campaign small"), ("json", "{"), ("junit", "<?xml"), ("html", "<!doctype html>")],
)
def test_a_campaign_is_reported_by_its_folder_id_and_name(
    opened: Callable[..., Opened],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    start: str,
) -> None:
    """In each form that a run's report has."""
    one = opened(2)
    conducted(one, Recorder(lambda order: Standing.VALID))
    monkeypatch.setenv("TEST_RIG_CAMPAIGNS_FOLDER", str(tmp_path / "campaigns"))
    app = typer.Typer()
    app.command()(report)
    for name in (str(one.folder.path), one.folder.id, "small"):
        told = CliRunner().invoke(app, [name, "--format", form], catch_exceptions=False)
        assert told.stdout.startswith(start)


def test_a_store_that_was_never_used_can_be_changed(opened: Callable[..., Opened]) -> None:
    """It was wrong, or forgotten; once a run has begun its records are where they are."""
    folder = opened(1).folder
    folder.write(replace(folder.record(), store="postgresql://db/wrong"))
    assert opened(1).folder == folder
    assert folder.record().store is None
    (folder.runs / "one").mkdir()
    folder.write(replace(folder.record(), store="postgresql://db/used"))
    with pytest.raises(UsageError, match="recorded in postgresql://db/used"):
        opened(1)
