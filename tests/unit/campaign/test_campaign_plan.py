"""A campaign's file becomes a plan, or everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from test_rig.campaign import Plan, find_campaign, make_plan, open_campaign, reopen_campaign
from test_rig.campaign.run import run_campaign
from test_rig.errors import CampaignInvalid, UnknownName, UsageError
from test_rig.settings import AppConfig

SMALL = """
[campaign]
name = "small"
[matrix]
targets = ["file"]
levels = ["wal deferred", "delete deferred"]
workloads = ["bank", "set"]
seeds = [1, 2]
[targets.file]
url = "sqlite://"
"""


@pytest.fixture
def config(tmp_path: Path) -> AppConfig:
    """Settings that keep campaigns in a folder of the test's own."""
    return AppConfig(campaigns={"folder": str(tmp_path / "campaigns")})


def planned(tmp_path: Path, text: str, config: AppConfig) -> Plan:
    """Return the plan of a file with this text."""
    path = tmp_path / "small.toml"
    path.write_text(text)
    return make_plan(path, config).plan


def test_a_matrix_is_multiplied(tmp_path: Path, config: AppConfig) -> None:
    """Targets, levels, workloads and seeds: each combination is one run."""
    runs = planned(tmp_path, SMALL, config).runs
    assert len(runs) == len(set(runs)) == 8
    assert runs[0].id == "file / wal-deferred / bank / seed 1"


def test_what_is_excluded_is_left_out_and_what_is_included_is_added(
    tmp_path: Path, config: AppConfig
) -> None:
    """Patterns take runs away; a row of its own puts one there."""
    text = SMALL + '[[exclude]]\nworkload = "ba*"\nlevel = ["WAL Deferred"]\n'
    text += '[[include]]\ntarget = "file"\nlevel = "wal-deferred"\nworkload = "bank"\nseed = 9\n'
    runs = planned(tmp_path, text, config).runs
    wal = [
        planned
        for planned in runs
        if planned.level == "wal-deferred" and planned.check.name == "bank"
    ]
    assert [planned.seed for planned in wal] == [9]
    assert len(runs) == 7


def test_audits_have_one_seed_and_handlers_no_level(tmp_path: Path, config: AppConfig) -> None:
    """A scenario plays the same with every seed, and a handler chooses its level itself."""
    (tmp_path / "test_own.py").write_text("class OwnHandler: ...\n")
    text = SMALL.replace('workloads = ["bank", "set"]', "audit = true\nhandlers = [%r]")
    runs = planned(tmp_path, text % str(tmp_path / "test_own.py"), config).runs
    by_kind = [(planned.check.kind.value, planned.level, planned.seed) for planned in runs]
    assert sorted(by_kind, key=str) == [
        ("audit", "delete-deferred", 1),
        ("audit", "wal-deferred", 1),
        ("handlers", None, 1),
        ("handlers", None, 2),
    ]


def test_everything_wrong_is_told_at_once_with_its_line(tmp_path: Path, config: AppConfig) -> None:
    """Unknown keys, names, levels, settings, and tables without sense: all in one message."""
    text = """
[campaign]
name = "not a name"
paralel = 2
[matrix]
targets = ["file", "nowhere"]
levels = ["snapshotty"]
workloads = ["bnak"]
handlers = ["nofile.py"]
[targets.file]
url = "sqlite://"
[targets.secret]
url = "oracle://me:geheim@host/db"
[targets.env]
url = "postgresql://me@127.0.0.1:1/db"
password_env = "NO_SUCH_VARIABLE_HERE"
[[exclude]]
workload = 3
[[include]]
target = "file"
[settings.workload]
time_secs = -1
[settings.database]
url = "sqlite://"
"""
    with pytest.raises(CampaignInvalid) as caught:
        planned(tmp_path, text, config)
    told = str(caught.value)
    for place, what in [
        (":3: campaign.name", "letters, digits"),
        (":4: campaign.paralel", "did you mean parallel"),
        (":6: matrix.targets[2]", "no target 'nowhere'"),
        (":7: matrix.levels[1]", "no target has a level 'snapshotty'"),
        (":8: matrix.workloads[1]", "did you mean 'bank'"),
        (":9: matrix.handlers[1]", "there is no such file"),
        (":12: targets.secret", "unknown scheme"),
        (":16: targets.env.password_env", "NO_SUCH_VARIABLE_HERE"),
        (":18: exclude[1].workload", "one value or a list"),
        (":19: include[1]", "names no workload"),
        (":22: settings.workload.time_secs", "greater than 0"),
        (":24: settings.database.url", "not for the runs of a campaign"),
    ]:
        assert any(place in line and what in line for line in told.splitlines()), (place, told)
    assert "geheim" not in told


