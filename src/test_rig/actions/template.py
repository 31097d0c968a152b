"""Texts made of an event: bodies, keys and topics.

Templates are Jinja2, in its sandbox. They see the event's fields by name, the whole of it as
`event`, and `json`, which writes any value as JSON.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from test_rig.actions.event import Event
from test_rig.actions.payload import Payload, fields_of

__all__ = ["Template", "checked_template"]


class Template:
    """A text with holes for an event's fields; plain texts cost nothing."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_plain = "{{" not in text and "{%" not in text
        self._compiled = None if self._is_plain else _environment().from_string(text)

    def fill(self, event: Event, payload: Payload = Payload.RIG) -> str:
        """Return the text for an event.

        Raises:
            ValueError: A field that it names is not there, or the template fails on it.
        """
        if self._compiled is None:
            return self._text
        fields = fields_of(event, payload)
        return self.fill_with(**fields, event=fields)

    def fill_with(self, **fields: Any) -> str:
        """Return the text for fields; raises as `fill` does."""
        if self._compiled is None:
            return self._text
        try:
            return str(self._compiled.render(fields))
        except Exception as exc:
            raise ValueError(f"the template fails: {exc}") from exc


def checked_template(text: str | None) -> str | None:
    """Return a template's text; for checks of options.

    Raises:
        ValueError: It is no template.
    """
    if text is None:
        return None
    from jinja2 import TemplateSyntaxError

    try:
        Template(text)
    except TemplateSyntaxError as exc:
        raise ValueError(f"not a template: {exc.message} (line {exc.lineno})") from exc
    return text


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    made = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    made.filters["json"] = _json
    return made


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
