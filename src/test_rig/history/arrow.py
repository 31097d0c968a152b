"""Histories on disk: an Arrow stream while it grows, Parquet as the archive.

How to think of it: a row is a transaction, its micro-operations nested inside it, so that the file
has the same arrays as the history in memory and nothing is computed on the way. Texts are kept
once: a row carries in `strings` those that it is the first to use, and codes count them from the
file's beginning. So do elements of lists that were read: reads that begin alike share them. A batch
is in the file when `append` returns; a reader takes every whole batch and leaves a torn last one
out.

Files of version 1 had the elements of each read in its micro-operation; they are read too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from test_rig.errors import HistoryError
from test_rig.history.builder import HistoryBuilder
from test_rig.history.columns import History, Timescale, settled
from test_rig.history.packing import packed

__all__ = ["HistoryFile", "read_arrow", "read_parquet", "write_arrow", "write_parquet"]

_FORMAT = b"test_rig.history"
_VERSION, _FIRST_VERSION = b"2", b"1"
_PLAIN = (
    ("type", "uint8"),
    ("process", "int32"),
    ("start", "int64"),
    ("end", "int64"),
    ("level", "int32"),
    ("error_class", "int32"),
    ("error_code", "int32"),
    ("sql", "int32"),
)
_MOP = (("f", "uint8"), ("key", "int64"), ("value", "int64"))
_LIST = (("element_start", "int64"), ("element_count", "int32"))


class HistoryFile:
    """An Arrow stream that grows. Not safe for several threads.

    Raises:
        OSError: The file is there already, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("xb")
        # pyarrow is untyped.
        self._writer: Any = None
        # So many texts and elements are in the file.
        self._known = (0, 0)

    def append(self, part: History) -> None:
        """Write the transactions that a builder's `take` gave; they are in the file afterwards.

        Raises:
            OSError: The file could not be written.
        """
        if len(part):
            self._write(part)

    def _write(self, part: History) -> None:
        import pyarrow as pa

        part = packed(part)
        batch = _batch(part, *self._known)
        self._known = (len(part.strings), self._known[1] + len(part.element))
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(self._file, batch.schema, options=options)
        self._writer.write_batch(batch)
        self._file.flush()

    def close(self) -> None:
        """End the stream."""
        try:
            if self._writer is None:
                self._write(HistoryBuilder().history())
            self._writer.close()
        finally:
            self._file.close()


def write_arrow(history: History, path: Path) -> None:
    """Write a whole history as an Arrow stream, in place of what the file had."""
    path.unlink(missing_ok=True)
    file = HistoryFile(path)
    try:
        file.append(history)
    finally:
        file.close()


def read_arrow(path: Path) -> History:
    """Read every whole batch of an Arrow stream; the history tells whether its end was there.

    Raises:
        HistoryError: It is no history of ours.
    """
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        try:
            reader = pa.ipc.open_stream(source)
        except (pa.ArrowInvalid, EOFError, OSError) as error:
            raise HistoryError([(str(path), "no Arrow stream begins here")]) from error
        batches: list[Any] = []
        has_end = _read_whole(reader, source, batches)
        history = _read(path, pa.Table.from_batches(batches, reader.schema))
        history = replace(history, is_cut=not has_end)
        return settled(history, len(history) - batches[-1].num_rows if batches else 0)


def write_parquet(history: History, path: Path) -> None:
    """Write a whole history as Parquet, compressed with Zstandard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_batches([_batch(packed(history), 0, 0)])
    pq.write_table(table, path, compression="zstd")


def read_parquet(path: Path) -> History:
    """Read a history from Parquet.

    Raises:
        HistoryError: It is no history of ours, or it is torn.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise HistoryError([(str(path), f"not a whole Parquet file: {error}")]) from error
    return _read(path, table)


