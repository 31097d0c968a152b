"""Arrow streams that grow while a run runs and can be read after it was killed.

How to think of it: rows wait in memory until there are `BATCH_ROWS` of them or someone asks to
flush; then they leave as one record batch, which reaches the file before the call returns. A stream
ends properly only when it is closed; a reader takes every whole batch and leaves out a torn last
one. `pyarrow` is imported when the first batch leaves, so that a run that records nothing does not
pay for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

__all__ = ["HISTORY_COLUMNS", "MEASUREMENT_COLUMNS", "ArrowLog", "read_rows"]

BATCH_ROWS = 512

#: Column names and Arrow types, in the order of the file.
HISTORY_COLUMNS = {
    "index": "int64",
    "target": "string",
    "level": "string",
    "scenario": "string",
    "process": "string",
    "type": "string",
    "f": "string",
    "value": "string",
    "time_ns": "int64",
    "error": "string",
}
MEASUREMENT_COLUMNS = {
    "name": "string",
    "value": "float64",
    "unit": "string",
    "time_ns": "int64",
    "labels": "string",
    "source": "string",
}


class ArrowLog:
    """One growing file. Not safe for several threads: its owner holds a lock."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._path = path
        self._columns = columns
        self._rows: list[tuple[object, ...]] = []
        self._file: IO[bytes] | None = None
        # pyarrow is untyped.
        self._writer: Any = None
        self._is_broken = False

    def append(self, *row: object) -> None:
        """Add one row, in the order of the columns; it may wait for the next flush.

        Raises:
            OSError: The file could not be written; it takes no more rows from then on.
        """
        self._rows.append(row)
        if len(self._rows) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the waiting rows.

        Raises:
            OSError: The file could not be written; it takes no more rows from then on.
        """
        rows, self._rows = self._rows, []
        if not rows or self._is_broken:
            return  # after a torn batch a further one could not be read
        try:
            self._write(rows)
        except OSError:
            self._is_broken = True
            raise

    def close(self) -> None:
        """Write what waits and end the stream; without any row there will be no file."""
        try:
            self.flush()
            if self._writer is not None and not self._is_broken:
                self._writer.close()
        finally:
            self._writer = None
            if self._file is not None:
                self._file.close()

    def _write(self, rows: list[tuple[object, ...]]) -> None:
        import pyarrow as pa

        schema = pa.schema(
            [(name, pa.type_for_alias(kind)) for name, kind in self._columns.items()]
        )
        if self._file is None:
            self._file = self._path.open("xb")
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_stream(self._file, schema, options=options)
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=schema))
        self._file.flush()


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of every whole batch of the file as dicts by column name.

    A file that is not there gives none: nothing was recorded. What a killed writer left behind
    the last whole batch is left out.
    """
    if not path.exists():
        return
    import pyarrow as pa

    with path.open("rb") as file:
        try:
            reader = pa.ipc.open_stream(file)
        except (pa.ArrowInvalid, EOFError):
            return  # torn within the schema: there is no batch
        while True:
            try:
                batch = reader.read_next_batch()
            except (StopIteration, pa.ArrowInvalid, OSError):
                return
            yield from batch.to_pylist()