def test_a_level_that_one_target_lacks_is_told_and_left_out(
    tmp_path: Path, config: AppConfig
) -> None:
    """A matrix over several products asks each for what it has, and says what it left out."""
    text = SMALL.replace('["file"]', '["file", "duck"]').replace('"delete deferred"', '"snapshot"')
    plan = planned(tmp_path, text + '[targets.duck]\nurl = "duckdb://"\n', config)
    assert {(planned.target, planned.level) for planned in plan.runs} == {
        ("file", "wal-deferred"),
        ("duck", "snapshot"),
    }
    assert {(each.target, each.what) for each in plan.left_out} == {
        ("file", "snapshot"),
        ("duck", "wal deferred"),
    }


def test_a_target_that_is_not_there_is_planned_all_the_same(
    tmp_path: Path, config: AppConfig
) -> None:
    """Its runs will tell why they failed; that is no fault of the file."""
    text = SMALL.replace('"sqlite://"', '"postgresql://me@127.0.0.1:1/db"')
    plan = planned(tmp_path, text, config)
    assert len(plan.runs) == 8
    assert "not reached" in plan.left_out[0].why


def test_the_example_is_a_campaign(config: AppConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page shows can be planned, whether its server is there or not."""
    monkeypatch.setenv("PG_PASSWORD", "geheim")
    file = Path(__file__).parents[3] / "examples" / "campaigns" / "nightly.toml"
    plan = make_plan(file, config).plan
    assert [target.name for target in plan.targets] == ["server", "sqlite://", "duckdb://"]
    assert {run.check.name for run in plan.runs} == {
        "list-append", "lost-update", "bank", "audit", "write-skew",
    }  # fmt: skip


def test_passwords_are_found_and_not_kept(
    tmp_path: Path, config: AppConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable or a file has the password; neither the plan nor the folder ever does."""
    monkeypatch.setenv("PG_SECRET", "geheim1")
    (tmp_path / "secret").write_text("geheim2\n")
    path = tmp_path / "small.toml"
    path.write_text(
        SMALL.replace('["file"]', '["env", "kept", "told"]')
        + '[targets.env]\nurl = "postgresql://me@127.0.0.1:1/db"\npassword_env = "PG_SECRET"\n'
        + '[targets.kept]\nurl = "postgresql://me@127.0.0.1:1/db"\n'
        + f'password_file = "{tmp_path / "secret"}"\n'
        + '[targets.told]\nurl = "postgresql://me:geheim3@127.0.0.1:1/db"\n'
    )
    opened = open_campaign(path, config)
    passwords = {name: url.password for name, url in opened.ready.urls.items()}
    assert passwords == {"env": "geheim1", "kept": "geheim2", "told": "geheim3"}
    kept = (opened.folder.path / "campaign.json").read_text()
    assert "geheim" not in kept
    assert "geheim" not in repr(opened)
    with_other = path.read_text().replace("geheim3", "geheim4")
    path.write_text(with_other)
    assert make_plan(path, config).plan.digest == opened.ready.plan.digest


def test_an_interrupted_campaign_of_the_same_file_is_gone_on_with(
    tmp_path: Path, config: AppConfig
) -> None:
    """The same file goes on with what was left; another text, or `--new`, begins anew."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    first = open_campaign(path, config)
    assert open_campaign(path, config).folder == first.folder
    assert reopen_campaign(first.folder.id, config).folder == first.folder
    assert open_campaign(path, config, is_new=True).folder != first.folder
    path.write_text(SMALL.replace("[1, 2]", "[1]"))
    assert open_campaign(path, config).done is None
    with pytest.raises(UsageError, match="says something else"):
        reopen_campaign(first.folder.id, config)
    with pytest.raises(UnknownName):
        find_campaign(tmp_path / "campaigns", "nonsense")


def test_two_processes_do_not_work_on_one_campaign(tmp_path: Path, config: AppConfig) -> None:
    """Who comes second is told, and nothing is run twice."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    opened = open_campaign(path, config)
    with opened.folder.held():
        assert opened.folder.is_worked_on
        with pytest.raises(UsageError, match="another process"):
            run_campaign(opened, config, teller=_Silent())
    assert not opened.folder.is_worked_on


@pytest.mark.parametrize("store", [None, "postgresql://me@127.0.0.1:1/db"])
def test_a_cluster_wants_a_server_as_store_and_no_password_on_the_way(
    tmp_path: Path, store: str | None
) -> None:
    """Neither a file of one machine nor a password of the file goes to other machines."""
    config = AppConfig(campaigns={"folder": str(tmp_path / "campaigns"), "url": store})
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace("sqlite://", "postgresql://me:geheim@127.0.0.1:1/db"))
    opened = open_campaign(path, config)
    with pytest.raises(UsageError, match="PostgreSQL" if store is None else "password") as caught:
        run_campaign(opened, config, teller=_Silent(), cluster="tcp://127.0.0.1:1")
    assert "geheim" not in str(caught.value)


class _Silent:
    def began(self, planned: object, attempt: int) -> None: ...

    def ended(self, outcome: object, done: int, total: int) -> None: ...
