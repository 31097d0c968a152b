"""Workloads of a person's files: found, refused with a reason, and told where they fail."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from test_rig.errors import PluginError, UnknownName, UsageError
from test_rig.rig import run_workloads, workload_named
from test_rig.settings import AppConfig
from test_rig.targets import Target
from test_rig.workload import Plan, run_workload

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "workloads" / "stock.py"
WHOLE = """
    class {name}:
        name, about = "{word}", "about it"
        def setup(self, plan): return []
        def generator(self, plan, random): return self
        def judge(self, plan): return self
        def perform(self, speech, request): raise ValueError("no stock")
        def request(self):
            from test_rig.workload import Request
            return Request("x")
        def final(self): return []
        def feed(self, done): pass
        def shown(self): return ()
        def coverage(self): return ()
"""


def written(folder: Path, *texts: str) -> str:
    """Write a file and return its name."""
    file = folder / "own_workload.py"
    file.write_text("\n".join(dedent(text) for text in texts))
    return str(file)


def test_a_file_has_a_workload_and_helpers() -> None:
    """The example is found by its file, though its generator and judge are classes too."""
    workload = workload_named(str(EXAMPLE))
    with Target.open("sqlite://") as target, target.scratch() as scratch:
        level = target.level("wal-immediate")
        verdict = run_workload(workload, scratch, level, Plan(time_s=0.3, clients=3, seed=7))
    assert verdict.workload == "stock"
    assert verdict.ok
    assert verdict.findings == ()


def test_of_several_one_is_named(tmp_path: Path) -> None:
    """By its class or by its name; without one the message names them."""
    file = written(
        tmp_path, WHOLE.format(name="One", word="first"), WHOLE.format(name="Two", word="second")
    )
    assert workload_named(f"{file}:Two").name == "second"
    assert workload_named(f"{file}:first").name == "first"
    with pytest.raises(UsageError, match="One, Two"):
        workload_named(file)
    with pytest.raises(UnknownName, match="third"):
        workload_named(f"{file}:third")


def test_what_lacks_a_part_is_refused_with_all_that_it_lacks(tmp_path: Path) -> None:
    """File, line and the missing parts are told at once."""
    file = written(
        tmp_path,
        """
        class Half:
            def setup(self, plan): return []
            def perform(self, speech, request): return None
        """,
    )
    with pytest.raises(PluginError, match=r"own_workload.py:2: .*generator, judge, name .*about"):
        workload_named(file)


@pytest.mark.parametrize(
    ("text", "match"),
    [("x = 1", "no workload"), ("def f(:", "own_workload.py:1: not Python"), ("1 / 0", "ZeroDiv")],
)
def test_a_file_without_a_workload_is_refused(tmp_path: Path, text: str, match: str) -> None:
    """One message, and no traceback."""
    with pytest.raises(UsageError, match=match):
        workload_named(written(tmp_path, text))


@pytest.mark.parametrize("name", ["no-such", "nowhere.py", "no.such.module"])
def test_what_is_not_there_is_refused(name: str) -> None:
    """A name, a file, a module."""
    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        workload_named(name)


def test_what_a_workload_raises_is_told_with_its_line(tmp_path: Path) -> None:
    """A fault of the workload's own code is nobody else's."""
    workload = workload_named(written(tmp_path, WHOLE.format(name="One", word="first")))
    with Target.open("sqlite://") as target, target.scratch() as scratch:
        level = target.level("wal-immediate")
        with pytest.raises(PluginError, match=r"own_workload.py:7: perform failed: .*no stock"):
            run_workload(workload, scratch, level, Plan(time_s=5, clients=2, seed=1))


def test_what_generator_and_judge_lack_is_told_before_anything_runs(tmp_path: Path) -> None:
    """All of it at once, and a method that wants something else than it will get."""
    file = written(
        tmp_path,
        """
        class Half:
            name, about = "half", "about it"
            def setup(self): return []
            def generator(self, plan, random): return self
            def judge(self, plan): return []
            def perform(self, speech, request): return None
            def request(self): return None
        """,
    )
    with pytest.raises(PluginError) as caught:
        workload_named(file)
    assert "setup, which cannot be called with 1 arguments" in str(caught.value)
    sound = file_with(tmp_path, file, "def setup(self)", "def setup(self, plan)")
    with pytest.raises(PluginError) as caught:
        workload_named(sound)
    assert [str(each) for each in caught.value.problems] == [
        f"{file}:2: what generator answers, Half, lacks final",
        f"{file}:2: what judge answers, list, lacks feed, shown, coverage",
    ]


def file_with(folder: Path, file: str, old: str, new: str) -> str:
    """Change a text of the file."""
    return written(folder, Path(file).read_text().replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "line", "match"),
    [
        ('k = ?", request.value)', 'k = ?")', 41, "perform failed: .*bindings.*in: SELECT v"),
        ("SELECT v", "SELEC v", 41, "perform failed: .*in: SELEC v FROM stock"),
        (
            "CREATE TABLE stock (k",
            "CREATE TABEL stock (k",
            22,
            "a statement of setup .*TABEL",
        ),
    ],
)
def test_a_statement_with_a_mistake_is_its_writers(
    tmp_path: Path, old: str, new: str, line: int, match: str
) -> None:
    """It is told with file, line and statement, as wrong use."""
    file = file_with(tmp_path, str(EXAMPLE), old, new)
    config = AppConfig(
        workload={"levels": ["wal-immediate"], "time_secs": 5.0},
        runs={"folder": str(tmp_path / "runs")},
    )
    workload = workload_named(file)
    with pytest.raises(PluginError, match=rf"own_workload.py:{line}: {match}"):
        run_workloads(
            config, workload, ["sqlite://"], on_level=lambda *_: None, on_progress=lambda _: None
        )
