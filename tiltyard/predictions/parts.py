"""What a segment holds, by the objects of the store that it goes to; damaged lines told apart."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tiltyard.predictions.columns import KIND_TYPES, feedback_table, prediction_table
from tiltyard.predictions.record import FORMAT, Feedback, Record, Schema, read_line

PREDICTIONS = "predictions"
FEEDBACK = "feedback"

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
