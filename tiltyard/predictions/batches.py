"""From batches, which are written by columns, to typed columns, as Arrow tables."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tiltyard.data.contract import Kind
from tiltyard.predictions.columns import FEATURE, PROBABILITY, about, answer_column, typed_column
from tiltyard.predictions.record import Batch, Schema, doubles, listed

_DOUBLE = 8
_MISSING = np.array(np.nan, "<f8").tobytes()


def batch_table(batches: Sequence[Batch], schema: Schema) -> pa.Table:
    """Return batches of one version as a table, a line a row: what their records would become.

    Args:
        batches: The batches.
        schema: What their values are.

    Raises:
        ValueError: A batch is not what the schema says.
        TypeError: As well.
    """
    counts = [_rows_of(batch) for batch in batches]
    columns = about(batches, counts, schema)
    columns["prediction"] = _answers([batch.answers for batch in batches], counts, schema)
    columns |= _probabilities(batches, counts, schema)
    pieces = zip(*(batch.columns for batch in batches), strict=True)
    for (name, kind), found in zip(schema.features, pieces, strict=True):
        columns[f"{FEATURE}{name}"] = _column(found, counts, kind)
    return pa.table(columns)


def _rows_of(batch: Batch) -> int:
    return len(batch.answers) // (_DOUBLE if isinstance(batch.answers, bytes) else 1)


def _answers(pieces: Sequence[bytes | Sequence[Any]], counts: Sequence[int], schema: Schema) -> Any:
    """Return answers as classes of their type, or as numbers."""
    if not schema.classes:
        return _column(pieces, counts, Kind.NUMBER.value)
    if any(isinstance(piece, bytes) for piece in pieces):
        raise ValueError("classes as doubles")
    return answer_column(list(chain.from_iterable(pieces)), schema.classes)


def _probabilities(batches: Sequence[Batch], counts: Sequence[int], schema: Schema) -> dict[str, Any]:
    """Return one column a class; null where a batch has none."""
    width = len(schema.classes)
    lengths = [width * count for count in counts]
    pieces = [batch.probabilities for batch in batches]
    table = _joined(
        [_MISSING * length if piece is None else piece for piece, length in zip(pieces, lengths, strict=True)], lengths
    )
    by_class = table.reshape(sum(counts), width).T
    return {f"{PROBABILITY}{label}": _numbers(column) for label, column in zip(schema.classes, by_class, strict=True)}


def _column(pieces: Sequence[bytes | Sequence[Any]], counts: Sequence[int], kind: str) -> Any:
    """Return what all batches have in one column."""
    plain = [piece for piece in pieces if isinstance(piece, bytes)]
    if plain and kind != Kind.NUMBER.value:
        raise ValueError("doubles for what is no number")
    if len(plain) == len(pieces):
        return _numbers(_joined(plain, counts))
    lists = list(map(listed, pieces))
    if list(map(len, lists)) != counts:
        raise ValueError("columns of several lengths")
    return typed_column(list(chain.from_iterable(lists)), kind)


def _joined(pieces: Sequence[bytes], counts: Sequence[int]) -> NDArray[np.float64]:
    """Return doubles of several batches.

    Raises:
        ValueError: A batch has another number of them.
    """
    if list(map(len, pieces)) != [_DOUBLE * count for count in counts]:
        raise ValueError("columns of several lengths")
    return doubles(b"".join(pieces))


def _numbers(values: NDArray[np.float64]) -> Any:
    """Return numbers as an array, null for NaN."""
    return pa.array(values, pa.float64(), from_pandas=True)
