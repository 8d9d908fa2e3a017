"""Parquet → columns of plain values. Imported with the first such body only: Arrow is a third of a worker's memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiltyard.serving.answers import RequestError, shorten
from tiltyard.serving.protocols.footers import Footer, read_footer, unpacked_bytes
from tiltyard.serving.protocols.frames import too_many

_DAMAGED = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, IndexError, TypeError)
_TEXT = "BYTE_ARRAY"


def read(
    body: bytes, wanted: Sequence[str], *, most_rows: int, most_bytes: int
) -> tuple[dict[str, Sequence[object]], int]:
    """Read some columns of a table.

    Args:
        body: A Parquet file.
        wanted: Names to read; one that is absent is left out.
        most_rows: Limit of rows.
        most_bytes: Limit of the size without compression.

    Returns:
        Columns of plain Python values, times as naive `datetime` in UTC; and the number of rows.

    Raises:
        RequestError: 400 for what is no Parquet file, 413 beyond a limit.
    """
    try:
        footer = read_footer(body)
        _check_rows(footer, most_rows)
        if footer.rows == 0:
            return {}, 0
        if unpacked_bytes(body, footer) > most_bytes:
            raise RequestError.of(413, "the table is too large when unpacked", cure="Send fewer rows or columns.")
        file = _open(body)
        names = file.schema_arrow.names
        found = [name for name in wanted if name in names]
        if len(set(names)) < len(names):
            raise RequestError("a column name stands twice", cure="Name every column once.")
        _check_flat(file.schema_arrow, found)
        table = file.read(columns=found, use_threads=False)
        columns: dict[str, Sequence[object]] = {name: _values(table.column(name)) for name in found}
        rows = _agreed(footer.rows, columns)
    except _DAMAGED:
        raise RequestError("the body is no Parquet file that can be read", cure="Send a whole file.") from None
    return columns, rows


def _agreed(rows: int, columns: Mapping[str, Sequence[object]]) -> int:
    """Return the number of rows.

    Raises:
        ValueError: The columns have another.
    """
    if rows < 0 or any(len(values) != rows for values in columns.values()):
        raise ValueError("the footer says another number of rows")
    return rows


def _open(body: bytes) -> Any:
    """Open a file; texts stay encoded by their dictionary, so that one long text many times stays one.

    Arrow's view of the footer is not asked for: a column's part of it that contradicts the schema ends the process.
    """
    schema = pq.ParquetFile(pa.BufferReader(body)).schema
    columns = [schema.column(index) for index in range(len(schema.names))]
    texts = [column.path for column in columns if column.physical_type == _TEXT and column.max_repetition_level == 0]
    return pq.ParquetFile(pa.BufferReader(body), read_dictionary=texts)


def _check_rows(footer: Footer, most_rows: int) -> None:
    """Refuse a table by what its footer says; every flat column has a value a row, and no more are read."""
    if footer.rows > most_rows or any(group.rows > most_rows for group in footer.groups):
        raise too_many(most_rows)
    for group in footer.groups:
        if any(chunk.is_flat and chunk.values > group.rows for chunk in group.chunks):
            raise ValueError("more values than rows")


def _check_flat(schema: Any, names: Sequence[str]) -> None:
    """Refuse lists and structs, which no feature is, and which may be of any length in one row."""
    for name in names:
        if pa.types.is_nested(schema.field(name).type):
            raise RequestError("a column holds lists or structs", where=shorten(name, 80), cure="Send plain values.")


def _values(column: Any) -> list[object]:
    """Return the plain values of one column."""
    values: list[object] = []
    for chunk in column.chunks:
        values += _spread(chunk) if pa.types.is_dictionary(chunk.type) else _plain(chunk)
    return values


def _spread(chunk: Any) -> list[object]:
    """Return the values of an array with a dictionary; each is made once."""
    known = [*_plain(chunk.dictionary), None]
    return [known[-1 if index is None else index] for index in chunk.indices.to_pylist()]


def _plain(chunk: Any) -> list[object]:
    """Return the values of an array as Python's own; times of any zone and unit as naive UTC in microseconds."""
    if pa.types.is_timestamp(chunk.type):
        moments = pc.cast(chunk, pa.timestamp("us", chunk.type.tz), safe=False)
        chunk = pc.cast(pc.cast(moments, pa.int64()), pa.timestamp("us"))
    plain: list[object] = chunk.to_pylist()
    return plain
