"""Lines of the prediction log: what they hold, and how they are written and read.

    {"schema": 1, "model": "churn", "version": 3, "features": [["age", "number"], …], "classes": ["no", "yes"]}
    {"id": "9f…0", "time": 1.79e9, "model": "churn", "version": 3, "slot": "champion", "rows": [[41.0, …]],
     "answers": [1], "seconds": 0.0002, "probabilities": [[0.2, 0.8]]}
    {"feedback": [{"id": "9f…0-0", "label": "yes", "time": 1.79e9}], "model": "churn", "kind": "category",
     "received": 1.79e9}

A segment names features and classes of a version once, before the first record that needs them, so that it can be read
without the bundle. Every line is one JSON object that ends with a line feed. Values are typed, and protected where the
project says so, before they get here. Light enough for a worker.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

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


Line = Schema | Record | Feedback

_encoder = msgspec.json.Encoder()
_decoders: dict[bytes, msgspec.json.Decoder[Any]] = {
    b'{"schema"': msgspec.json.Decoder(Schema),
    b'{"feedback"': msgspec.json.Decoder(Feedback),
    b'{"id"': msgspec.json.Decoder(Record),
}


def schema_of(model: str, version: int, contract: Contract) -> Schema:
    """Return what the records of a version hold."""
    features = tuple((column.name, column.kind.value) for column in contract.features)
    return Schema(FORMAT, model, version, features, contract.classes)


def schema_line(model: str, version: int, contract: Contract) -> bytes:
    """Return the line that precedes the first record of a version in every segment."""
    return _line(schema_of(model, version, contract))


def record_line(record: Record) -> bytes:
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
    assert isinstance(found, Schema | Record | Feedback)
    return found


def _line(content: Line) -> bytes:
    return _encoder.encode(content) + b"\n"
