"""A host that carries its port, taken apart."""

from __future__ import annotations

import re
from dataclasses import replace

from test_rig.errors import Problem
from test_rig.settings.origin import Entry, Layer

__all__ = ["split_hosts"]

_BRACKETS = re.compile(r"^\[(?P<host>[^\]]*)\](?::(?P<port>.*))?$")


def split_hosts(layer: Layer) -> Layer:
    """Return the layer with `host:port` as two entries.

    A port that the same layer gives by itself wins over the one in the host. In another layer
    the order of the layers decides, as for every key: a host:port on the command line is
    stronger than a port in a file.
    """
    entries: list[Entry] = []
    problems = list(layer.problems)
    for entry in layer.entries:
        if entry.name != "database.host" or not isinstance(entry.value, str):
            entries.append(entry)
            continue
        try:
            host, port = _split(entry.value.strip())
        except ValueError as exc:
            where = f"{entry.where}: {entry.name}"
            problems.append(Problem(where=where, what=str(exc), todo="write host or host:port"))
            continue
        entries.append(replace(entry, value=host))
        if port is not None:
            entries.append(replace(entry, key="port", value=port))
    return Layer(entries=_explicit_port_first(entries), problems=tuple(problems))


def _split(text: str) -> tuple[str, str | None]:
    if "://" in text:
        raise ValueError("a URL, which belongs into database.url (--url)")
    if match := _BRACKETS.match(text):
        host, port = match["host"], match["port"]
    elif text.count(":") == 1:
        host, port = text.split(":")
    else:
        host, port = text, None  # a name, or a bare IPv6 address
    if not host:
        raise ValueError("a host without a name")
    if port is not None and not (port.isascii() and port.isdigit()):
        raise ValueError(f"the port {port!r} is no number")
    return host, port


def _explicit_port_first(entries: list[Entry]) -> tuple[Entry, ...]:
    # Within a layer the first entry of a key wins; a carried port has its host's place.
    carried = {entry.where for entry in entries if entry.name == "database.host"}
    return tuple(
        sorted(entries, key=lambda each: each.name == "database.port" and each.where in carried)
    )
