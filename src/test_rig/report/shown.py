"""Making foreign text fit to be shown.

What a database said can hold anything: terminal escapes, characters that XML forbids, marks that
turn the reading direction, a megabyte in one value. Every renderer passes such text through `shown`
before it escapes it for its own format, so that a reader sees what is there and nothing of it acts.
"""

from __future__ import annotations

import re

__all__ = ["LIMIT", "shown", "shown_sql"]

#: Longer texts are cut.
LIMIT = 2000

# Controls, invisible and direction-turning marks, line separators that are no newline, halves of
# surrogate pairs, and the two code points that XML has no way to write.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def shown(text: str, *, limit: int = LIMIT) -> str:
    r"""Return `text` on one line, with its invisible characters spelled out, cut to `limit`.

    >>> shown("a\n\x1b[31m\u202eb")
    'a␊␛[31m\\u202eb'
    >>> shown("aaaaaaaa", limit=3)
    'aaa… (cut: 8 characters in all)'
    """
    return _UNSHOWABLE.sub(_spelled, text[:limit]) + _note(text, limit)


def shown_sql(text: str, *, limit: int = LIMIT) -> str:
    """Return a statement with its own line breaks and tabs; otherwise as `shown`."""
    lines = text[:limit].replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return "\n".join(_UNSHOWABLE.sub(_spelled, line) for line in lines) + _note(text, limit)


def _note(text: str, limit: int) -> str:
    return f"… (cut: {len(text):,} characters in all)" if len(text) > limit else ""


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's pictures of the control characters
    if code == 0x7F:
        return "\u2421"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
