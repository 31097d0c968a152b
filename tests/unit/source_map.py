"""The package as a map: its modules, what each imports, and what ARCHITECTURE.md says of them.

Everything is read from the source text, nothing is imported. The rules are in
`test_architecture.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "test_rig"
PACKAGE = "test_rig"
#: The package's own facade and its start: they stand above all floors.
ABOVE_ALL = ("", "__main__")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import statement, wherever in a file it stands."""

    importer: str
    line: int
    module: str
    #: The names of a from-import; none of a plain one.
    names: tuple[str, ...]
    #: Whether it is read by type checkers only.
    is_for_types: bool
    #: Whether it runs when the module is imported, not later in a function.
    is_at_once: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line}: imports {', '.join(self.names)} from {self.module}"

    @property
    def is_inner(self) -> bool:
        """Whether the package imports from itself."""
        return self.module.split(".")[0] == PACKAGE


def room_of(module: str) -> str:
    """Return the room of a module: `targets` for `test_rig.targets.url`."""
    return module.removeprefix(PACKAGE).lstrip(".").split(".")[0]


@cache
def modules() -> Mapping[str, Path]:
    """Return the file of each module of the package by its full name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def is_facade(module: str) -> bool:
    """Return whether a module is the `__init__` of a folder."""
    return modules()[module].name == "__init__.py"


@cache
def tree_of(module: str) -> ast.Module:
    """Return the parsed source of a module."""
    return ast.parse(modules()[module].read_text())


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    """Return every import of a module."""
    return tuple(find_imports(module, tree_of(module)))


def find_imports(importer: str, tree: ast.Module) -> Iterator[Import]:
    """Yield every import in a source, those inside functions and for type checkers too."""
    for_types, at_once = set[ast.AST](), set[ast.AST](tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for_types |= {inner for statement in node.body for inner in ast.walk(statement)}
        elif isinstance(node, ast.Try | ast.If | ast.With | ast.ClassDef) and node in at_once:
            at_once |= set(ast.iter_child_nodes(node))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{importer}:{node.lineno}: a relative import"
            found = [(node.module or "", tuple(alias.name for alias in node.names))]
        elif isinstance(node, ast.Import):
            found = [(alias.name, ()) for alias in node.names]
        else:
            continue
        for module, names in found:
            yield Import(
                importer=importer,
                line=node.lineno,
                module=module,
                names=names,
                is_for_types=node in for_types,
                is_at_once=node in at_once,
            )


@cache
def exports_of(module: str) -> tuple[str, ...]:
    """Return the `__all__` of a module; nothing where it has none, or a computed one."""
    for node in tree_of(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return tuple(ast.literal_eval(node.value)) if isinstance(node.value, ast.List) else ()
    return ()


def home_of(module: str, name: str) -> str:
    """Return the module that a name comes from, through the facades that hand it on."""
    if f"{module}.{name}" in modules():
        return f"{module}.{name}"
    if module in modules() and is_facade(module):
        for each in imports_of(module):
            if name in each.names and each.is_inner:
                return home_of(each.module, name)
    return module


def needs_of(module: str) -> set[str]:
    """Return the modules of the package that a module needs, not only its types, at any time."""
    inner = [each for each in imports_of(module) if each.is_inner and not each.is_for_types]
    return {home_of(each.module, name) for each in inner for name in each.names}


@cache
def _page() -> str:
    return (ROOT / "ARCHITECTURE.md").read_text()


def section(title: str) -> str:
    """Return the text below a heading of ARCHITECTURE.md."""
    return _page().split(f"## {title}\n")[1].split("\n## ")[0]


@cache
def floors() -> Mapping[str, tuple[int, int | None]]:
    """Return room -> (floor, place in the order), from the page's table."""
    found: dict[str, tuple[int, int | None]] = {}
    for number, rooms in re.findall(r"^\| (\d) \w+ \| (.+) \|$", section("Floors and rooms"), re.M):
        for group in rooms.split(","):
            ordered = [room.strip() for room in group.split("<")]
            for place, room in enumerate(ordered):
                found[room] = (int(number), place if len(ordered) > 1 else None)
    return found


@cache
def pure_modules() -> tuple[str, ...]:
    """Return the modules that the page names as without I/O."""
    rows = re.findall(r"^\| ([a-z_][a-z_., ]+) \|", section("Modules without I/O"), re.M)
    names = [name.strip() for row in rows for name in row.split(",")]
    return tuple(f"{PACKAGE}.{name}" for name in names if name != "module")


@cache
def excused_files() -> tuple[str, ...]:
    """Return the files that the page allows to be long."""
    return tuple(re.findall(r"^- `(.+?)`:", section("Files over 500 lines"), re.M))
