"""From lines to typed columns: a segment's records and labels as Arrow tables, by model, day and version."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tiltyard.data.contract import Kind
from tiltyard.predictions.record import FORMAT, Feedback, Label, Record, Schema, read_line

PREDICTIONS = "predictions"
FEEDBACK = "feedback"
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

_OWN = (
    ("id", pa.string()),
    ("request", pa.string()),
    ("row", pa.int32()),
    ("time", MOMENT),
    ("model", pa.string()),
    ("version", pa.int64()),
    ("slot", pa.string()),
    ("key", pa.string()),
    ("seconds", pa.float64()),
)


_INT64 = 2**63
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass
class Part:
    """Rows of one segment that make one object of the store.

    Attributes:
        room: `predictions` or `feedback`.
        model: Model.
        day: Day of the rows, as `2026-11-21`.
        name: `v3` for the version of predictions, the kind of the labels for feedback.
        columns: Values by column.
        types: Types of the columns, in their order.
    """

    room: str
    model: str
    day: str
    name: str
    types: dict[str, Any]
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def key(self, segment: str) -> str:
        """Return where the store keeps it: the same however often it is made."""
        return f"{self.room}/{self.model}/date={self.day}/{self.name}-{segment}.parquet"

    def add(self, rows: dict[str, Sequence[Any]]) -> None:
        """Append rows, column by column."""
        for name in self.types:
            self.columns.setdefault(name, []).extend(rows[name])

    def table(self) -> pa.Table:
        """Return the rows as a table."""
        arrays = [pa.array(self.columns[name], kind) for name, kind in self.types.items()]
        return pa.table(arrays, schema=pa.schema(list(self.types.items())))


@dataclass
class Contents:
    """What a segment holds.

    Attributes:
        parts: Objects of the store.
        damaged: Lines that cannot be read, as they are.
    """

    parts: list[Part]
    damaged: list[bytes]


def read_segment(lines: Iterable[bytes]) -> Contents:
    """Read a segment's lines.

    A line that is no line of ours, and a record whose schema is not in the segment or whose values are not what its
    schema says, is damaged: nothing of it is used. Of two records with one id the first counts.

    Args:
        lines: Lines of a sealed segment.
    """
    reading = _Reading()
    for line in lines:
        if not reading.take(line) and line.strip(b"\0\n"):
            reading.damaged.append(line)
    return Contents([reading.parts[key] for key in sorted(reading.parts)], reading.damaged)


def day_of(seconds: float) -> str:
    """Return the UTC day of a moment.

    Example:
        >>> day_of(86_400.0)
        '1970-01-02'
    """
    return f"{_moment(seconds):%Y-%m-%d}"


class _Reading:
    """Takes lines one by one."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, ...], Part] = {}
        self.damaged: list[bytes] = []
        self._schemas: dict[tuple[str, int], Schema] = {}
        self._seen: set[str] = set()

    def take(self, line: bytes) -> bool:
        """Whether a line could be used."""
        found = read_line(line)
        try:
            if isinstance(found, Schema):
                return self._take_schema(found)
            if isinstance(found, Record):
                return self._take_record(found)
            return found is not None and self._take_feedback(found)
        except (ValueError, TypeError, OverflowError, IndexError, KeyError):
            return False

    def _take_schema(self, schema: Schema) -> bool:
        _check_name(schema.model)
        self._schemas[schema.model, schema.version] = schema
        return schema.schema == FORMAT

    def _take_record(self, record: Record) -> bool:
        schema = self._schemas[record.model, record.version]
        rows = list(_typed_rows(record, schema))
        if record.id not in self._seen:
            self._seen.add(record.id)
            name, day = f"v{record.version}", day_of(record.time)
            part = self._part((PREDICTIONS, record.model, day, name), prediction_types(schema))
            part.add(_prediction_columns(record, schema, rows))
        return True

    def _take_feedback(self, feedback: Feedback) -> bool:
        _check_name(feedback.model)
        types = feedback_types(feedback.kind)
        labels = [_typed(entry.label, feedback.kind) for entry in feedback.feedback]
        count, received = len(labels), _moment(feedback.received)
        rows: dict[str, Sequence[Any]] = {
            "id": [entry.id for entry in feedback.feedback],
            "label": labels,
            "time": [_moment(entry.time) for entry in feedback.feedback],
            "received": [received] * count,
            "model": [feedback.model] * count,
        }
        self._part((FEEDBACK, feedback.model, day_of(feedback.received), feedback.kind), types).add(rows)
        return True

    def _part(self, key: tuple[str, str, str, str], types: dict[str, Any]) -> Part:
        part = self.parts.get(key)
        if part is None:
            part = self.parts[key] = Part(*key, types=types)
        return part


