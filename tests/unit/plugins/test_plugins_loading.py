"""Loading users' files: what is found, what is not, and how what is wrong is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from test_rig.errors import PluginError, UsageError
from test_rig.machine import StateHandler
from test_rig.plugins import Generation, has_mark, load


def is_handler(name: str, value: object) -> bool:
    """Choose what this room's first user chooses."""
    return name.endswith("Handler") and isinstance(value, type) and issubclass(value, StateHandler)


def write(path: Path, text: str) -> Path:
    """Write a file, and the folders to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(source: Path | str) -> list[str]:
    """Return the names of the handlers that a source gives, everything being well."""
    return [each.name for each in load(str(source), is_handler).require().found]


def problem_of(source: Path | str) -> str:
    """Return the one problem of a source."""
    (problem,) = load(str(source), is_handler).problems
    return str(problem)


def test_handlers_are_found_at_any_depth_and_imported_ones_are_not(tmp_path: Path) -> None:
    """In the order of their definition; a base from another file is that file's."""
    write(
        tmp_path / "shared_base_a.py",
        "from test_rig import StateHandler\nclass BaseHandler(StateHandler): ...\n",
    )
    text = """
from shared_base_a import BaseHandler
from test_rig import StateHandler
class SecondHandler(BaseHandler): ...
class DeeperHandler(SecondHandler): ...
class _HiddenHandler(BaseHandler): ...
class Helper(BaseHandler): ...
class FakeHandler: ...
again = DeeperHandler
"""
    file = write(tmp_path / "orders_a.py", text)
    assert found(file) == ["SecondHandler", "DeeperHandler"]


def test_a_folder_is_searched_for_tests_at_every_level(tmp_path: Path) -> None:
    """`test_*.py`, sorted; caches, hidden folders, environments and the earlier rig's own not."""
    text = "from test_rig import StateHandler\nclass {}Handler(StateHandler): ...\n"
    for name, place in {
        "B": "test_b1.py",
        "C": "deep/er/test_c1.py",
        "No": "helper1.py",
        "Hidden": ".git/test_hidden1.py",
        "Cached": "__pycache__/test_cached1.py",
        "Venv": "venv/lib/test_venv1.py",
        "Shim": "test_rig_python.py",
    }.items():
        write(tmp_path / place, text.format(name))
    write(tmp_path / "venv/pyvenv.cfg", "")
    assert found(tmp_path) == ["BHandler", "CHandler"]


@pytest.mark.parametrize("spelling", ["test_rig_python", "src.common.test_rig_python"])
def test_earlier_spellings_are_understood(tmp_path: Path, spelling: str) -> None:
    """Both give the rig's own classes."""
    text = f"""
from {spelling} import PyStateHandler, PyStateContext, PyState
class ConnectionTestHandler(PyStateHandler):
    def execute(self, context: PyStateContext) -> str:
        return PyState.completed()
"""
    assert found(write(tmp_path / "earlier1.py", text)) == ["ConnectionTestHandler"]


def test_a_project_with_a_src_of_its_own_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier spelling is answered only where nothing else answers."""
    for name in [each for each in sys.modules if each == "src" or each.startswith("src.")]:
        monkeypatch.delitem(sys.modules, name)
    write(tmp_path / "src/__init__.py", "OWN = 1\n")
    write(tmp_path / "src/orders.py", "TABLE = 'orders'\n")
    text = """
from src import OWN
from src.orders import TABLE
from src.common.test_rig_python import PyStateHandler
class OwnHandler(PyStateHandler):
    table = TABLE
"""
    assert found(write(tmp_path / "with_src.py", text)) == ["OwnHandler"]
    for name in [each for each in sys.modules if each == "src" or each.startswith("src.")]:
        del sys.modules[name]


def test_a_script_finds_itself_and_its_neighbours_and_is_not_main(tmp_path: Path) -> None:
    """`__file__`, imports from its folder, also later ones, and no `__main__` block."""
    write(tmp_path / "neighbour1.py", "VALUE = 3\n")
    write(tmp_path / "late_neighbour1.py", "VALUE = 4\n")
    text = """
import dataclasses, os, neighbour1
from test_rig import StateHandler
assert os.path.basename(__file__) == "script1.py" and os.path.isabs(__file__)
@dataclasses.dataclass
class Data:
    value: int = neighbour1.VALUE
class ScriptHandler(StateHandler):
    def late(self):
        import late_neighbour1
        return late_neighbour1.VALUE
if __name__ == "__main__":
    raise SystemExit(1)
