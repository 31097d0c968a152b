"""Loading one file: compile it, run it as a module of its own, look what it holds.

Theory of operation. A file is compiled from its text every time: Python's cache of compiled files
misses an edit within a second, or one with an older date. It runs under its own name (its stem, or
its dotted name), so that what it defines can be pickled and looked up, but never as `__main__`.
While it runs the names of `sys.modules` are on probation: if it fails, the module that had its name
before is there again, and what it imported of its own folder is forgotten.
"""

from __future__ import annotations

import ast
import importlib
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from zlib import crc32

from test_rig.errors import PluginError, Problem, one_line, text_of
from test_rig.plugins.earlier import earlier_names
from test_rig.plugins.generation import Found, Wanted
from test_rig.plugins.source import Unit

__all__ = ["LOADING", "NO_TEXT", "Loaded", "digest_of", "load_unit"]

#: Imports change what the whole process sees: one file is loaded at a time.
LOADING = threading.RLock()
_MISSING = "<missing>"
#: What no file of a plugin takes the place of once it is loaded.
_OURS = {"test_rig", "test_rig_python"}
#: The digest of an empty file.
NO_TEXT = sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A file that was loaded."""

    unit: Unit
    digest: str
    #: The name under which it runs.
    module: str
    found: tuple[Found, ...]
    #: Every name in the paths of what it imports.
    imports: frozenset[str]
    #: The modules of its own folder that it was the first to import: by file, name and digest.
    neighbours: Mapping[Path, tuple[str, str]]


def digest_of(file: Path) -> str:
    """Return what tells two texts of a file apart; also for one that cannot be read."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return _MISSING


def load_unit(unit: Unit, wanted: Wanted) -> Loaded:
    """Load a file and return what it holds of what is wanted.

    Raises:
        PluginError: It cannot be read, compiled or run; the problem names file and line.
    """
    with LOADING:
        text = _text(unit.file)
        tree, code = _compiled(unit.file, text)
        name = unit.module or _free_name(unit.file)
        with _own_neighbours_only(unit.folder):
            before = set(sys.modules)
            module = _run(unit, code, name)
            neighbours = _neighbours(unit, before, name)
        return Loaded(
            unit=unit,
            digest=sha256(text).hexdigest(),
            module=name,
            imports=_imports(tree),
            found=tuple(_found(module, unit, _lines(tree), wanted)),
            neighbours={file: (each, digest_of(file)) for each, file in neighbours.items()},
        )


