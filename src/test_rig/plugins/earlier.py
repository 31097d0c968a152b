"""The import spellings of earlier scripts, answered only where nothing else answers.

`test_rig_python` is a real module beside this package. `src.common.test_rig_python` is that module
for whoever asks for it, but a project with a `src` of its own must not notice: the finder stands
last on `sys.meta_path`, and is asked for what nobody else could find.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["earlier_names"]

_PACKAGES = ("src", "src.common")
_ALIASES = {"src.common.test_rig_python": "test_rig_python"}


class _Alias(Loader):
    """Gives an existing module under another name, or an empty package."""

    def create_module(self, spec: ModuleSpec) -> None:
        del spec  # an ordinary new module will do

    def exec_module(self, module: ModuleType) -> None:
        real = _ALIASES.get(module.__name__)
        if real is not None:
            found = importlib.import_module(real)
            names = getattr(found, "__all__", ())
            module.__dict__.update({name: getattr(found, name) for name in names})
            module.__dict__["__all__"] = list(names)


class _LastResort(MetaPathFinder):
    """Answers for the names above."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname in _PACKAGES:
            return ModuleSpec(fullname, _Alias(), is_package=True)
        if fullname in _ALIASES:
            return ModuleSpec(fullname, _Alias())
        return None


_FINDER = _LastResort()


def earlier_names() -> None:
    """Let `src.common.test_rig_python` be imported from now on. Calling it again does nothing."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)  # whoever came since is asked before it
    sys.meta_path.append(_FINDER)
