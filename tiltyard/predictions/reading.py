"""Reading predictions back: a window of time, version by version or all, batch by batch, each prediction once."""

import re
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiltyard.errors import DataError, UsageError
from tiltyard.predictions.labels import Labels
from tiltyard.predictions.parts import FEEDBACK, PREDICTIONS
from tiltyard.storage.base import Store

BATCH_ROWS = 50_000

_IS_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOST_LISTED_DAYS = 92
"""Longer windows are listed as a whole: one question instead of one a day."""


class Window(NamedTuple):
    """A stretch of time.

    Attributes:
        start: Its first moment, with a time zone.
        end: The moment after its last.
    """

    start: datetime
    end: datetime

    def checked(self) -> "Window":
        """Return the window in UTC.

        Raises:
            UsageError: It has no time zone, or ends before it starts.
        """
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise UsageError("the window has no time zone", cure="Give times like 2026-11-21T00:00+00:00.")
        if self.end < self.start:
            raise UsageError(f"the window ends ({self.end}) before it starts ({self.start})", cure="Turn it round.")
        return Window(self.start.astimezone(UTC), self.end.astimezone(UTC))


def read_predictions(
    store: Store,
    model: str,
    window: Window,
    *,
    versions: Collection[int] | None = None,
    columns: Collection[str] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Read the predictions of a window.

    Objects are read one after the other, so that a window may be larger than memory; an object has a few megabytes,
    and for each day the ids of its requests are kept. All batches of a version have the same columns: `id`, `request`,
    `row`, `time`, `model`, `version`, `slot`, `key`, `seconds`, `prediction`, `probability_<class>`, `feature_<name>`.

    Args:
        store: The object store.
        model: Model.
        window: When the predictions were asked for.
        versions: Versions that answered; all when left out.
        columns: Columns wanted, beside `id`, `request`, `row` and `time`; all when left out. One that a version has
            not is left out of its batches.
        batch_rows: Most rows of a batch.

    Raises:
        UsageError: The window has no time zone or ends before it starts.
        StorageError: The store cannot be reached.
        DataError: An object is no table of predictions.
    """
    window = window.checked()
    day, seen = "", set[str]()
    for key in _keys(store, PREDICTIONS, model, window, versions):
        if _day(key) != day:
            day, seen = _day(key), set()
        new: set[str] = set()
        for batch in _batches(store, key, columns, batch_rows):
            inside = _inside(batch, window)
            requests = pc.unique(inside.column("request")).to_pylist()
            kept = _without(inside, seen.intersection(requests))
            new.update(requests)
            if kept.num_rows:
                yield kept
        seen |= new


def count_predictions(store: Store, model: str, window: Window, *, versions: Collection[int] | None = None) -> int:
    """Return how many rows were predicted in a window; see `read_predictions`."""
    batches = read_predictions(store, model, window, versions=versions, columns=())
    return sum(int(batch.num_rows) for batch in batches)


def predicted_days(store: Store, model: str, *, versions: Collection[int] | None = None) -> tuple[date, ...]:
    """Return the days of which there are predictions, in order.

    Args:
        store: The object store.
        model: Model.
        versions: Versions that answered; all when left out.

    Raises:
        StorageError: The store cannot be reached.
    """
    always = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    names = {_day(key) for key in _keys(store, PREDICTIONS, model, always, versions)}
    return tuple(date.fromisoformat(name) for name in sorted(names) if _IS_DAY.fullmatch(name))


def read_labels(store: Store, model: str, since: datetime) -> Labels:
    """Merge the labels that arrived since a moment.

    The result does not depend on the order of arrival, nor on how labels were parted, nor on how often they came.

    Args:
        store: The object store.
        model: Model.
        since: Labels of predictions of that moment and later cannot have arrived before.

    Raises:
        UsageError: The moment has no time zone.
        StorageError: The store cannot be reached.
        DataError: An object is no table of labels.
    """
    labels = Labels()
    for key in _keys(store, FEEDBACK, model, Window(since, datetime.max.replace(tzinfo=UTC)).checked(), None):
        for batch in _batches(store, key, None, BATCH_ROWS):
            labels.add(batch)
    return labels


def read_labelled(
    store: Store,
    model: str,
    window: Window,
    *,
    versions: Collection[int] | None = None,
    columns: Collection[str] | None = None,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[pa.RecordBatch]:
    """Read the predictions of a window with what is known to have been true: `label` and `label_time`, null before.

    Args and Raises as `read_predictions`; `label` has the type of the labels, text when they are of several.
    """
    labels = read_labels(store, model, window.start)
    for batch in read_predictions(store, model, window, versions=versions, columns=columns, batch_rows=batch_rows):
        yield labels.beside(batch)


def _keys(store: Store, room: str, model: str, window: Window, versions: Collection[int] | None) -> Iterator[str]:
    """Yield the objects that may have rows of a window, day by day."""
    last = (window.end - timedelta(microseconds=1)).date() if window.end > window.start else window.start.date()
    first = window.start.date()
    days = (last - first).days + 1
    if days <= _MOST_LISTED_DAYS:
        prefixes = [f"{room}/{model}/date={first + timedelta(days=number)}" for number in range(days)]
    else:
        prefixes = [f"{room}/{model}"]
    wanted = None if versions is None else {f"v{version}" for version in versions}
    for prefix in prefixes:
        for key in store.list(prefix):
            name = PurePosixPath(key).name.partition("-")[0]
            if str(first) <= _day(key) <= str(last) and (wanted is None or name in wanted):
                yield key


def _day(key: str) -> str:
    """Return the day that an object's folder names."""
    return PurePosixPath(key).parent.name.removeprefix("date=")


def _batches(store: Store, key: str, columns: Collection[str] | None, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yield an object's rows."""
    try:
        with pq.ParquetFile(pa.BufferReader(store.read(key))) as file:
            names = file.schema_arrow.names
            wanted = names if columns is None else [name for name in names if name in {*_NEEDED, *columns}]
            yield from file.iter_batches(batch_size=batch_rows, columns=wanted)
    except (pa.ArrowInvalid, OSError) as error:
        cure = "It was not written by the prediction log, or was damaged since: move it out of the folder."
        raise DataError(f"is no table of the prediction log ({_first_line(error)})", where=key, cure=cure) from None


_NEEDED = ("id", "request", "row", "time")


def _inside(batch: pa.RecordBatch, window: Window) -> pa.RecordBatch:
    """Return the rows of a window."""
    kind = batch.schema.field("time").type
    start, end = (pa.scalar(moment, kind) for moment in window)
    times = batch.column("time")
    inside = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
    return batch if pc.all(inside).as_py() else batch.filter(inside)


def _without(batch: pa.RecordBatch, requests: Collection[str]) -> pa.RecordBatch:
    """Return the rows of all other requests."""
    if not requests:
        return batch
    known = pc.is_in(batch.column("request"), value_set=pa.array(list(requests), pa.string()))
    return batch.filter(pc.invert(known))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:120]
