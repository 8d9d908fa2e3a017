"""One small table with every kind of column, holes in each, and targets of three tasks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.model import FittedModel
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.project.metrics import Task

Table = dict[str, NDArray[Any]]
ROWS = 400
CLASSES = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
TARGET_KIND = {Task.BINARY: Kind.CATEGORY, Task.MULTICLASS: Kind.CATEGORY, Task.REGRESSION: Kind.NUMBER}


def make_contract(task: Task) -> Contract:
    features = (
        Column(name="age", kind=Kind.NUMBER, nullable=True),
        Column(name="income", kind=Kind.NUMBER, nullable=True),
        Column(name="visits", kind=Kind.INTEGER, nullable=True),
        Column(name="member", kind=Kind.BOOLEAN, nullable=True),
        Column(name="plan", kind=Kind.CATEGORY, nullable=True, levels=("basic", "plus", "pro", "trial")),
        Column(name="note", kind=Kind.TEXT, nullable=True),
        Column(name="since", kind=Kind.TIME, nullable=True),
    )
    target = Column(name="target", kind=TARGET_KIND[task], role=Role.TARGET)
    return Contract(task=task, columns=(*features, target), classes=CLASSES[task])


def make_table(rows: int, seed: int) -> Table:
    rng = np.random.default_rng(seed)
    words = np.array(["late", "paid", "called back", "lost card", "?!"], dtype=object)
    table: Table = {
        "age": rng.normal(45, 12, rows),
        "income": np.exp(rng.normal(10, 1.2, rows)),
        "visits": rng.poisson(3, rows).astype(np.float64),
        "member": rng.integers(0, 2, rows).astype(np.float64),
        "plan": np.array(["basic", "plus", "pro", "trial"], dtype=object)[rng.integers(0, 4, rows)],
        "note": words[rng.integers(0, 5, rows)],
        "since": np.datetime64("2015-01-01", "us") + rng.integers(0, 10**14, rows).astype("timedelta64[us]"),
    }
    for name, hole in zip(table, (np.nan, np.nan, np.nan, np.nan, None, None, np.datetime64("NaT")), strict=True):
        table[name][rng.random(rows) < 0.08] = hole
    return table


def make_target(task: Task, table: Table, seed: int) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    signal = np.nan_to_num(table["age"], nan=45.0) / 12 + (table["plan"] == "pro") * 2.0
    signal = signal + np.log(np.nan_to_num(table["income"], nan=2e4)) + rng.normal(0, 0.7, len(signal))
    centred = signal - signal.mean()
    if task is Task.REGRESSION:
        return np.asarray(20_000.0 * centred)
    cuts = [0.0] if task is Task.BINARY else [-0.8, 0.8]
    return np.asarray(np.digitize(centred, cuts), dtype=np.int64)


TRAIN, TEST = make_table(ROWS, seed=1), make_table(250, seed=2)
ENCODER = Encoder.of(make_contract(Task.BINARY))
LEVELS = tuple(feature.levels for feature in ENCODER.features)


def fitted(task: Task, estimator: Any) -> FittedModel:
    """Fit an estimator on the table."""
    encoder = Encoder.of(make_contract(task))
    estimator.fit(encoder.encode(TRAIN), make_target(task, TRAIN, seed=3))
    return FittedModel(task=task, classes=CLASSES[task], encoder=encoder, estimator=estimator, family="linear")
