"""From lines to typed columns: a segment's records and labels as Arrow tables, by model, day and version."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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

_WRONG = (ValueError, TypeError, OverflowError, IndexError, KeyError)
"""What values raise that are not what they are said to be; Arrow's own errors are among them."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass
class Part:
    """What one segment has for one object of the store.

    Attributes:
        room: `predictions` or `feedback`.
        model: Model.
        day: Day of the rows, as `2026-11-21`.
        name: `v3` for the version of predictions, the kind of the labels for feedback.
        build: Makes a table of contents.
        contents: Records or feedback.
        lines: The lines they were read from.
    """

    room: str
    model: str
    day: str
    name: str
    build: Callable[[Sequence[Any]], pa.Table]
    contents: list[Any] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def key(self, segment: str) -> str:
        """Return where the store keeps it: the same however often it is made."""
        return object_key(self.room, self.model, self.day, f"{self.name}-{segment}")

    def table(self) -> tuple[pa.Table | None, list[bytes]]:
        """Return the rows as a table, None when there are none, and the lines whose values are not what they should be.

        What is wrong is looked for by halves, once something is.
        """
        try:
            return self.build(self.contents), []
        except _WRONG:
            good, bad = _sorted_out(self.build, range(len(self.contents)), self.contents)
            table = self.build([self.contents[number] for number in good]) if good else None
            return table, [self.lines[number] for number in bad]


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

    A line that is no line of ours, and a record whose schema is not in the segment before it, is damaged: nothing of
    it is used. Of two records with one id the first counts.

    Args:
        lines: Lines of a sealed segment.
    """
    reading = _Reading()
    for line in lines:
        content = line.lstrip(b"\0")
        if not reading.take(content) and content.strip():
            reading.damaged.append(content)
    return Contents([reading.parts[key] for key in sorted(reading.parts)], reading.damaged)


def object_key(room: str, model: str, day: str, name: str) -> str:
    """Return the key of an object.

    Args:
        room: `predictions` or `feedback`.
        model: Model.
        day: UTC day, as `2026-11-21`.
        name: Name, without an ending.
    """
    return f"{room}/{model}/date={day}/{name}.parquet"


def day_of(seconds: float) -> str:
    """Return the UTC day of a moment.

    Example:
        >>> day_of(86_400.0)
        '1970-01-02'
    """
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


class _Reading:
    """Takes lines one by one."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str, str, str], Part] = {}
        self.damaged: list[bytes] = []
        self._schemas: dict[tuple[str, int], Schema] = {}
        self._seen: set[str] = set()
        self._days: dict[int, str] = {}

    def take(self, line: bytes) -> bool:
        """Whether a line could be used."""
        found = read_line(line)
        try:
            if isinstance(found, Record):
                return self._take_record(found, line)
            if isinstance(found, Schema):
                return self._take_schema(found)
            return found is not None and self._take_feedback(found, line)
        except _WRONG:
            return False

    def _take_schema(self, schema: Schema) -> bool:
        self._schemas[schema.model, schema.version] = schema
        return schema.schema == FORMAT and bool(_NAME.fullmatch(schema.model))

    def _take_record(self, record: Record, line: bytes) -> bool:
        schema = self._schemas[record.model, record.version]
        if record.id not in self._seen:
            self._seen.add(record.id)
            key = (PREDICTIONS, record.model, self._day(record.time), f"v{record.version}")
            self._add(key, record, line, lambda records: prediction_table(records, schema))
        return True

    def _take_feedback(self, feedback: Feedback, line: bytes) -> bool:
        key = (FEEDBACK, feedback.model, self._day(feedback.received), feedback.kind)
        if feedback.kind in KIND_TYPES and _NAME.fullmatch(feedback.model):
            self._add(key, feedback, line, feedback_table)
            return True
        return False

    def _day(self, seconds: float) -> str:
        number = int(seconds // 86_400)
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = day_of(seconds)
        return day

    def _add(
        self, key: tuple[str, str, str, str], content: Any, line: bytes, build: Callable[[Sequence[Any]], pa.Table]
    ) -> None:
        part = self.parts.get(key)
        if part is None:
            part = self.parts[key] = Part(*key, build=build)
        part.contents.append(content)
        part.lines.append(line)


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


def _sorted_out(
    build: Callable[[Sequence[Any]], pa.Table], numbers: Sequence[int], contents: Sequence[Any]
) -> tuple[list[int], list[int]]:
    """Return which contents can be built, and which cannot."""
    try:
        build([contents[number] for number in numbers])
    except _WRONG:
        if len(numbers) == 1:
            return [], list(numbers)
        half = len(numbers) // 2
        halves = [_sorted_out(build, some, contents) for some in (numbers[:half], numbers[half:])]
        return halves[0][0] + halves[1][0], halves[0][1] + halves[1][1]
    return list(numbers), []


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
