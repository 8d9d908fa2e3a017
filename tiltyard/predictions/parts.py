"""What a segment holds, by the objects of the store that it goes to; damaged lines told apart."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO

import pyarrow as pa

from tiltyard.predictions.batches import batch_table
from tiltyard.predictions.columns import KIND_TYPES, feedback_table, prediction_table
from tiltyard.predictions.record import FORMAT, STARTS, Batch, Feedback, Record, Schema, read_answered, read_line

PREDICTIONS = "predictions"
FEEDBACK = "feedback"

BLOCK_BYTES = 1 << 19
"""Lines that become a table together: all of a segment's at once would be many objects for Python to keep."""

Answered = type[Record] | type[Batch]
Build = Callable[[Sequence[Any]], pa.Table]

_WRONG = (ValueError, TypeError, OverflowError, IndexError, KeyError)
"""What values raise that are not what they are said to be; Arrow's own errors are among them."""
_TELLING = 5
"""Bytes by which the lines of the kinds are told apart."""

_KINDS: dict[bytes, Answered] = {STARTS[Record][:_TELLING]: Record, STARTS[Batch][:_TELLING]: Batch}
_DAY = 86_400.0
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass
class Block:
    """Contents of one kind that become a table together, and the lines they were read from, one a content."""

    contents: list[Any] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, contents: Sequence[Any], text: bytes) -> None:
        """Add what some lines hold."""
        self.contents += contents
        self.texts.append(text)
        self.size += len(text)

    def table(self, build: Build) -> tuple[pa.Table | None, list[bytes]]:
        """Return the rows as a table, None when there are none, and the lines whose values are not what they should be.

        What is wrong is looked for by halves, once something is.
        """
        try:
            return build(self.contents), []
        except _WRONG:
            good, bad = _sorted_out(build, range(len(self.contents)), self.contents)
            table = build([self.contents[number] for number in good]) if good else None
            lines = _lines(b"".join(self.texts))
            return table, [lines[number] for number in bad]


class Part:
    """What one segment has for one object of the store.

    Args:
        room: `predictions` or `feedback`.
        model: Model.
        day: Day of the rows, as `2026-11-21`.
        name: `v3` for the version of predictions, the kind of the labels for feedback.
        builds: Type of contents → what makes a table of them; all tables have the same columns.
    """

    def __init__(self, room: str, model: str, day: str, name: str, builds: Mapping[type, Build]) -> None:
        self._place = room, model, day
        self._name = name
        self._builds = builds
        self._blocks = {kind: Block() for kind in builds}
        self._tables: list[pa.Table] = []
        self._damaged: list[bytes] = []

    def key(self, segment: str) -> str:
        """Return where the store keeps it: the same however often it is made."""
        return object_key(*self._place, f"{self._name}-{segment}")

    def add(self, contents: Sequence[Any], text: bytes) -> None:
        """Add what some lines hold, all of one kind."""
        kind = type(contents[0])
        block = self._blocks[kind]
        block.add(contents, text)
        if block.size >= BLOCK_BYTES:
            self._build(kind)

    def table(self) -> tuple[pa.Table | None, list[bytes]]:
        """Return all rows as a table, None when there are none, and the lines that could not become any."""
        for kind, block in self._blocks.items():
            if block.contents:
                self._build(kind)
        return pa.concat_tables(self._tables) if self._tables else None, self._damaged

    def _build(self, kind: type) -> None:
        table, damaged = self._blocks[kind].table(self._builds[kind])
        self._blocks[kind] = Block()
        self._damaged += damaged
        if table is not None:
            self._tables.append(table)


@dataclass
class Contents:
    """What a segment holds.

    Attributes:
        parts: Objects of the store.
        damaged: Lines that cannot be read, as they are.
    """

    parts: list[Part]
    damaged: list[bytes]


