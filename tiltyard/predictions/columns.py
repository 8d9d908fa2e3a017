"""From records and labels to typed columns, as Arrow tables."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiltyard.data.contract import Kind
from tiltyard.predictions.record import Feedback, Label, Record, Schema

FEATURE = "feature_"
PROBABILITY = "probability_"

MOMENT = pa.timestamp("us", tz="UTC")
KIND_TYPES: dict[str, Any] = {
    Kind.NUMBER.value: pa.float64(),
    Kind.INTEGER.value: pa.int64(),
    Kind.BOOLEAN.value: pa.bool_(),
    Kind.CATEGORY.value: pa.string(),
    Kind.TEXT.value: pa.string(),
    Kind.TIME.value: pa.timestamp("us"),
}
"""Arrow type of each kind of column; a time is naive and in UTC, as everywhere in the house."""


def prediction_table(records: Sequence[Record], schema: Schema) -> pa.Table:
    """Return records of one version as a table, a line a row.

    Args:
        records: The records.
        schema: What their values are.

    Raises:
        ValueError: A record is not what the schema says.
        TypeError: As well.
    """
    counts = [_rows_of(record, len(schema.classes)) for record in records]
    numbers = list(chain.from_iterable(map(range, counts)))
    single = len(numbers) == len(records)
    owners = (
        records if single else [record for record, count in zip(records, counts, strict=True) for _ in range(count)]
    )
    columns: dict[str, Any] = {
        "id": pa.array([f"{record.id}-{number}" for record, number in zip(owners, numbers, strict=True)], pa.string()),
        "request": pa.array([record.id for record in owners], pa.string()),
        "row": pa.array(numbers, pa.int32()),
        "time": _moments([record.time for record in owners]),
        "model": pa.repeat(pa.scalar(schema.model, pa.string()), len(numbers)),
        "version": pa.repeat(pa.scalar(schema.version, pa.int64()), len(numbers)),
        "slot": pa.array([record.slot for record in owners], pa.string()),
        "key": pa.array([record.key for record in owners], pa.string()),
        "seconds": pa.array([record.seconds for record in owners], pa.float64()),
        "prediction": _answers([answer for record in records for answer in record.answers], schema.classes),
    }
    columns |= _probabilities(records, schema.classes)
    values = list(zip(*chain.from_iterable(record.rows for record in records), strict=True))
    for (name, kind), column in zip(schema.features, values, strict=True):
        columns[f"{FEATURE}{name}"] = _typed(column, kind)
    return pa.table(columns)


def feedback_table(arrived: Sequence[Feedback]) -> pa.Table:
    """Return labels of one kind as a table.

    Raises:
        ValueError: A label is not of its kind.
        TypeError: As well.
    """
    entries = [entry for feedback in arrived for entry in feedback.feedback]
    received = [feedback.received for feedback in arrived for _ in feedback.feedback]
    return pa.table(
        {
            "id": pa.array([entry.id for entry in entries], pa.string()),
            "label": _typed([entry.label for entry in entries], arrived[0].kind),
            "time": _moments([entry.time for entry in entries]),
            "received": _moments(received),
            "model": pa.repeat(pa.scalar(arrived[0].model, pa.string()), len(entries)),
        }
    )


def canonical(label: Label) -> str:
    """Return the text by which labels of one moment are put in an order: the same on every machine."""
    return json.dumps(label, ensure_ascii=False)


def _rows_of(record: Record, classes: int) -> int:
    """Return the rows of a record.

    Raises:
        ValueError: Its lists have several lengths, or none has any.
    """
    count = len(record.rows)
    chances = record.probabilities
    fits = chances is None or (len(chances) == count and all(len(row) == classes for row in chances))
    if not (count and fits and len(record.answers) == count):
        raise ValueError("another shape than the schema's")
    return count


def _moments(seconds: Sequence[float]) -> Any:
    """Return seconds since 1970 as moments.

    Raises:
        ValueError: One is beyond the years of a date.
    """
    micros = np.rint(np.array(seconds, dtype=np.float64) * 1e6)
    if not (np.abs(micros) < 2.5e17).all():
        raise ValueError("no moment of a date")
    return pa.array(micros.astype(np.int64), pa.int64()).cast(MOMENT)


def _answers(values: Sequence[Any], classes: Sequence[Label]) -> Any:
    """Return answers as classes of their type, or as numbers."""
    if not classes:
        return pa.array(values, pa.float64())
    return pa.array(classes, _class_type(classes)).take(_integers(values))


def _class_type(classes: Sequence[Label]) -> Any:
    """Return the type of the classes.

    Raises:
        ValueError: They are of several.
    """
    types = {type(label) for label in classes}
    if types == {int, float}:
        return pa.float64()
    if len(types) > 1:
        raise ValueError("classes of several types")
    return {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[types.pop()]


def _probabilities(records: Sequence[Record], classes: Sequence[Label]) -> dict[str, Any]:
    """Return one column a class; null where a record has none."""
    none: list[Any] = [None] * len(classes)
    chances = [row for record in records for row in record.probabilities or [none] * len(record.rows)]
    columns = zip(*chances, strict=True)
    return {
        f"{PROBABILITY}{label}": pa.array(column, pa.float64()) for label, column in zip(classes, columns, strict=True)
    }


def _typed(values: Sequence[Any], kind: str) -> Any:
    """Return values as an array of their kind."""
    if kind == Kind.TIME.value:
        return _times(values)
    if kind == Kind.BOOLEAN.value:
        values = [bool(value) if value in (0, 1) else value for value in values]
    return _integers(values) if kind == Kind.INTEGER.value else pa.array(values, KIND_TYPES[kind])


def _integers(values: Sequence[Any]) -> Any:
    """Return integers as an array; Arrow itself would cut off the decimals of others.

    Raises:
        ValueError: One has decimals.
    """
    if any(isinstance(value, float) and not value.is_integer() for value in values):
        raise ValueError("an integer with decimals")
    return pa.array(values, pa.int64())


def _times(values: Sequence[Any]) -> Any:
    """Return ISO 8601 texts as naive moments in UTC."""
    kind = KIND_TYPES[Kind.TIME.value]
    try:
        return pc.cast(pa.array(values, pa.string()), kind)
    except pa.ArrowInvalid:
        return pa.array([None if value is None else _naive(datetime.fromisoformat(value)) for value in values], kind)


def _naive(moment: datetime) -> datetime:
    """Return a moment as the house keeps it: in UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
