"""A window of the prediction log as a sample: exact counts over all its rows, and the values of a bounded number.

One pass over objects that are read one after the other: memory does not depend on the length of the window, time grows
with rows and columns.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tiltyard.data.contract import Contract
from tiltyard.errors import UsageError
from tiltyard.monitoring.logged import Tally, answers_of, features_of, sample_of, typed, values_of
from tiltyard.monitoring.lottery import Lottery
from tiltyard.monitoring.sample import Sample
from tiltyard.predictions.columns import MOMENT
from tiltyard.predictions.reading import Window, predicted_days, read_predictions
from tiltyard.storage.base import Store

SAMPLED_ROWS = 20_000
"""Rows whose values are kept: tests on 5,000 find every shift of a tenth of a standard deviation."""

CHAMPION = "champion"
"""Slot of the answers that are looked at when no version is named."""

_SLOT = "slot"
_DAY = "datetime64[D]"
_ABOUT = {"id": pa.string(), "time": MOMENT}


@dataclass(frozen=True, eq=False)
class WindowSample:
    """What was asked and answered in a window.

    Attributes:
        window: When.
        sample: Counts over all rows, and values of the sampled ones, columns named as in the log.
        ids: Prediction id of each sampled row, `{request}-{row}`, object, shape (sampled,).
        times: When each sampled row was asked for, in UTC, datetime64[us], shape (sampled,).
    """

    window: Window
    sample: Sample
    ids: NDArray[Any]
    times: NDArray[np.datetime64]

    @property
    def days(self) -> NDArray[np.datetime64]:
        """Day of each sampled row, datetime64[D], shape (sampled,)."""
        return self.times.astype(_DAY)


def read_window(
    store: Store,
    model: str,
    window: Window,
    contract: Contract,
    *,
    versions: Collection[int] | None = None,
    most: int = SAMPLED_ROWS,
    seed: int = 0,
) -> WindowSample:
    """Sample the predictions of a window.

    The same predictions give the same sample, however they are parted into objects and however often they are stored.

    Args:
        store: The object store.
        model: Model.
        window: When the predictions were asked for.
        contract: Contract of the version that is looked at; its features and classes are the columns. A column that
            other versions do not have is missing in their rows.
        versions: Versions whose answers are looked at, in whatever slot; the answers given as champion, by whichever
            version, when left out.
        most: Rows whose values are kept.
        seed: Seed of the draw.

    Returns:
        Counts over all rows; values, ids and times of the same rows, in the same order, which says nothing.

    Raises:
        UsageError: The window has no time zone or ends before it starts, or no row may be kept.
        StorageError: The store cannot be reached.
        DataError: An object is no table of predictions, or a column of another version has another kind.
    """
    if most < 1:
        raise UsageError(f"a sample of {most} rows was asked for", cure="Ask for one row at least.")
    columns = (*features_of(contract), *answers_of(contract))
    tally, lottery = Tally(columns), Lottery(most, seed)
    for batch in _rows(store, model, window, versions, [column.name for column in columns]):
        rows = typed(batch, columns)
        tally.add(rows)
        for name in _ABOUT:
            rows = rows.append_column(name, batch.column(name))
        lottery.add(rows, batch.column("id"))
    drawn = lottery.drawn()
    about = [pa.nulls(0, kind) if drawn is None else drawn.column(name) for name, kind in _ABOUT.items()]
    ids, times = (values_of(column) for column in about)
    return WindowSample(window.checked(), sample_of(tally, drawn), ids, times)


def window_of_last(
    store: Store, model: str, rows: int, *, until: datetime, versions: Collection[int] | None = None
) -> Window:
    """Return the shortest window that has a number of rows, the last before a moment.

    Rows that were asked for at one moment, as those of one request, are all in it or none. It ends with its last row,
    whatever the moment: the same rows looked at twice are one window, and no sign that something lasts.

    Args:
        store: The object store.
        model: Model.
        rows: Rows that the window has at least; when there are fewer, it begins with the first of them.
        until: The moment, with a time zone; where there are no rows, the window is empty and ends then.
        versions: As in `read_sample`.

    Raises:
        UsageError: The end has no time zone, or no rows were asked for.
        StorageError: The store cannot be reached.
        DataError: An object is no table of predictions.
    """
    if rows < 1:
        raise UsageError(f"a window of {rows} rows was asked for", cure="Ask for one row at least.")
    end = Window(until, until).checked().end
    found, first, last = 0, end, end
    for day in reversed(predicted_days(store, model, versions=versions)):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if start >= end:
            continue
        times = _times(store, model, Window(start, min(end, start + timedelta(days=1))), versions)
        if len(times) == 0:
            continue
        wanted = min(rows - found, len(times))
        first = _moment(np.partition(times, len(times) - wanted)[len(times) - wanted])
        last = last if found else _moment(times.max()) + timedelta(microseconds=1)
        found += len(times)
        if found >= rows:
            break
    return Window(first, last)


def _rows(
    store: Store, model: str, window: Window, versions: Collection[int] | None, columns: Collection[str]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are looked at."""
    if versions is not None:
        yield from read_predictions(store, model, window, versions=versions, columns=columns)
        return
    for batch in read_predictions(store, model, window, columns=[*columns, _SLOT]):
        ours = pc.equal(batch.column(_SLOT), CHAMPION)
        rows = batch if pc.all(ours).as_py() else batch.filter(ours)
        if rows.num_rows:
            yield rows


def _times(store: Store, model: str, window: Window, versions: Collection[int] | None) -> NDArray[np.int64]:
    """Return when the rows of a window were asked for, in microseconds since 1970."""
    found = [batch.column("time").cast(pa.int64()).to_numpy() for batch in _rows(store, model, window, versions, ())]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _moment(micros: np.int64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(micros))