"""
    (handler,) = load(write(tmp_path / "script1.py", text), is_handler).require().found
    assert isinstance(handler.value, type)
    assert handler.value().late() == 4
    assert handler.where == f"{tmp_path}/script1.py:8"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\nclass :\n", "broken1.py:2: not Python: "),
        ("x = 1\n\nraise ValueError('no table')\n", "broken1.py:3: ValueError: no table"),
        ("import no_such_module_1\n", "broken1.py:1: ModuleNotFoundError"),
        ("import sys\nsys.exit(4)\n", "broken1.py:2: SystemExit: 4"),
        ("x = 1\0\n", "not Python"),
        ("def f():\n    1 / 0\nf()\n", "broken1.py:2: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    """It is a problem of that file, whatever it does, and no exception."""
    assert told in problem_of(write(tmp_path / "broken1.py", text))


def test_a_broken_neighbour_is_told_by_its_own_line(tmp_path: Path) -> None:
    """And forgotten, so that it can be repaired."""
    broken = write(tmp_path / "neighbour2.py", "x = 1\ny = (\n")
    file = write(
        tmp_path / "uses2.py",
        "import neighbour2\nfrom test_rig import StateHandler\nclass AHandler(StateHandler): ...\n",
    )
    assert "neighbour2.py:2: not Python" in problem_of(file)
    broken.write_text("y = 1\n")
    assert found(file) == ["AHandler"]


def test_one_broken_file_does_not_stop_the_others(tmp_path: Path) -> None:
    """The generation has the good ones, and the problem of the bad one."""
    good = "from test_rig import StateHandler\nclass GoodHandler(StateHandler): ...\n"
    write(tmp_path / "test_1bad.py", "(")
    write(tmp_path / "test_2good.py", good)
    generation = load(tmp_path, is_handler)
    assert [each.name for each in generation.found] == ["GoodHandler"]
    with pytest.raises(PluginError, match=r"test_1bad.py:1"):
        generation.require()


def test_two_files_of_one_name_and_one_named_like_a_library(tmp_path: Path) -> None:
    """Each is a module of its own, and no library is replaced."""
    text = "from test_rig import StateHandler\nclass {}Handler(StateHandler): ...\n"
    write(tmp_path / "a/test_same1.py", text.format("A"))
    write(tmp_path / "b/test_same1.py", text.format("B"))
    generation = load(tmp_path, is_handler)
    assert [each.name for each in generation.found] == ["AHandler", "BHandler"]
    assert len({each.module for each in generation.found}) == 2
    assert found(write(tmp_path / "json.py", text.format("Json"))) == ["JsonHandler"]
    assert hasattr(sys.modules["json"], "loads")


def test_each_folder_has_its_own_neighbours(tmp_path: Path) -> None:
    """Two files of one name, each imported by the plugin beside it."""
    for place in ("one", "two"):
        write(tmp_path / place / "tables6.py", f"NAME = {place!r}\n")
        text = "import tables6\nfrom test_rig import StateHandler\nclass AHandler(StateHandler):\n"
        write(tmp_path / place / f"test_{place}6.py", f"{text}    name = tables6.NAME\n")
    generation = load(tmp_path, is_handler).require()
    assert [vars(each.value)["name"] for each in generation.found] == ["one", "two"]


def test_no_file_takes_the_place_of_the_rig(tmp_path: Path) -> None:
    """Whatever its name is."""
    write(tmp_path / "test_rig.py", "raise RuntimeError('not the rig')\n")
    text = "from test_rig import StateHandler\nclass RealHandler(StateHandler): ...\n"
    assert found(write(tmp_path / "real6.py", text)) == ["RealHandler"]


def test_a_relative_import_in_a_file_says_what_to_do(tmp_path: Path) -> None:
    """A file has no package."""
    assert "name it as a module" in problem_of(write(tmp_path / "lonely6.py", "from . import x\n"))


def test_a_module_is_found_by_name_with_all_of_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the working folder too, with relative imports."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "my_package1/__init__.py", "from .inner import InnerHandler\n")
    write(tmp_path / "my_package1/parts.py", "from test_rig import StateHandler as Part\n")
    text = "from .parts import Part\nclass InnerHandler(Part): ...\n"
    write(tmp_path / "my_package1/inner.py", text)
    assert found("my_package1") == ["InnerHandler"]
    assert found("my_package1.inner") == ["InnerHandler"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no/such/folder", "no such file or folder"),
        ("missing.py", "no such file or folder"),
        ("no_such_module_2", "no such module"),
        ("no_such_package_2.inner", "no module 'no_such_package_2'"),
        ("sys", "no Python file"),
    ],
)
def test_what_is_not_there_is_wrong_use(name: str, told: str) -> None:
    """A file, a folder or a module that nobody has."""
    with pytest.raises(UsageError, match=told):
        load(name, is_handler)


def test_marked_objects_are_found_like_classes(tmp_path: Path) -> None:
    """A decorator marks, the host finds; a subclass does not inherit the mark."""
    text = """
from test_rig.plugins import mark
@mark("job", retries=2)
def load_orders(): ...
@mark("job")
class Marked: ...
class Below(Marked): ...
def plain(): ...
"""
    generation: Generation = load(write(tmp_path / "marked1.py", text), has_mark("job"))
    assert [(each.name, each.line) for each in generation.found] == [
        ("load_orders", 4),
        ("Marked", 6),
    ]


def test_a_proxy_of_what_is_not_there_yet_is_passed_over(tmp_path: Path) -> None:
    """Its attributes cannot be asked for before a request, or a session, is there."""
    text = """
from test_rig import StateHandler
class Proxy:
    @property
    def __module__(self): raise RuntimeError("outside of a request")
current = Proxy()
class GoodHandler(StateHandler): ...
"""
    assert found(write(tmp_path / "proxy.py", text)) == ["GoodHandler"]
