"""Predictions with the labels that have come, collected batch by batch in bounded memory and in no order at all.

Rows are kept by a hash of their prediction id and sorted by it, and of a prediction that comes twice the newest label
is in force; so whatever was read first, in which parts and how often, the rows collected are the same, bit by bit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.data.contract import Level
from tiltyard.errors import DataError
from tiltyard.monitoring.lottery import text_hashes
from tiltyard.predictions.columns import PROBABILITY, canonical

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_ROWS = 1_000_000
_MOST_CELLS = 8_000_000
_NEVER = np.iinfo(np.int64).min
COLUMNS = ("version", "key", "prediction")
"""Columns of the log needed beside the probabilities: see `columns_for`."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Predictions, sorted by the hash of their id.

    Attributes:
        ids: Hash of the prediction's id, uint64, shape (n,).
        versions: Version that answered, shape (n,).
        times: When it was asked, microseconds since 1970 in UTC, shape (n,).
        keys: Hash of the sticky key, that of the id where there was none, uint64, shape (n,).
        label_times: When the label was known, as `times`, shape (n,); the least integer before.
        y: Class code or value, NaN before, shape (n,).
        answers: Probabilities in the order of the classes, shape (n, k), or the value, shape (n, 1).
    """

    ids: NDArray[np.uint64]
    versions: Integers
    times: Integers
    keys: NDArray[np.uint64]
    label_times: Integers
    y: Floats
    answers: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[Any]) -> "Rows":
        """Return some of the rows, by position or mask."""
        return Rows(*(getattr(self, one.name)[rows] for one in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence["Rows"]) -> "Rows":
        """Return all rows of the parts, which are at least one."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    def newest(self) -> Integers:
        """Return the place of each prediction once, sorted by its id, with its newest label."""
        order = np.argsort(self.ids)
        last = _last(self.ids[order])
        if last.all():
            return order
        order = np.lexsort((self.y, self.label_times, np.isfinite(self.y), self.ids))
        return order[last]


