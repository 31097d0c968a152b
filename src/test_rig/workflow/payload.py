"""Large values of a context: kept once by their hash, however often rows name them.

How to think of it: a context of 20 MB whose run has two tasks would be written three times: as the
run's input, and with what the tasks leave as its output. So where the JSON text of a row is large,
each large value in it becomes a *payload*, kept under the hash of its bytes, and the row holds a
reference. A text with references begins with a letter that no JSON object begins with; small rows,
nearly all of them, pay for one comparison of a length.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from test_rig.workflow.records import Batch, RunRow

__all__ = [
    "LARGE",
    "MARK",
    "Payload",
    "lightened",
    "packed",
    "packed_run",
    "references",
    "unpacked",
]

#: From how many characters on a text, and a value in it, is large.
LARGE = 64 * 1024
#: What a text with references begins with.
MARK = "P"
_REFERENCE = b'{"$payload":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The JSON text of one value."""

    sha256: str
    #: "zlib" or "plain".
    codec: str
    body: bytes

    @classmethod
    def of(cls, text: bytes) -> Payload:
        """Return the payload of a value's JSON text; squeezed where that is worth it."""
        digest = hashlib.sha256(text).hexdigest()
        squeezed = zlib.compress(text, 1)
        if len(squeezed) < 0.9 * len(text):
            return cls(sha256=digest, codec="zlib", body=squeezed)
        return cls(sha256=digest, codec="plain", body=text)

    @property
    def text(self) -> bytes:
        """The value's JSON text."""
        return zlib.decompress(self.body) if self.codec == "zlib" else bytes(self.body)


def packed(text: str, payloads: dict[str, Payload]) -> str:
    """Return a JSON object's text with references for its large values, which are added.

    >>> found = {}
    >>> packed('{"a":1}', found), found
    ('{"a":1}', {})
    >>> light = packed('{"a":1,"b":"' + "x" * LARGE + '"}', found)
    >>> light[:18], len(found)
    ('P{"a":1,"b":{"$pay', 1)
    >>> len(unpacked(light, found))
    65550
    """
    if len(text) < LARGE:
        return text
    values = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    is_lighter = False
    for key, raw in values.items():
        # What looks like a reference and is none becomes one too, so that it is not misread.
        if len(raw) < LARGE and not bytes(raw).startswith(_REFERENCE):
            continue
        payload = Payload.of(bytes(raw))
        payloads[payload.sha256] = payload
        values[key] = msgspec.Raw(_REFERENCE + f'"{payload.sha256}"}}'.encode())
        is_lighter = True
    return MARK + msgspec.json.encode(values).decode() if is_lighter else text


def references(text: str | None) -> Iterator[str]:
    """Yield the hashes of the payloads that a text refers to."""
    if text is not None and text.startswith(MARK):
        for raw in msgspec.json.decode(text[1:], type=dict[str, msgspec.Raw]).values():
            if bytes(raw).startswith(_REFERENCE):
                yield _hash(raw)


def unpacked(text: str, payloads: Mapping[str, Payload]) -> str:
    """Return a text with its values in place of the references.

    Raises:
        KeyError: A payload is not among those given.
    """
    if not text.startswith(MARK):
        return text
    values = msgspec.json.decode(text[1:], type=dict[str, msgspec.Raw])
    for key, raw in values.items():
        if bytes(raw).startswith(_REFERENCE):
            values[key] = msgspec.Raw(payloads[_hash(raw)].text)
    return msgspec.json.encode(values).decode()


def _hash(raw: msgspec.Raw) -> str:
    reference: dict[str, str] = msgspec.json.decode(raw)
    return reference["$payload"]


def packed_run(run: RunRow, payloads: dict[str, Payload]) -> RunRow:
    """Return a run's row with references for its large values; the row itself stays as it is."""
    if max(len(run.input), len(run.output or "")) < LARGE:
        return run
    output = None if run.output is None else packed(run.output, payloads)
    return replace(run, input=packed(run.input, payloads), output=output)


def lightened(batch: Batch) -> tuple[Batch, list[Payload], list[tuple[str, str]]]:
    """Return a batch with references for its large values, the payloads, and which run has which.

    All of them in the order of their hashes: the one order in which everybody locks them.
    """
    if not any(_is_heavy(batch)):
        return batch, [], []
    payloads: dict[str, Payload] = {}
    light = Batch(
        [packed_run(run, payloads) for run in batch.runs],
        [
            step if step.delta is None else replace(step, delta=packed(step.delta, payloads))
            for step in batch.steps
        ],
        batch.attempts,
        batch.ended,
        [
            each if each.output is None else replace(each, output=packed(each.output, payloads))
            for each in batch.finishes
        ],
    )
    texts = [(run.id, text) for run in light.runs for text in (run.input, run.output)]
    texts += [(step.run_id, step.delta) for step in light.steps]
    texts += [(each.run_id, each.output) for each in light.finishes]
    uses = {(sha256, run_id) for run_id, text in texts for sha256 in references(text)}
    return (
        light,
        [payload for _, payload in sorted(payloads.items())],
        [(run_id, sha256) for sha256, run_id in sorted(uses)],
    )


def _is_heavy(batch: Batch) -> Iterator[bool]:
    for run in batch.runs:
        yield len(run.input) >= LARGE or (run.output is not None and len(run.output) >= LARGE)
    for step in batch.steps:
        yield step.delta is not None and len(step.delta) >= LARGE
    for each in batch.finishes:
        yield each.output is not None and len(each.output) >= LARGE
