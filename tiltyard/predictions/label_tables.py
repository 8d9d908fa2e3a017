"""A whole table of labels goes to the store, once: the same rows always give the same objects."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from tiltyard.data.contract import Contract
from tiltyard.data.values import plain
from tiltyard.errors import DataError, did_you_mean
from tiltyard.predictions.columns import feedback_table
from tiltyard.predictions.feedback import checked_id, checked_time, typed_label
from tiltyard.predictions.parts import FEEDBACK, day_of, object_key
from tiltyard.predictions.record import Entry, Feedback
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.storage.base import Store


class LabelColumns(NamedTuple):
    """Which columns of a table are what.

    Attributes:
        id: Ids of predictions.
        label: What was true.
        time: When it was known; None when the table does not say.
    """

    id: str = "id"
    label: str = "label"
    time: str | None = None


class LabelsStored(NamedTuple):
    """What became of a table of labels.

    Attributes:
        rows: Rows of the table.
        labels: Rows with a label.
        objects: Objects written.
        known: Objects that were there already.
    """

    rows: int = 0
    labels: int = 0
    objects: int = 0
    known: int = 0


def store_labels(
    store: Store,
    model: str,
    contract: Contract,
    chunks: Iterable[pd.DataFrame],
    columns: LabelColumns,
    *,
    where: str,
    clock: Callable[[], float] = time.time,
) -> LabelsStored:
    """Write a table of labels into the store, one object a chunk.

    An object is named by what it holds, so that a table that is given again, as a whole or longer, is stored once.
    Rows without a label are left out: it is not known yet.

    Args:
        store: The object store.
        model: Model.
        contract: Types the labels by its target.
        chunks: The raw table.
        columns: Which columns are what.
        where: Names the table, for an error.
        clock: UTC, seconds since 1970; the time of labels that say none.

    Raises:
        DataError: A column is missing, or a row's id, label or time is not what it must be; names the row, from 1.
            What was written before stays, and is not written again the next time.
        StorageError: The store cannot be reached.
    """
    there = {PurePosixPath(key).name for key in store.list(f"{FEEDBACK}/{model}")}
    now, outcome = clock(), LabelsStored()
    for chunk in chunks:
        entries = list(_entries(chunk, contract, columns, now, where=where, before=outcome.rows))
        known = False
        if entries:
            labels = Feedback(tuple(entries), model, contract.target.kind.value, now)
            name = f"{labels.kind}-table-{_digest(entries, timed=columns.time is not None)}"
            known = f"{name}.parquet" in there
            if not known:
                content = parquet_bytes(feedback_table([labels]))
                store.write(object_key(FEEDBACK, model, day_of(now), name), content)
        outcome = LabelsStored(
            outcome.rows + len(chunk),
            outcome.labels + len(entries),
            outcome.objects + (bool(entries) and not known),
            outcome.known + known,
        )
    return outcome


def _entries(
    chunk: pd.DataFrame, contract: Contract, columns: LabelColumns, now: float, *, where: str, before: int
) -> Iterator[Entry]:
    """Yield the labels of a chunk."""
    ids, labels = (_column(chunk, name, where) for name in columns[:2])
    times = [None] * len(chunk) if columns.time is None else _column(chunk, columns.time, where)
    for number, (prediction, raw, moment) in enumerate(zip(ids, labels, times, strict=True), start=before + 1):
        row = f"{where}, row {number}"
        label = typed_label(raw, contract, row)
        if label is not None:
            known = None if moment == "" else plain(moment)
            yield Entry(checked_id(plain(prediction), row), label, checked_time(known, now, row))


def _column(chunk: pd.DataFrame, name: str, where: str) -> list[Any]:
    if name not in chunk:
        known = [str(column) for column in chunk.columns]
        raise DataError(f"there is no column `{name}`", where=where, cure=did_you_mean(name, known))
    return list(chunk[name])


def _digest(entries: list[Entry], *, timed: bool) -> str:
    """Return what names these labels; a time that the table does not say is no part of them."""
    content = hashlib.sha256()
    for entry in entries:
        content.update(msgspec.json.encode((entry.id, entry.label, entry.time if timed else None)))
    return content.hexdigest()[:32]