def _read(path: Path, table: Any) -> History:
    import pyarrow as pa

    try:
        table.validate()
        return _history(path, table)
    except (KeyError, pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise HistoryError(
            [(str(path), f"its columns are not those of a history: {error}")]
        ) from error


def _read_whole(reader: Any, source: Any, batches: list[Any]) -> bool:
    """Take every whole batch, and return whether the mark of the end follows."""
    import pyarrow as pa

    while True:
        at = source.tell()
        try:
            batches.append(reader.read_next_batch())
        except StopIteration:
            # Where the file ends without the mark there is nothing more to be read.
            return bool(source.tell() > at)
        except (pa.ArrowInvalid, OSError):
            return False  # what a killed writer left behind


def _batch(part: History, strings: int, elements: int) -> Any:
    """Return a part as a batch of a file that has so many texts and elements."""
    import pyarrow as pa

    part = replace(part, element_start=part.element_start + elements)
    names = [name for name, _ in (*_MOP, *_LIST)]
    mops = pa.StructArray.from_arrays(
        [pa.array(getattr(part, name)) for name in names], names=names
    )
    columns = {name: pa.array(getattr(part, name)) for name, _ in _PLAIN}
    columns["strings"] = _first(len(part), pa.array(part.strings[strings:], pa.string()))
    columns["elements"] = _first(len(part), pa.array(part.element))
    columns["mops"] = _lists(part.mop_start, mops)
    metadata = {
        _FORMAT: _VERSION,
        b"keys": b"text" if part.has_named_keys else b"int",
        b"clock": part.clock.value.encode(),
    }
    batch = pa.record_batch(list(columns.values()), names=list(columns))
    return batch.replace_schema_metadata(metadata)


def _first(rows: int, values: Any) -> Any:
    """Return a column of which the first row has all values."""
    counts = np.full(rows + 1, len(values), dtype=np.int64)
    counts[0] = 0
    return _lists(counts, values)


def _lists(starts: Any, values: Any) -> Any:
    import pyarrow as pa

    return pa.LargeListArray.from_arrays(pa.array(starts, pa.int64()), values)


def _history(path: Path, table: Any) -> History:
    metadata = table.schema.metadata or {}
    version = metadata.get(_FORMAT)
    if version not in (_VERSION, _FIRST_VERSION):
        raise HistoryError([(str(path), "not a history of transactions that this version reads")])
    table = table.combine_chunks()
    mops, mop_start = _unlisted(table.column("mops"))
    if version == _VERSION:
        elements, _ = _unlisted(table.column("elements"))
        lists = {name: _numpy(mops.field(name), kind) for name, kind in _LIST}
    else:
        elements, ends = _unlisted(mops.field("elements"))
        lists = {"element_start": ends[:-1], "element_count": np.diff(ends).astype(np.int32)}
    strings, _ = _unlisted(table.column("strings"))
    return History(
        **{name: _numpy(table.column(name), kind) for name, kind in _PLAIN},
        **{name: _numpy(mops.field(name), kind) for name, kind in _MOP},
        **lists,
        mop_start=mop_start,
        element=_numpy(elements, "int64"),
        strings=tuple(strings.to_pylist()),
        has_named_keys=metadata.get(b"keys") == b"text",
        clock=Timescale(metadata[b"clock"].decode()),
    )


def _unlisted(lists: Any) -> tuple[Any, Any]:
    """Return the values of a list column and where each list begins."""
    import pyarrow as pa

    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.chunk(0)
    offsets = lists.offsets.to_numpy().astype(np.int64, copy=False)
    if (offsets[1:] < offsets[:-1]).any():
        raise ValueError("a list ends before it begins")
    values = lists.values.slice(offsets[0], offsets[-1] - offsets[0])
    return values, offsets - offsets[0] if offsets[0] else offsets


def _numpy(column: Any, kind: str) -> Any:
    if column.null_count:
        raise ValueError(f"{column.null_count} of {len(column)} are null")
    return column.to_numpy().astype(kind, copy=False)