def read_segment(file: BinaryIO) -> Contents:
    """Read a segment's lines.

    A line that is no line of ours, and a record whose schema is not in the segment before it, is damaged: nothing of
    it is used. Of two records with one id the first counts.

    Args:
        file: A sealed segment.
    """
    reading = _Reading()
    while text := file.read(BLOCK_BYTES):
        reading.take(text if text.endswith(b"\n") else text + file.readline())
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
    """Takes lines: answered requests many at once, what is else, or where one of many is damaged, one by one."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str, str, str], Part] = {}
        self.damaged: list[bytes] = []
        self._schemas: dict[tuple[str, int], Schema] = {}
        self._seen: set[str] = set()

    def take(self, text: bytes) -> None:
        """Take lines that follow each other."""
        kind = _kind_of_all(text)
        if kind is not None:
            self._take_many(kind, text)
            return
        waiting: dict[Answered, list[bytes]] = {Record: [], Batch: []}
        for line in _lines(text):
            content = line.lstrip(b"\0")
            kind = _KINDS.get(content[:_TELLING])
            if kind is not None:
                waiting[kind].append(content)
                continue
            if content.startswith(STARTS[Schema]):
                self._take_waiting(waiting)
            self._take_alone(content)
        self._take_waiting(waiting)

    def _take_waiting(self, waiting: dict[Answered, list[bytes]]) -> None:
        for kind, lines in waiting.items():
            if lines:
                self._take_many(kind, b"".join(lines))
                waiting[kind] = []

    def _take_many(self, kind: Answered, text: bytes) -> None:
        """Take lines of answered requests."""
        try:
            self._add(read_answered(text, kind), text)
        except _WRONG:
            for line in _lines(text):
                self._take_alone(line)

    def _take_alone(self, line: bytes) -> None:
        """Take a line that may be damaged."""
        found = read_line(line)
        try:
            if isinstance(found, Record | Batch):
                self._add([found], line)
            elif isinstance(found, Schema):
                self._add_schema(found)
            elif isinstance(found, Feedback):
                self._add_feedback(found, line)
            elif line.strip():
                self.damaged.append(line)
        except _WRONG:
            self.damaged.append(line)

    def _add_schema(self, schema: Schema) -> None:
        if schema.schema != FORMAT or not _NAME.fullmatch(schema.model):
            raise ValueError("a schema of another format, or of no model")
        self._schemas[schema.model, schema.version] = schema

    def _add(self, answered: Sequence[Record | Batch], text: bytes) -> None:
        """Add answered requests, all or none.

        Raises:
            KeyError: The schema of one is missing.
            ValueError: A time is none, or an id is twice among several.
        """
        ids = [request.id for request in answered]
        fresh = set(ids)
        if len(fresh) < len(ids) or not self._seen.isdisjoint(fresh):
            if len(ids) > 1:
                raise ValueError("an id is there twice")
            return
        places = _places(answered)
        parts = {place: self._part_of(*place) for place in set(places)}
        self._seen |= fresh
        if len(parts) == 1:
            parts[places[0]].add(answered, text)
            return
        for place, request, line in zip(places, answered, _lines(text), strict=True):
            parts[place].add([request], line)

    def _part_of(self, model: str, version: int, day: float) -> Part:
        schema = self._schemas[model, version]
        by_rows: Build = partial(prediction_table, schema=schema)
        by_columns: Build = partial(batch_table, schema=schema)
        key = (PREDICTIONS, model, day_of(day * _DAY), f"v{version}")
        return self._part(key, {Record: by_rows, Batch: by_columns})

    def _add_feedback(self, feedback: Feedback, line: bytes) -> None:
        if feedback.kind not in KIND_TYPES or not _NAME.fullmatch(feedback.model):
            raise ValueError("labels of no kind, or of no model")
        key = (FEEDBACK, feedback.model, day_of(feedback.received), feedback.kind)
        self._part(key, {Feedback: feedback_table}).add([feedback], line)

    def _part(self, key: tuple[str, str, str, str], builds: Mapping[type, Build]) -> Part:
        part = self.parts.get(key)
        if part is None:
            part = self.parts[key] = Part(*key, builds=builds)
        return part


def _kind_of_all(text: bytes) -> Answered | None:
    """Return what all lines of a text hold; None where they hold several things, or what is no answered request."""
    start = text[:_TELLING]
    kind = _KINDS.get(start)
    if kind is None or not text.endswith(b"\n") or text.count(b"\n" + start) != text.count(b"\n") - 1:
        return None
    return kind


def _lines(text: bytes) -> list[bytes]:
    return BytesIO(text).readlines()


def _places(answered: Sequence[Record | Batch]) -> list[tuple[str, int, float]]:
    """Return model, version and day of each request; once, where they are all the same."""
    models = {request.model for request in answered}
    versions = {request.version for request in answered}
    days = {request.time // _DAY for request in answered}
    if len(models) == len(versions) == len(days) == 1:
        return [(models.pop(), versions.pop(), days.pop())]
    return [(request.model, request.version, request.time // _DAY) for request in answered]


def _sorted_out(build: Build, numbers: Sequence[int], contents: Sequence[Any]) -> tuple[list[int], list[int]]:
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
