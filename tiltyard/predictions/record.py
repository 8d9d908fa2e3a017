"""Lines of the prediction log: what they hold, and how they are written and read.

    {"schema": 1, "model": "churn", "version": 3, "features": [["age", "number"], …], "classes": ["no", "yes"]}
    {"id": "9f…0", "time": 1.79e9, "model": "churn", "version": 3, "slot": "champion", "rows": [[41.0, …]],
     "answers": [1], "seconds": 0.0002, "probabilities": [[0.2, 0.8]]}
    {"batch": "9f…1", "time": 1.79e9, "model": "churn", "version": 3, "slot": "champion",
     "columns": ["AAAAAACARUAAAAAAAAD4fw==", …], "answers": [1, 0], "seconds": 0.0002, "probabilities": "mpmZmZmZyT+a…"}
    {"feedback": [{"id": "9f…0-0", "label": "yes", "time": 1.79e9}], "model": "churn", "kind": "category",
     "received": 1.79e9}

A request of several rows is written by columns, its numbers as base64 of little-endian doubles (RFC 4648, IEEE 754),
NaN for those that are missing: to write and to read a thousand decimals would take longer than all else. A segment
names features and classes of a version once, before the first record that needs them, so that it can be read without
the bundle. Every line is one JSON object that ends with a line feed. Values are typed, and protected where the
project says so, before they get here. Light enough for a worker.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Contract, Level

FORMAT = 1
"""Version of this format, in every schema line."""

Label = bool | int | float | str


class Schema(msgspec.Struct, frozen=True):
    """What the values of a version's records are.

    Attributes:
        schema: Version of the format.
        model: Model.
        version: Version in the registry.
        features: Name and kind of each value of a row, in order.
        classes: Classes that answers count into; empty for a regression.
    """

    schema: int
    model: str
    version: int
    features: tuple[tuple[str, str], ...]
    classes: tuple[Level, ...] = ()


class Record(msgspec.Struct, omit_defaults=True):
    """One answered request.

    Attributes:
        id: Of the prediction; that of row i is `{id}-{i}`.
        time: When it was asked, UTC, seconds since 1970.
        model: Model.
        version: Version that answered.
        slot: `champion`, or the slot that it stood in.
        rows: Typed values, one list a row, in the order of the schema's features; a time as ISO 8601 in UTC.
        answers: One a row: the number of the class, or the value of a regression.
        seconds: How long the answer took.
        key: Sticky key by which the version was chosen, protected.
        probabilities: One list a row, in the order of the classes.
    """

    id: str
    time: float
    model: str
    version: int
    slot: str
    rows: Sequence[Sequence[Any]]
    answers: Sequence[int | float]
    seconds: float
    key: str | None = None
    probabilities: Sequence[Sequence[float]] | None = None


class Batch(msgspec.Struct, omit_defaults=True, gc=False, rename={"id": "batch"}):
    """One answered request of several rows, by columns; what is not said here is as in `Record`.

    Attributes:
        id: Of the prediction; `batch` in the line.
        time: When it was asked.
        model: Model.
        version: Version that answered.
        slot: `champion`, or the slot that it stood in.
        columns: One a feature: numbers as the bytes of doubles, NaN for None; the others, or all, as typed values.
        answers: One a row: the number of the class; the bytes of doubles for a regression.
        seconds: How long the answer took.
        key: Sticky key, protected.
        probabilities: The bytes of doubles, row after row.
    """

    id: str
    time: float
    model: str
    version: int
    slot: str
    columns: Sequence[bytes | Sequence[Any]]
    answers: bytes | Sequence[int | float]
    seconds: float
    key: str | None = None
    probabilities: bytes | None = None

    def record(self) -> Record:
        """Return the same by rows.

        Raises:
            ValueError: Columns, answers and probabilities have several lengths.
        """
        answers, chances = listed(self.answers), None
        rows = list(zip(*map(listed, self.columns), strict=True))
        if self.probabilities is not None:
            chances = doubles(self.probabilities).reshape(len(answers), -1).tolist()
        if len(rows) != len(answers):
            raise ValueError("another number of answers than of rows")
        about = self.id, self.time, self.model, self.version, self.slot
        return Record(*about, rows, answers, self.seconds, self.key, chances)


class Entry(msgspec.Struct, frozen=True):
    """One label that arrived.

    Attributes:
        id: Of the prediction of a row, `{id}-{row}`; that of a request stands for its row 0.
        label: What was true.
        time: When it was known, UTC, seconds since 1970; the latest counts.
    """

    id: str
    label: Label
    time: float


class Feedback(msgspec.Struct, frozen=True):
    """Labels that arrived together.

    Attributes:
        feedback: The labels.
        model: Model.
        kind: Kind of the target, which the labels are of.
        received: When they arrived, UTC, seconds since 1970.
    """

    feedback: tuple[Entry, ...]
    model: str
    kind: str
    received: float


Line = Schema | Record | Batch | Feedback

_encoder = msgspec.json.Encoder()
STARTS: dict[type, bytes] = {
    Schema: b'{"schema"',
    Feedback: b'{"feedback"',
    Record: b'{"id"',
    Batch: b'{"batch"',
}
"""How the lines of each kind begin."""

_decoders: dict[bytes, msgspec.json.Decoder[Any]] = {
    start: msgspec.json.Decoder(kind) for kind, start in STARTS.items()
}


def schema_of(model: str, version: int, contract: Contract) -> Schema:
    """Return what the records of a version hold."""
    features = tuple((column.name, column.kind.value) for column in contract.features)
    return Schema(FORMAT, model, version, features, contract.classes)


def schema_line(model: str, version: int, contract: Contract) -> bytes:
    """Return the line that precedes the first record of a version in every segment."""
    return _line(schema_of(model, version, contract))


def batch_line(record: Record, columns: Sequence[bytes | Sequence[Any]]) -> bytes:
    """Return an answered request of several rows as a line.

    Args:
        record: The request; its rows are not looked at.
        columns: One a feature: the bytes of doubles for numbers, NaN for None; typed values for the others.
    """
    answers, chances = record.answers, record.probabilities
    given: bytes | Sequence[int | float] = answers
    if chances is None:
        given = np.array(answers, "<f8").tobytes()
    else:
        flat = np.fromiter(chain.from_iterable(chances), "<f8", len(chances) * len(chances[0]))
    about = record.id, record.time, record.model, record.version, record.slot
    return _line(Batch(*about, columns, given, record.seconds, record.key, None if chances is None else flat.tobytes()))


def record_line(record: Record | Batch) -> bytes:
    r"""Return an answered request as a line.

    Example:
        >>> record_line(Record("9f0", 2.5, "churn", 3, "champion", [[41.0, None]], [1], 0.25))[:40]
        b'{"id":"9f0","time":2.5,"model":"churn","'
    """
    return _line(record)


def feedback_line(model: str, entries: Sequence[Entry], contract: Contract, received: float) -> bytes:
    """Return labels that arrived together as a line.

    Args:
        model: Model.
        entries: The labels, typed.
        contract: Says of what kind its target is.
        received: When they arrived, UTC, seconds since 1970.
    """
    return _line(Feedback(tuple(entries), model, contract.target.kind.value, received))


def read_answered(text: bytes, kind: type[Record] | type[Batch]) -> list[Any]:
    """Return what whole lines of one kind hold, in one step.

    Args:
        text: The lines, each with its line feed.
        kind: What they hold.

    Raises:
        ValueError: One of them is damaged.
    """
    try:
        found = _decoders[STARTS[kind]].decode_lines(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if len(found) != text.count(b"\n"):
        raise ValueError("lines that are none")
    return found


def read_line(line: bytes) -> Line | None:
    """Return what a line holds; None when it is damaged.

    Zeros before it are what a loss of power leaves where a write never reached the disk.

    Example:
        >>> read_line(b"no line of ours") is None
        True
    """
    line = line.lstrip(b"\0")
    decoder = _decoders.get(line[: line.find(b":")])
    if decoder is None:
        return None
    try:
        found = decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    assert isinstance(found, Line)
    return found


def read_record(line: bytes) -> Record | None:
    """Return what a line says of an answered request, by rows; None when it says nothing of one, or is damaged."""
    found = read_line(line)
    try:
        found = found.record() if isinstance(found, Batch) else found
    except ValueError:
        return None
    return found if isinstance(found, Record) else None


def doubles(content: bytes) -> NDArray[np.float64]:
    """Return numbers of a batch.

    Args:
        content: Their bytes.

    Raises:
        ValueError: They are no whole number of doubles.
    """
    return np.frombuffer(content, "<f8")


def listed(column: bytes | Sequence[Any]) -> Sequence[Any]:
    """Return a column of a batch as typed values.

    Args:
        column: The same, or the bytes of doubles.

    Raises:
        ValueError: They are no whole number of doubles.
    """
    if not isinstance(column, bytes):
        return column
    return [None if value != value else value for value in doubles(column).tolist()]  # noqa: PLR0124  # NaN


def _line(content: Line) -> bytes:
    return _encoder.encode(content) + b"\n"
