"""Taking passwords out of texts that other software wrote.

How to think of it: drivers put connection strings into their messages. A password stands either
between `:` and `@` of a URL, or behind a word such as `password=`; both places are emptied. A
secret that the caller knows by value is the business of the log's own mask, not of this module.
"""

from __future__ import annotations

import re

__all__ = ["MASK", "clean_message", "is_secret_name", "without_passwords"]

#: What stands where a secret stood.
MASK = "********"
#: Longer messages are cut: a driver may quote a whole statement.
MESSAGE_CHARS = 500

# The scheme's length is bounded: a word of megabytes is looked at once, not from each letter again.
_IN_URL = re.compile(r"(?P<head>[A-Za-z][\w+.-]{0,40}://[^\s/?#:@]*:)\S*(?=@)")
_SECRET_NAME = re.compile(r"password|passwd|pwd|secret|token|api_?key|credential", re.I)
# MySQL's "(using password: YES)" is no password, and says what went wrong; nor is what follows the
# name of a file ("/etc/passwd: cannot open").
_BY_WORD = re.compile(
    r"""(?P<head>(?<![\w/\\])(?:password|passwd|pwd)\b["']?\s*[=:]\s*)(?!(?-i:YES|NO)\))"""
    r"""(?:'[^']*'|"[^"]*"|[^\s'",;&)]+)""",
    re.I,
)


def without_passwords(text: str) -> str:
    """Return `text` with the password of every URL and every `password=...` masked."""
    return _BY_WORD.sub(rf"\g<head>{MASK}", _IN_URL.sub(rf"\g<head>{MASK}", text))


def clean_message(exc: BaseException) -> str:
    """Return the exception's text on one line, trimmed, without passwords.

    A (number, text) pair, as MySQL's drivers raise, gives the text.
    """
    args = exc.args
    is_pair = len(args) == 2 and isinstance(args[0], int) and isinstance(args[1], str)
    text = args[1] if is_pair else str(exc)
    text = without_passwords(" ".join(text.split()))
    return text if len(text) <= MESSAGE_CHARS else text[: MESSAGE_CHARS - 3] + "..."


def is_secret_name(name: str) -> bool:
    """Return whether a field of this name holds a secret."""
    return _SECRET_NAME.search(name) is not None