def _text(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _broken(str(file), f"cannot be read: {error.strerror}") from error


def _compiled(file: Path, text: bytes) -> tuple[ast.Module, CodeType]:
    try:
        tree = ast.parse(text, str(file))
        return tree, compile(tree, str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _broken(f"{file}:{error.lineno or 1}", f"not Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, nesting too deep
        raise _broken(f"{file}:1", f"not Python: {error}") from error


def _run(unit: Unit, code: CodeType, name: str) -> ModuleType:
    module = _empty_module(name, unit)
    before, was_there = sys.modules.get(name), set(sys.modules)
    with _as_a_script(unit.folder):
        sys.modules[name] = module
        try:
            exec(code, module.__dict__)  # noqa: S102 - running users' files is what this room is for
        except KeyboardInterrupt:
            _forget(unit, was_there, name, before)
            raise
        except BaseException as error:
            _forget(unit, was_there, name, before)
            raise PluginError([_problem(error, unit)]) from error
    return module


def _free_name(file: Path) -> str:
    """Return the file's stem, or a longer name where another module has that one."""
    taken = sys.modules.get(file.stem)
    is_own = taken is None or getattr(taken, "__file__", None) == str(file)
    is_standard = file.stem in sys.stdlib_module_names or file.stem in ("test_rig", "__main__")
    if is_own and not is_standard:
        return file.stem
    return f"{file.stem}_{crc32(bytes(file)):08x}"


def _empty_module(name: str, unit: Unit) -> ModuleType:
    module = ModuleType(name)
    spec = ModuleSpec(name, None, origin=str(unit.file), is_package=unit.is_package)
    if unit.is_package:
        spec.submodule_search_locations = [str(unit.file.parent)]
        module.__path__ = spec.submodule_search_locations
    module.__spec__, module.__file__ = spec, str(unit.file)
    module.__package__ = spec.parent
    return module


@contextmanager
def _as_a_script(folder: Path) -> Iterator[None]:
    """Let `import` find a file's neighbours first, and behind all others from then on."""
    place, writes = str(folder), sys.dont_write_bytecode
    earlier_names()
    importlib.invalidate_caches()
    sys.path.insert(0, place)
    # An edit within the same second would be taken for the text that was compiled before.
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(place)
        if place not in sys.path:
            sys.path.append(place)  # for an import that runs within a function, later


@contextmanager
def _own_neighbours_only(folder: Path) -> Iterator[None]:
    """Hide modules of other folders that are named as a file of this one, while one is loaded.

    Two folders may each have a `tables.py`: a script gets the one beside it.
    """
    own = {path.stem for path in folder.glob("*.py")} - _OURS
    hidden = {
        name: module
        for name in own & set(sys.modules) - sys.stdlib_module_names
        if (file := getattr(module := sys.modules[name], "__file__", None)) is not None
        and not _is_within(Path(file), folder)
        and "site-packages" not in Path(file).parts
    }
    for name in hidden:
        del sys.modules[name]
    try:
        yield
    finally:
        sys.modules.update(hidden)


def _forget(unit: Unit, was_there: set[str], name: str, before: ModuleType | None) -> None:
    for fresh in _neighbours(unit, was_there, name):
        del sys.modules[fresh]
    del sys.modules[name]
    if before is not None:
        sys.modules[name] = before


def _neighbours(unit: Unit, before: set[str], own_name: str) -> dict[str, Path]:
    found = {}
    for name in set(sys.modules) - before - {own_name}:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and _is_within(Path(file), unit.folder):
            found[name] = Path(file)
    return found


def _is_within(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder) and "site-packages" not in file.parts


def _found(
    module: ModuleType, unit: Unit, lines: Mapping[str, int], wanted: Wanted
) -> Iterator[Found]:
    seen: set[int] = set()
    for name, value in list(vars(module).items()):
        # What a file imports is found where it is defined; a second name is the same object.
        home = _home(value, module.__name__)
        if home != module.__name__ or id(value) in seen or name.startswith("_"):
            continue
        if wanted(name, value):
            seen.add(id(value))
            line = lines.get(getattr(value, "__name__", name), lines.get(name, 1))
            yield Found(name=name, value=value, module=module.__name__, file=unit.file, line=line)


def _home(value: object, here: str) -> object:
    """Return the module that defines an object; None of a proxy for what is not there yet."""
    try:
        return getattr(value, "__module__", here)
    except Exception:  # noqa: BLE001 - the door: attributes of users' objects are users' code
        return None


def _lines(tree: ast.Module) -> dict[str, int]:
    """Return the line of every name that the file defines on any level but inside functions."""
    lines: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            lines.setdefault(node.name, node.lineno)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    lines.setdefault(target.id, node.lineno)
    return lines


def _imports(tree: ast.Module) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(part for each in node.names for part in each.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            names.update(
                (node.module or "").split("."), *(each.name.split() for each in node.names)
            )
    return frozenset(names)


def _problem(error: BaseException, unit: Unit) -> Problem:
    """Return what a file that failed while it ran did wrong, and on which line."""
    if isinstance(error, SyntaxError) and error.filename is not None:  # of one that it imports
        return Problem(
            where=f"{error.filename}:{error.lineno or 1}", what=f"not Python: {error.msg}"
        )
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_within(Path(frame.filename), unit.folder)]
    where = f"{own[-1].filename}:{own[-1].lineno}" if own else str(unit.file)
    return Problem(where=where, what=one_line(error), todo=_advice(error))


def _advice(error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError):
        return f"install {error.name} into the rig's Python environment, or put it beside the file"
    if isinstance(error, ImportError) and "relative import" in text_of(error):
        return "name it as a module of its package, with dots, instead of as a file"
    if isinstance(error, SystemExit):
        return 'a plugin file is imported: put what ends a script below `if __name__ == "__main__"`'
    return None


def _broken(where: str, what: str) -> PluginError:
    return PluginError([Problem(where=where, what=what)])
