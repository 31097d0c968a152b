"""The rules of the house, read from ARCHITECTURE.md and held against the code."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

import pytest
from source_map import (
    ABOVE_ALL,
    PACKAGE,
    ROOT,
    Import,
    excused_files,
    exports_of,
    find_imports,
    floors,
    home_of,
    imports_of,
    is_facade,
    modules,
    needs_of,
    pure_modules,
    room_of,
    tree_of,
)

import test_rig


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


#: Modules that start threads or processes, read clocks or chance, or reach files and sockets.
SHELL = words("""
    asyncio concurrent ctypes duckdb glob io logging multiprocessing os psycopg pymysql queue random
    secrets select selectors shutil signal socket sqlite3 subprocess tempfile threading time
""")
#: Built-in functions and methods of paths that reach a terminal or a file.
ACTS = words("""
    exists input is_dir is_file iterdir mkdir open print read_bytes read_text rename resolve rglob
    stat touch unlink write_bytes write_text
""")
#: Names that say nothing about what is inside.
EMPTY_NAMES = words("""
    base common constants container core helpers interfaces manager models registry service types
    utils
""")
DRIVERS = frozenset({"duckdb", "psycopg", "psycopg_pool", "pymysql"})
#: What a command line that only shows its help has no time for.
HEAVY = DRIVERS | {"jinja2", "numpy", "pyarrow", "pydantic", "structlog"}


def every_import() -> list[Import]:
    """Return every import of the package."""
    return [each for module in modules() for each in imports_of(module)]


def may_import(room: str, target: str) -> bool:
    """Return whether the floors let one room import another."""
    if room in ABOVE_ALL or target in ABOVE_ALL:
        return room in ABOVE_ALL
    (floor, place), (other_floor, other_place) = floors()[room], floors()[target]
    if floor != other_floor:
        return floor > other_floor
    return place is not None and other_place is not None and place > other_place


def breaks_the_floors(each: Import) -> bool:
    """Return whether an import goes up, or sideways without an order."""
    room, target = room_of(each.importer), room_of(each.module)
    return each.is_inner and room != target and not may_import(room, target)


def passes_by_the_facade(each: Import) -> bool:
    """Return whether an import takes from another room what its facade does not offer."""
    room, target = room_of(each.importer), room_of(each.module)
    if not each.is_inner or room == target or room in ABOVE_ALL:
        return False
    if each.module != f"{PACKAGE}.{target}" or not each.names:
        return True
    return not set(each.names) <= set(exports_of(each.module))


def acts(module: str, tree: ast.Module) -> list[str]:
    """Return what in a source reaches beyond its arguments and results."""
    reaching = [
        str(each)
        for each in find_imports(module, tree)
        if not each.is_for_types and each.module.split(".")[0] in SHELL
    ]
    return reaching + [
        f"{module}:{node.lineno}: calls {ast.unparse(node.func)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ACTS
    ]


def planted(source: str, importer: str = "test_rig.machine.states") -> Import:
    """Return the one import of a source, as if it stood in a module of the package."""
    (found,) = find_imports(importer, ast.parse(source))
    return found


def test_every_room_stands_on_a_floor_and_every_floor_has_real_rooms() -> None:
    """The table of the page and the tree name the same rooms."""
    assert {room_of(module) for module in modules()} - set(ABOVE_ALL) == set(floors())


def test_imports_go_down_only() -> None:
    """No room imports a higher floor, or a neighbour that does not stand before it."""
    assert [str(each) for each in every_import() if breaks_the_floors(each)] == []


@pytest.mark.parametrize(
    ("source", "is_breach"),
    [
        ("from test_rig.errors import RigError", False),
        ("from test_rig.targets import Target", False),
        ("from test_rig.machine.machine import StateMachine", False),
        ("from test_rig.scenario import run_scenario", True),
        ("from test_rig.rig import audit", True),
        ("from test_rig import Target", True),
        ("import test_rig.cli", True),
        ("def late():\n    from test_rig.report import render", True),
        ("if TYPE_CHECKING:\n    from test_rig.cli import main", True),
    ],
)
def test_an_import_upwards_would_be_noticed(source: str, is_breach: bool) -> None:
    """Also inside a function, for types only, or by way of the package itself."""
    assert breaks_the_floors(planted(source)) == is_breach


def test_neighbours_meet_only_in_the_order_of_the_page() -> None:
    """`runs < report` lets report import runs, and not the other way round."""
    assert may_import("report", "runs")
    assert not may_import("runs", "report")
    assert not may_import("machine", "scenario")


def test_a_room_is_entered_by_its_facade() -> None:
    """No room imports from a module inside another room, or what its facade does not offer."""
    assert [str(each) for each in every_import() if passes_by_the_facade(each)] == []


@pytest.mark.parametrize(
    ("source", "is_breach"),
    [
        ("from test_rig.targets import Target", False),
        ("from test_rig.machine.machine import StateMachine", False),
        ("from test_rig.targets.url import TargetUrl", True),
        ("from test_rig.targets import url", True),
        ("import test_rig.targets", True),
    ],
)
def test_a_way_around_a_facade_would_be_noticed(source: str, is_breach: bool) -> None:
    """A module inside is reached neither by its path nor as a name."""
    assert passes_by_the_facade(planted(source)) == is_breach


def test_no_module_waits_for_itself_to_be_imported() -> None:
    """The imports that run at once have no cycle."""
    graph = {
        module: {
            home_of(each.module, name)
            for each in imports_of(module)
            if each.is_inner and each.is_at_once and not is_facade(module)
            for name in each.names
        }
        for module in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(" imports ".join(reversed(cycle.args[1])), pytrace=False)


def test_the_words_need_nothing_but_the_standard_library_and_arrays() -> None:
    """What every room speaks must not bring a library along."""
    allowed = sys.stdlib_module_names | {PACKAGE, "numba", "numpy", "pyarrow"}
    words = [each for each in every_import() if floors().get(room_of(each.importer), (9,))[0] == 0]
    assert words
    assert [str(each) for each in words if each.module.split(".")[0] not in allowed] == []


def test_drivers_are_known_behind_the_doors_only() -> None:
    """Nobody but targets imports a database's driver; the workflows' own store is no target."""
    users = {each.importer for each in every_import() if each.module.split(".")[0] in DRIVERS}
    assert {room_of(user) for user in users} == {"targets", "workflow"}


@pytest.mark.parametrize("module", pure_modules())
def test_modules_without_io_neither_act_nor_need_one_that_does(module: str) -> None:
    """A core decides from its arguments; a clock comes as an argument too."""
    assert module in modules(), f"the page names {module}, which is not there"
    assert acts(module, tree_of(module)) == []
    assert needs_of(module) - {f"{PACKAGE}.clock"} <= set(pure_modules())


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from threading import Lock",
        "def late():\n    import socket",
        "from pathlib import Path\nPath('x').read_text()",
        "print('hello')",
        "with open('x') as file: pass",
    ],
)
def test_a_core_that_acts_would_be_noticed(source: str) -> None:
    """By what it imports, and by what it calls."""
    assert acts("planted", ast.parse(source))


def test_facades_hold_no_logic() -> None:
    """An `__init__` file has a docstring, imports and `__all__`; ruff keeps that one sorted.

    The package's own also has the loader that imports a name when it is asked for.
    """
    for module in modules():
        if is_facade(module) and module != PACKAGE:
            docstring, *rest = tree_of(module).body
            assert isinstance(docstring, ast.Expr), module
            assert all(isinstance(node, ast.ImportFrom | ast.Assign) for node in rest), module
            assert exports_of(module), module


@pytest.mark.parametrize("room", sorted(floors()))
def test_a_facade_has_what_it_offers(room: str) -> None:
    """Every name of `__all__` is there."""
    offered = importlib.import_module(f"{PACKAGE}.{room}")
    assert [name for name in exports_of(offered.__name__) if not hasattr(offered, name)] == []


def test_the_package_offers_what_its_rooms_have() -> None:
    """Every name that is imported when it is first asked for can be, and no other."""
    assert [name for name in test_rig.__all__ if not hasattr(test_rig, name)] == []
    assert set(test_rig.__all__) <= set(dir(test_rig))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = test_rig.nonsense


def test_type_checkers_see_the_names_that_the_package_offers() -> None:
    """Each name that is imported when it is asked for is also imported for types, from its room."""
    shown = {
        name: each.module.removeprefix(f"{PACKAGE}.")
        for each in imports_of(PACKAGE)
        if each.is_for_types
        for name in each.names
    }
    assert shown == test_rig._ROOMS


def test_no_file_is_too_long() -> None:
    """No file is over 500 lines unless the page says why, and the page excuses no other."""
    long = [
        str(path.relative_to(ROOT))
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if len(path.read_text().splitlines()) > 500
    ]
    assert long == sorted(excused_files())


def test_no_module_is_named_after_nothing() -> None:
    """A name says what is inside."""
    assert [module for module in modules() if set(module.split(".")) & EMPTY_NAMES] == []


def test_every_public_name_is_documented() -> None:
    """Each class and function that a module offers, and each module, has a docstring."""
    defines = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    wrong = [module for module in modules() if not ast.get_docstring(tree_of(module))]
    wrong += [
        f"{module}.{node.name}"
        for module in modules()
        for node in tree_of(module).body
        if isinstance(node, defines) and node.name in exports_of(module)
        if not ast.get_docstring(node) and "overload" not in map(ast.unparse, node.decorator_list)
    ]
    assert wrong == []


def run_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a fresh interpreter in which a warning is an error."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_each_module_imports_alone_without_a_warning() -> None:
    """Each module of the package can be the first one that a program imports.

    Python imports a room's facade before any module in the room, so the modules of a room begin
    from what its facade has loaded, which saves importing it once for each.
    """
    code = (
        "import importlib, sys\n"
        "def forget(kept=()):\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'test_rig']:\n"
        "        if loaded not in kept:\n"
        "            del sys.modules[loaded]\n"
        "for room in sys.argv[1:]:\n"
        "    forget()\n"
        "    facade, *inner = room.split()\n"
        "    importlib.import_module(facade)\n"
        "    kept = set(sys.modules)\n"
        "    for name in inner:\n"
        "        if name not in kept:\n"
        "            importlib.import_module(name)\n"
        "            forget(kept)\n"
    )
    rooms: dict[str, list[str]] = {}
    for name in modules():
        if not name.endswith("__main__"):
            facade = ".".join(name.split(".")[:2])
            rooms.setdefault(facade, [facade]).append(name)
    shares = [" ".join(dict.fromkeys(names)) for names in rooms.values()]
    runs = [run_python(code, *shares[share::2]) for share in range(2)]
    for run in runs:
        _, complaint = run.communicate()
        assert run.returncode == 0, complaint


def test_the_command_line_starts_without_what_is_heavy() -> None:
    """Whoever asks for help does not wait for libraries that the answer does not need."""
    code = "import sys, test_rig.cli.app; print(*sys.modules)"
    loaded, complaint = run_python(code).communicate()
    assert loaded, complaint
    assert HEAVY & set(loaded.split()) == set()
