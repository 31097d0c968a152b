"""Where a child process finds the rig's own code."""

from __future__ import annotations

from pathlib import Path

__all__ = ["package_folder"]


def package_folder() -> str:
    """Return where a child finds this package; empty where every Python of this place does."""
    folder = Path(__file__).parents[2]
    return "" if folder.name == "site-packages" else str(folder)
