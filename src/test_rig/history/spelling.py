"""Values as messages tell them."""

from __future__ import annotations

import json

__all__ = ["spelled"]


def spelled(value: object, most: int = 60) -> str:
    """Return a value as JSON, as users have written it; its beginning where that is long."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))[:most]
    except (TypeError, ValueError, RecursionError):  # it came from Python, or is very deep
        return f"{value!r:.{most}}"
