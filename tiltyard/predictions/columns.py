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
from tiltyard.predictions.record import Batch, Feedback, Label, Record, Schema

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
    counts = [len(record.rows) for record in records]
    if [len(record.answers) for record in records] != counts:
        raise ValueError("another number of answers than of rows")
    columns = about(records, counts, schema)
    answers = list(chain.from_iterable(record.answers for record in records))
    columns["prediction"] = answer_column(answers, schema.classes)
    columns |= _probabilities(records, counts, schema.classes)
    values = zip(*chain.from_iterable(record.rows for record in records), strict=True)
    for (name, kind), column in zip(schema.features, values, strict=True):
        columns[f"{FEATURE}{name}"] = typed_column(column, kind)
    return pa.table(columns)


def about(requests: Sequence[Record | Batch], counts: Sequence[int], schema: Schema) -> dict[str, Any]:
    """Return the columns that say which request a row is of.

    Args:
        requests: The requests.
        counts: How many rows each has.
        schema: What their values are.

    Raises:
        ValueError: One has no rows, or a time that is none.
    """
    if 0 in counts:
        raise ValueError("no rows")
    total = sum(counts)
    columns = {
        "request": pa.array([request.id for request in requests], pa.string()),
        "time": _moments([request.time for request in requests]),
        "slot": pa.array([request.slot for request in requests], pa.string()),
        "key": pa.array([request.key for request in requests], pa.string()),
        "seconds": pa.array([request.seconds for request in requests], pa.float64()),
    }
    row = np.zeros(total, np.int32)
    number: Any = pa.scalar("0")
    if total > len(counts):
        owner = np.repeat(np.arange(len(counts)), counts)
        columns = {name: column.take(pa.array(owner)) for name, column in columns.items()}
        row = (np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)
        number = pa.array(list(map(str, range(max(counts)))), pa.string()).take(pa.array(row))
    return {
        "id": pc.binary_join_element_wise(columns["request"], number, "-"),
        "request": columns["request"],
        "row": pa.array(row),
        "time": columns["time"],
        "model": pa.repeat(pa.scalar(schema.model, pa.string()), total),
        "version": pa.repeat(pa.scalar(schema.version, pa.int64()), total),
        "slot": columns["slot"],
        "key": columns["key"],
        "seconds": columns["seconds"],
    }


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
            "label": typed_column([entry.label for entry in entries], arrived[0].kind),
            "time": _moments([entry.time for entry in entries]),
            "received": _moments(received),
            "model": pa.repeat(pa.scalar(arrived[0].model, pa.string()), len(entries)),
        }
    )


def canonical(label: Label) -> str:
    """Return the text by which labels of one moment are put in an order: the same on every machine."""
    return json.dumps(label, ensure_ascii=False)


def _moments(seconds: Sequence[float]) -> Any:
    """Return seconds since 1970 as moments.

    Raises:
        ValueError: One is beyond the years of a date.
    """
    micros = np.rint(np.array(seconds, dtype=np.float64) * 1e6)
    if not (np.abs(micros) < 2.5e17).all():
        raise ValueError("no moment of a date")
    return pa.array(micros.astype(np.int64), pa.int64()).cast(MOMENT)


def answer_column(values: Sequence[Any], classes: Sequence[Label]) -> Any:
    """Return answers as classes of their type, or as numbers.

    Args:
        values: Numbers of the classes, or values.
        classes: The classes; empty for a regression.

    Raises:
        ValueError: There is no such class, or the classes are of several types.
        IndexError: As well.
    """
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


def _probabilities(records: Sequence[Record], counts: Sequence[int], classes: Sequence[Label]) -> dict[str, Any]:
    """Return one column a class; null where a record has none.

    Raises:
        ValueError: A record has another number of them than the schema.
    """
    chances: list[Any] = [record.probabilities for record in records]
    if None in chances:
        none = [None] * len(classes)
        chances = [[none] * count if chance is None else chance for chance, count in zip(chances, counts, strict=True)]
    if list(map(len, chances)) != counts:
        raise ValueError("another number of probabilities than of rows")
    columns = zip(*chain.from_iterable(chances), strict=True)
    return {
        f"{PROBABILITY}{label}": pa.array(column, pa.float64()) for label, column in zip(classes, columns, strict=True)
    }


def typed_column(values: Sequence[Any], kind: str) -> Any:
    """Return values as an array of their kind.

    Args:
        values: Typed values.
        kind: Kind of the column, as in the contract.

    Raises:
        ValueError: One is of another kind.
        TypeError: As well.
    """
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
    if float in set(map(type, values)) and not all(value.is_integer() for value in values if isinstance(value, float)):
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
