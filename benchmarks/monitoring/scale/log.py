"""A prediction log of any size, as the sidecar ships it: objects of one segment of 8 MiB each, fifty a day.

Features come again in every object, ids do not. Every second prediction has a label, a day late, as likely as said.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.predictions.columns import FEATURE, KIND_TYPES
from tiltyard.predictions.parts import FEEDBACK, PREDICTIONS, object_key
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.project.metrics import Task

MODEL = "churn"
VERSION = 3
START = datetime(2026, 11, 1, tzinfo=UTC)
OBJECT_ROWS = 7_500
OBJECTS_A_DAY = 50
ROWS_A_DAY = OBJECT_ROWS * OBJECTS_A_DAY
EVERY_SECOND = pa.array(range(0, OBJECT_ROWS, 2))
LEVELS = tuple(f"level {number}" for number in range(12))
KINDS = (*[Kind.NUMBER] * 12, *[Kind.CATEGORY] * 5, Kind.INTEGER, Kind.BOOLEAN, Kind.TIME)
"""Kinds of twenty columns, which repeat in another order."""


def contract(columns: int) -> Contract:
    """Return a contract of so many features."""
    features = []
    for number in range(columns):
        kind = kind_of(number)
        levels = LEVELS[:-1] if kind is Kind.CATEGORY else ()
        ends = {"minimum": -4.0, "maximum": 4.0} if kind is Kind.NUMBER else {}
        features.append(Column(name=f"c{number:03d}", kind=kind, nullable=True, levels=levels, **ends))  # type: ignore[arg-type]
    target = Column(name="churned", kind=Kind.CATEGORY, levels=("no", "yes"), role=Role.TARGET)
    return Contract(task=Task.BINARY, columns=(*features, target), classes=("no", "yes"))


def kind_of(number: int) -> Kind:
    """Return the kind of a column; the first few columns are mixed as all are."""
    return KINDS[number * 7 % len(KINDS)]


def write_log(folder: Path, rows: int, columns: int) -> None:
    """Write a whole log as the objects of a store's folder."""
    for key, table in chain(_predictions(rows, columns), _labels(rows)):
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(parquet_bytes(table))


def link_start(whole: Path, folder: Path, rows: int) -> None:
    """Make a folder of the first rows of a log, without a copy."""
    for number in range(rows // OBJECT_ROWS):
        for key in (_prediction_key(number), _label_key(number)):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            os.link(whole / key, folder / key)


def size_of(folder: Path) -> int:
    """Return the bytes of a log's objects."""
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def _day(number: int) -> datetime:
    return START + timedelta(days=number // OBJECTS_A_DAY)


def _prediction_key(number: int) -> str:
    return object_key(PREDICTIONS, MODEL, f"{_day(number):%Y-%m-%d}", f"v{VERSION}-host-{number:06d}")


def _label_key(number: int) -> str:
    return object_key(FEEDBACK, MODEL, f"{_day(number) + timedelta(days=1):%Y-%m-%d}", f"category-host-{number:06d}")


def _values(kind: Kind, number: int, rng: np.random.Generator) -> pa.Array:
    """Return a column of an object, two in a hundred missing."""
    mask = rng.random(OBJECT_ROWS) < 0.02
    if kind is Kind.CATEGORY:
        return pa.array(np.array(LEVELS, dtype=object)[rng.integers(0, len(LEVELS), OBJECT_ROWS)], pa.string(), mask)
    if kind is Kind.NUMBER:
        drawn = rng.normal(size=OBJECT_ROWS)
        return pa.array(drawn if number % 2 else drawn.round(2), pa.float64(), mask)
    if kind is Kind.BOOLEAN:
        return pa.array(rng.random(OBJECT_ROWS) < 0.3, pa.bool_(), mask)
    whole = pa.array(rng.integers(0, 1_000_000, OBJECT_ROWS), pa.int64(), mask)
    return whole if kind is Kind.INTEGER else whole.cast(KIND_TYPES[kind])


def _chances() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return what every object answers: probabilities as the wire has them."""
    return np.random.default_rng(5).random(OBJECT_ROWS).astype(np.float32).astype(np.float64)


def _predictions(rows: int, columns: int) -> Iterator[tuple[str, pa.Table]]:
    rng, chances = np.random.default_rng(7), _chances()
    names = [(column.name, column.kind) for column in contract(columns).features]
    features = {f"{FEATURE}{name}": _values(kind, number, rng) for number, (name, kind) in enumerate(names)}
    answers = {
        "prediction": pa.array(np.where(chances >= 0.5, "yes", "no"), pa.string()),
        "probability_no": pa.array(1 - chances),
        "probability_yes": pa.array(chances),
    }
    for number in range(rows // OBJECT_ROWS):
        yield _prediction_key(number), pa.table({**_about(number, _day(number)), **answers, **features})


def _about(number: int, day: datetime) -> dict[str, Any]:
    """Return the columns that say which request a row is of: one row a request, the worst case."""
    requests = [f"9f3a5b7c1d2e4f60{number * OBJECT_ROWS + row:08x}" for row in range(OBJECT_ROWS)]
    start = int(day.timestamp() * 1e6) + number % OBJECTS_A_DAY * 1_500_000_000
    times = pa.array(start + np.arange(OBJECT_ROWS) * 200_000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return {
        "id": pa.array([f"{request}-0" for request in requests]),
        "request": pa.array(requests),
        "row": pa.array(np.zeros(OBJECT_ROWS, np.int32)),
        "time": times,
        "model": pa.repeat(pa.scalar(MODEL), OBJECT_ROWS),
        "version": pa.repeat(pa.scalar(VERSION, pa.int64()), OBJECT_ROWS),
        "slot": pa.repeat(pa.scalar("champion"), OBJECT_ROWS),
        "key": pa.nulls(OBJECT_ROWS, pa.string()),
        "seconds": pa.array(np.full(OBJECT_ROWS, 0.0002)),
    }


def _labels(rows: int) -> Iterator[tuple[str, pa.Table]]:
    chances = _chances()
    for number in range(rows // OBJECT_ROWS):
        content = _about(number, _day(number) + timedelta(days=1))
        truth = np.random.default_rng(number).random(OBJECT_ROWS) < chances
        arrived = pa.table(
            {
                "id": content["id"],
                "label": pa.array(np.where(truth, "yes", "no")),
                "time": content["time"],
                "received": content["time"],
                "model": content["model"],
            }
        )
        yield _label_key(number), arrived.take(EVERY_SECOND)