def _last(ids: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which of some sorted ids are the last of their like."""
    return np.append(ids[1:] != ids[:-1], np.ones(min(len(ids), 1), np.bool_))


class Labelled(NamedTuple):
    """What was collected.

    Attributes:
        known: Predictions whose label has come.
        unknown: Predictions whose label has not.
        known_rows: How many predictions the first stand for; more than they are when rows were drawn.
        unknown_rows: How many the second stand for.
        unusable: Rows left out: the label is none of the classes, or an answer is missing.
        classification: Whether `y` is a class code.
    """

    known: Rows
    unknown: Rows
    known_rows: int
    unknown_rows: int
    unusable: int
    classification: bool

    @property
    def rows(self) -> int:
        """Predictions altogether."""
        return self.known_rows + self.unknown_rows

    @property
    def predictions(self) -> Predictions:
        """What the model answered where the label is known."""
        return Predictions(self.known.answers) if self.classification else Predictions(values=self.known.answers[:, 0])

    @property
    def y(self) -> Integers | Floats:
        """What was true, where it is known: class codes (int64) or values (float64)."""
        return self.known.y.astype(np.int64) if self.classification else self.known.y

    @property
    def versions(self) -> tuple[int, ...]:
        """Versions that answered."""
        return tuple(int(version) for version in np.union1d(self.known.versions, self.unknown.versions))

    def part(
        self, *, version: int | None = None, start: datetime | None = None, end: datetime | None = None
    ) -> "Labelled":
        """Return the predictions of one version, from `start` on and before `end`; all where left out.

        Where rows were drawn, the numbers they stand for are estimated from their share.
        """
        parts = []
        for rows, stands in ((self.known, self.known_rows), (self.unknown, self.unknown_rows)):
            kept = np.ones(len(rows), np.bool_)
            if version is not None:
                kept &= rows.versions == version
            if start is not None:
                kept &= rows.times >= _micros(start)
            if end is not None:
                kept &= rows.times < _micros(end)
            parts.append((rows.take(kept), round(stands * int(kept.sum()) / max(len(rows), 1))))
        (known, known_rows), (unknown, unknown_rows) = parts
        return self._replace(known=known, unknown=unknown, known_rows=known_rows, unknown_rows=unknown_rows)


def _micros(moment: datetime) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", tz="UTC")).value)


def columns_for(classes: Sequence[Level]) -> tuple[str, ...]:
    """Return the columns to read from the prediction log.

    Args:
        classes: Classes of the contract; empty for regression.

    Example:
        >>> columns_for(["no", "yes"])
        ('version', 'key', 'prediction', 'probability_no', 'probability_yes')
    """
    return (*COLUMNS, *(f"{PROBABILITY}{label}" for label in classes))


def collect(batches: Iterable[pa.RecordBatch], classes: Sequence[Level], *, most_rows: int = MOST_ROWS) -> Labelled:
    """Collect predictions and what is known to have been true.

    Memory is bounded: of more than `most_rows` rows with labels, and as many without, those are kept whose ids have
    the smallest hashes; a uniform sample, the same whatever the order (a bottom-k sketch, Cohen & Kaplan 2007). For
    many classes fewer rows are kept.

    Args:
        batches: Of `tiltyard.predictions.reading.read_labelled`, with at least the columns of `columns_for`.
        classes: Classes of the contract as typed values, in its order; empty for regression.
        most_rows: Rows kept of each sort.

    Raises:
        DataError: A batch lacks a column: it is of a version with other classes.
    """
    most = max(1, min(most_rows, _MOST_CELLS // max(len(classes), 1)))
    waiting: list[Rows] = []
    known_rows = unknown_rows = unusable = held = 0
    drawn = False
    for batch in batches:
        rows, bad = _rows(batch, classes)
        here = int(np.isfinite(rows.y).sum())
        known_rows, unknown_rows, unusable = known_rows + here, unknown_rows + len(rows) - here, unusable + bad
        waiting.append(rows)
        held += len(rows)
        if held >= 4 * most:
            known, unknown, cut = _cut(Rows.joined(waiting), most)
            waiting, held, drawn = [known, unknown], len(known) + len(unknown), drawn or cut
    known, unknown, cut = _cut(Rows.joined(waiting) if waiting else _empty(max(len(classes), 1)), most)
    if not (drawn or cut):
        known_rows, unknown_rows = len(known), len(unknown)
    return Labelled(known, unknown, known_rows, unknown_rows, unusable, bool(classes))


def _cut(rows: Rows, most: int) -> tuple[Rows, Rows, bool]:
    """Return the rows kept with and without a label, and whether some were given up."""
    places = rows.newest()
    here = np.isfinite(rows.y[places])
    known, unknown = places[here], places[~here]
    return rows.take(known[:most]), rows.take(unknown[:most]), max(len(known), len(unknown)) > most


def _empty(width: int) -> Rows:
    ids, whole = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    return Rows(ids, whole, whole, ids, whole, np.zeros(0), np.zeros((0, width)))


def _rows(batch: pa.RecordBatch, classes: Sequence[Level]) -> tuple[Rows, int]:
    """Return a batch's rows, and how many were unusable."""
    names = [f"{PROBABILITY}{label}" for label in classes] or ["prediction"]
    lacking = [name for name in (*names, "version", "label") if name not in batch.schema.names]
    if lacking:
        raise DataError(
            f"predictions have no column `{lacking[0]}`", cure="Collect versions of other classes for themselves."
        )
    ids = text_hashes(batch.column("id"))
    answers = np.column_stack([_numbers(batch.column(name)) for name in names])
    y, foreign = _truth(batch.column("label"), classes)
    rows = Rows(
        ids,
        batch.column("version").to_numpy(zero_copy_only=False).astype(np.int64),
        _moments(batch.column("time")),
        _keys(batch, ids),
        _moments(batch.column("label_time")),
        y,
        answers,
    )
    usable = np.isfinite(answers).all(axis=1) & ~foreign
    rows = replace(rows, label_times=np.where(np.isfinite(y), rows.label_times, _NEVER))
    return rows.take(usable), int((~usable).sum())


def _numbers(column: Any) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _moments(column: Any) -> Integers:
    whole = pc.fill_null(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), _NEVER)
    return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.int64)


def _keys(batch: pa.RecordBatch, ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return hashes of the sticky keys, that of the id where there is none."""
    if "key" not in batch.schema.names:
        return ids
    column = batch.column("key")
    missing = np.asarray(column.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    if missing.all():
        return ids
    return np.where(missing, ids, text_hashes(pc.fill_null(column, "").cast(pa.string())))


def _truth(column: Any, classes: Sequence[Level]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return class codes or values, NaN before, and which labels are none."""
    packed = column.dictionary_encode()
    read = _code_of(classes) if classes else _value_of
    found = np.array([*(read(label) for label in packed.dictionary.to_pylist()), np.nan])
    places = np.asarray(pc.fill_null(packed.indices, len(found) - 1).to_numpy(zero_copy_only=False), dtype=np.int64)
    y = found[places]
    return y, np.isnan(y) & np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _code_of(classes: Sequence[Level]) -> Any:
    """Return a function from a label to its class code; a label may be text where labels are of several types."""
    codes: dict[Any, float] = {label: float(code) for code, label in enumerate(classes)}
    texts = {canonical(label): codes[label] for label in classes}
    texts |= {canonical(float(label)): codes[label] for label in classes if type(label) is int}
    return lambda label: codes.get(label, texts.get(label, np.nan) if isinstance(label, str) else np.nan)


def _value_of(label: Any) -> float:
    try:
        value = float(label)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")
