"""Loops over arrays, compiled where that is worth its time.

How to think of it: a kernel is a plain function over arrays that calls no other kernel. Numba
compiles it when it is first needed, and keeps the machine code beside the module, or where that
cannot be written in the user's cache (`NUMBA_CACHE_DIR` names another place). A small history is
judged before Numba could be imported; so kernels run as they stand for those, as long as they are
not loaded anyway, and for all where Numba is not installed. The answers are the same: it is the
same source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["SMALL", "Bytes", "Int32s", "Ints", "Kernels", "Marks", "compiling_now", "frozen"]

P = ParamSpec("P")
R = TypeVar("R")

Ints = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Marks = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

#: So many elements are looped over as quickly as Numba is imported.
SMALL = 60_000


class Kernels:
    """Gives kernels for an input of a size.

    Args:
        size: How many array elements are looped over, about.
    """

    def __init__(self, size: int) -> None:
        self._is_large = size > SMALL

    def or_for(self, size: int) -> Kernels:
        """Return these, or those for an input of a size, whichever is compiled sooner."""
        return self if self._is_large else Kernels(size)

    def __call__(self, kernel: Callable[P, R]) -> Callable[P, R]:
        """Return the kernel, compiled where that is worth it and can be done."""
        if kernel not in _LOADED and (self._is_large or any(each(kernel) for each in _WANTED)):
            _LOADED[kernel] = _compiled(kernel)
        loaded: Callable[P, R] = _LOADED.get(kernel, kernel)
        return loaded


#: Kernels that a large input has needed in this process: small ones are quicker with them too.
_LOADED: dict[Any, Any] = {}
#: Who wants kernels compiled although the input is small.
_WANTED: list[Callable[[Any], bool]] = []


@contextmanager
def compiling_now(wants: Callable[[Any], bool]) -> Iterator[None]:
    """Have kernels compiled for inputs of any size while the block runs.

    Args:
        wants: Says of a kernel whether.
    """
    _WANTED.append(wants)
    try:
        yield
    finally:
        _WANTED.remove(wants)


def _compiled(kernel: Any) -> Any:
    try:
        from numba import njit
    except ImportError:
        return kernel
    try:
        return njit(cache=True, nogil=True)(kernel)
    except RuntimeError:  # no folder can be written: it is compiled in every process
        return njit(nogil=True)(kernel)


def frozen(array: npt.NDArray[Any]) -> Any:
    """Return a view in one piece that cannot be written: one type, wherever it comes from."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
