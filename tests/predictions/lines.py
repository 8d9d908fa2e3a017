"""Contracts and records of the prediction log, and what the store holds of them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.predictions.reading import Window
from tiltyard.predictions.record import Batch, Record, record_line, schema_line
from tiltyard.project.metrics import Task
from tiltyard.storage.base import Store

MODEL = "churn"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = Window(NOON - timedelta(days=3), NOON + timedelta(days=4))

CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="age", kind=Kind.NUMBER),
        Column(name="visits", kind=Kind.INTEGER, nullable=True),
        Column(name="member", kind=Kind.BOOLEAN, nullable=True),
        Column(name="plan", kind=Kind.CATEGORY, nullable=True, levels=("basic", "gold")),
        Column(name="words", kind=Kind.TEXT, nullable=True),
        Column(name="seen", kind=Kind.TIME, nullable=True),
        Column(name="churned", kind=Kind.CATEGORY, role=Role.TARGET, levels=("no", "yes")),
    ),
    classes=("no", "yes"),
)
DEMAND = Contract(
    task=Task.REGRESSION,
    columns=(Column(name="price", kind=Kind.NUMBER), Column(name="sold", kind=Kind.NUMBER, role=Role.TARGET)),
)
SCHEMA = schema_line(MODEL, 3, CONTRACT)
KEY = (MODEL, 3)
ROW: list[Any] = [41.5, 3, True, "gold", "hello\nworld", "2026-11-20T10:00:00"]


def record(name: str, **changed: Any) -> Record:
    """Return a record of one row."""
    content: dict[str, Any] = {
        "id": name,
        "time": NOON.timestamp(),
        "model": MODEL,
        "version": 3,
        "slot": "champion",
        "rows": [ROW],
        "answers": [1],
        "seconds": 0.25,
        "probabilities": [[0.25, 0.75]],
    }
    return Record(**content | changed)


def line(name: str, **changed: Any) -> bytes:
    """Return a record of one row as a line."""
    return record_line(record(name, **changed))


def stored(store: Store) -> Counter[str]:
    """Return how often the store has each prediction, as its objects have it: nothing is merged."""
    found: Counter[str] = Counter()
    for key in store.list(f"predictions/{MODEL}"):
        found.update(pq.read_table(pa.BufferReader(store.read(key))).column("id").to_pylist())
    return found


def batch_of(made: Record, contract: Contract) -> Batch:
    """Return a record by columns, as a worker writes several rows."""
    columns: list[Any] = [list(column) for column in zip(*made.rows, strict=True)]
    for place, column in enumerate(contract.features):
        if column.kind is Kind.NUMBER:
            columns[place] = doubles_of(columns[place])
    answers = list(made.answers) if contract.classes else doubles_of(made.answers)
    chances = None if made.probabilities is None else np.array(made.probabilities, "<f8").tobytes()
    return Batch(
        made.id, made.time, made.model, made.version, made.slot, columns, answers, made.seconds, made.key, chances
    )


def doubles_of(values: Sequence[float | None]) -> bytes:
    """Return numbers as the bytes of doubles, NaN for None."""
    return np.array([np.nan if value is None else value for value in values], "<f8").tobytes()
