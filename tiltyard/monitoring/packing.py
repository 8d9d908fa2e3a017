"""A small sample as bytes and back, for the windows that later ones are held against."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from tiltyard.data.contract import Kind
from tiltyard.errors import DataError
from tiltyard.monitoring.logged import values_of
from tiltyard.monitoring.sample import ColumnSample, Sample
from tiltyard.project.section import Section

MOST_ROWS = 2_000
"""Rows whose values are kept; windows that are pooled have fewer."""

_FACTS = b"tiltyard"
_TEXTS = frozenset({Kind.CATEGORY, Kind.TEXT})


class _Column(Section):
    kind: Kind
    missing: int
    new: int
    outside: int


class _Facts(Section):
    rows: int
    columns: dict[str, _Column]


def pack_sample(sample: Sample, *, most: int = MOST_ROWS) -> bytes:
    """Return a sample as Parquet, its counts as they are, its values cut to the first rows.

    Args:
        sample: A sample in random order, as windows of the log are.
        most: Rows whose values are kept.
    """
    columns = {
        name: _Column(kind=column.kind, missing=column.missing, new=column.new, outside=column.outside)
        for name, column in sample.columns.items()
    }
    facts = _Facts(rows=sample.rows, columns=columns)
    arrays = {
        name: pa.array(column.values[:most], pa.string() if column.kind in _TEXTS else None)
        for name, column in sample.columns.items()
    }
    table = pa.table(arrays).replace_schema_metadata({_FACTS: facts.model_dump_json().encode()})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def unpack_sample(content: bytes, *, where: str) -> Sample:
    """Return a sample that was packed.

    Args:
        content: Its bytes.
        where: Where they are from, for errors.

    Raises:
        DataError: They are damaged.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        facts = _Facts.model_validate_json((table.schema.metadata or {}).get(_FACTS, b""))
        columns = {name: _column(table, name, about) for name, about in facts.columns.items()}
        return Sample(rows=facts.rows, sampled=table.num_rows, columns=columns)
    except (ValidationError, pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0][:200]
        cure = "Delete it: later checks make their own."
        raise DataError(f"the sample cannot be read ({reason})", where=where, cure=cure) from None


def _column(table: pa.Table, name: str, about: _Column) -> ColumnSample:
    array: Any = table.column(name).combine_chunks()
    return ColumnSample(about.kind, values_of(array), about.missing, about.new, about.outside)
