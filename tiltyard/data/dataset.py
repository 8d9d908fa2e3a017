"""The table of a run: typed once, written as Parquet, known by the fingerprint of its content."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiltyard.data.as_of import known_by, time_column
from tiltyard.data.coercion import ARROW_TYPES, coerce, to_pandas
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.protect import protect_frame
from tiltyard.data.usage import in_use
from tiltyard.errors import DataError
from tiltyard.project.model import Project
from tiltyard.project.section import Section


class DatasetRef(Section):
    """A reference to a typed table in the object store; travels between tasks in the table's place.

    Attributes:
        uri: Key of the Parquet file in the store.
        fingerprint: Fingerprint of the content.
        rows: Number of rows.
        columns: Number of columns.
    """

    uri: str
    fingerprint: str
    rows: int
    columns: int


def ingest(
    project: Project,
    contract: Contract,
    *,
    read: Callable[[], pd.DataFrame],
    key: str | None = None,
    where: str = "the table",
    as_of: datetime | None = None,
) -> pd.DataFrame:
    """Read a project's table once: protected first, then typed.

    Args:
        project: The project; its `data.protect` is applied before anything else sees a value.
        contract: The contract as reviewed (not yet brought in line by `in_use`; this does it).
        read: Reads the raw table.
        key: Key of the keyed hashes (`TILTYARD_PROTECT_KEY`).
        where: Name of the source, for errors.
        as_of: Rows of a later time, or of none, are left out before anything looks at them; naive, in UTC.

    Returns:
        The typed frame by the contract in use (see `coerce`).

    Raises:
        DataError: The table has no rows, or breaks its contract.
        ProjectError: A protection cannot be applied, or names a column that is not there; or there is no time column
            to tell what was known.
    """
    raw = read()
    if raw.empty:
        raise DataError("the table has no rows", where=where, cure="Check the source.")
    used = in_use(contract, project, key, header=[str(name) for name in raw.columns])
    if as_of is not None:
        raw = known_by(raw, time_column(project, used), used, as_of, where=where)
    return coerce(protect_frame(raw, used, key), used, where=where)


def fingerprint(frame: pd.DataFrame) -> str:
    """Return 32 hex digits of a typed frame's content.

    They depend on the names, kinds, values and order of columns and rows, and on nothing else: the same table from
    CSV, Parquet or SQL has the same fingerprint. SHA-256 over names and Arrow values in canonical form.
    """
    total = hashlib.sha256()
    for name in frame.columns:
        array = _canonical(frame[name])
        total.update(f"{name}\0{array.type}\0{len(array)}\0".encode())
        total.update(np.packbits(array.is_null().to_numpy(zero_copy_only=False)).tobytes())
        for part in _contents(array):
            total.update(part)
    return total.hexdigest()[:32]


def write_dataset(frame: pd.DataFrame, path: Path) -> None:
    """Write a typed frame as Parquet (zstd)."""
    table = pa.table({name: _canonical(frame[name]) for name in frame.columns})
    pq.write_table(table, path, compression="zstd")


def read_dataset(path: Path, contract: Contract) -> pd.DataFrame:
    """Read a typed frame that `write_dataset` wrote.

    Args:
        path: The Parquet file.
        contract: The contract that the frame was typed by.

    Raises:
        DataError: The file is missing, damaged, or was written under another contract.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"the typed table cannot be read ({error})", where=str(path), cure="Ingest it again.") from None
    typed = {column.name: _read_column(table, column, path) for column in contract.columns}
    return pd.DataFrame(typed, index=pd.RangeIndex(table.num_rows))


def _read_column(table: Any, column: Column, path: Path) -> Any:
    expected = ARROW_TYPES[column.kind]
    found = table.schema.field(column.name).type if column.name in table.schema.names else None
    if found is None or (found != expected and not pa.types.is_large_string(found)):
        what = f"the typed table has no column `{column.name}` of type {expected}"
        raise DataError(what, where=str(path), cure="It was written under another contract; ingest it again.")
    array = table.column(column.name).combine_chunks()
    if column.kind is Kind.NUMBER:
        return array.to_numpy(zero_copy_only=False)
    return to_pandas(array, column.kind)


def _canonical(series: "pd.Series[Any]") -> Any:
    """Return a typed column as one Arrow array: nulls for missing, plain strings, no negative zero."""
    array = pa.array(series, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_floating(array.type):
        return pc.add(array, 0.0)
    return pc.cast(array, pa.large_string()) if pa.types.is_string(array.type) else array


def _contents(array: Any) -> tuple[bytes, ...]:
    """Return the bytes that stand for the values of a canonical array, nulls as zero."""
    if pa.types.is_large_string(array.type):
        lengths = pc.binary_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype("<i8")
        return lengths.tobytes(), "".join(array.drop_null().to_pylist()).encode()
    if pa.types.is_boolean(array.type):
        return (np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False)).tobytes(),)
    if pa.types.is_timestamp(array.type):
        array = pc.cast(array, pa.int64())
    zero = pa.scalar(0, type=array.type)
    return (array.fill_null(zero).to_numpy(zero_copy_only=False).tobytes(),)