def feedback_types(kind: str) -> dict[str, Any]:
    """Return the columns of labels, in their order, with their types.

    Args:
        kind: Kind of the target.

    Raises:
        KeyError: There is no such kind.
    """
    return {"id": pa.string(), "label": KIND_TYPES[kind], "time": MOMENT, "received": MOMENT, "model": pa.string()}


def prediction_types(schema: Schema) -> dict[str, Any]:
    """Return the columns of a version's predictions, in their order, with their types."""
    types = dict(_OWN)
    types["prediction"] = _class_type(schema.classes)
    types |= {f"{PROBABILITY}{label}": pa.float64() for label in schema.classes}
    return types | {f"{FEATURE}{name}": KIND_TYPES[kind] for name, kind in schema.features}


def _class_type(classes: Sequence[Label]) -> Any:
    """Return the type that all classes fit into; a regression's is a number."""
    if not classes:
        return pa.float64()
    types = {type(label) for label in classes}
    if types == {int, float}:
        return pa.float64()
    return {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}.get(types.pop(), pa.string())


def _prediction_columns(record: Record, schema: Schema, rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return one record's rows, column by column."""
    count = len(rows)
    moment = _moment(record.time)
    columns: dict[str, Sequence[Any]] = {
        "id": [f"{record.id}-{number}" for number in range(count)],
        "row": range(count),
        "prediction": _answers(record, schema),
    }
    for name, value in (
        ("request", record.id),
        ("time", moment),
        ("model", record.model),
        ("version", record.version),
        ("slot", record.slot),
        ("key", record.key),
        ("seconds", record.seconds),
    ):
        columns[name] = [value] * count
    chances = record.probabilities or [[None] * len(schema.classes)] * count  # type: ignore[list-item]
    for position, label in enumerate(schema.classes):
        columns[f"{PROBABILITY}{label}"] = [row[position] for row in chances]
    for position, (name, _) in enumerate(schema.features):
        columns[f"{FEATURE}{name}"] = [row[position] for row in rows]
    return columns


def _typed_rows(record: Record, schema: Schema) -> Iterator[list[Any]]:
    """Yield the rows by their kinds.

    Raises:
        ValueError: Something is not what the schema says.
    """
    wide = record.probabilities is None or all(len(row) == len(schema.classes) for row in record.probabilities)
    long = len(record.rows) == len(record.answers) == len(record.probabilities or record.rows)
    if not (wide and long):
        raise ValueError("another shape than the schema's")
    kinds = [kind for _, kind in schema.features]
    for row in record.rows:
        yield [_typed(value, kind) for value, kind in zip(row, kinds, strict=True)]


def _answers(record: Record, schema: Schema) -> list[Any]:
    """Return the answers as their classes, or as numbers."""
    if not schema.classes:
        return [float(value) for value in record.answers]
    plain = _class_type(schema.classes) != pa.string()
    named = [schema.classes[_code(value)] for value in record.answers]
    return named if plain else [str(label) for label in named]


def _code(value: float) -> int:
    if isinstance(value, float) or value < 0:
        raise ValueError("no number of a class")
    return value


def _typed(value: Any, kind: str) -> Any:
    """Return one value as its kind is kept.

    Raises:
        ValueError: It is of another kind.
    """
    if value is None:
        return None
    if kind == Kind.TIME.value:
        return _naive(datetime.fromisoformat(value))
    python, accepted = _PYTHON[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and python is not bool):
        raise ValueError("a value of another kind")
    typed = python(value)
    if typed != value or (python is int and not -_INT64 <= typed < _INT64):
        raise ValueError("a value of another kind")
    return typed


_PYTHON: dict[str, tuple[type[Any], type | tuple[type, ...]]] = {
    Kind.NUMBER.value: (float, (int, float)),
    Kind.INTEGER.value: (int, (int, float)),
    Kind.BOOLEAN.value: (bool, (bool, int, float)),
    Kind.CATEGORY.value: (str, str),
    Kind.TEXT.value: (str, str),
}


def _naive(moment: datetime) -> datetime:
    """Return a moment as the house keeps it: in UTC, without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _check_name(model: str) -> None:
    """Refuse what is no model's name, before it becomes a place in the store."""
    if not _NAME.fullmatch(model):
        raise ValueError("no name of a model")


def _moment(seconds: float) -> datetime:
    """Return a moment.

    Raises:
        ValueError: It is beyond the years of a date.
    """
    return datetime.fromtimestamp(seconds, UTC)


def canonical(label: Label) -> str:
    """Return the text by which labels of one moment are put in an order: the same on every machine."""
    return json.dumps(label, ensure_ascii=False)
