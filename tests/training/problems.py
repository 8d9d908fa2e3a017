"""Small problems with mixed columns, for every task."""

from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.model import Columns
from tiltyard.data.contract import Column, Contract, Kind, Level, Role
from tiltyard.project.metrics import DEFAULT_METRIC, Task
from tiltyard.training.problem import Problem

CLASSES: dict[Task, tuple[Level, ...]] = {
    Task.BINARY: ("no", "yes"),
    Task.MULTICLASS: ("a", "b", "c"),
    Task.REGRESSION: (),
}


def contract(task: Task) -> Contract:
    """Two numbers, one of them with holes, and a category."""
    return Contract(
        task=task,
        columns=(
            Column(name="age", kind=Kind.NUMBER),
            Column(name="income", kind=Kind.NUMBER, nullable=True),
            Column(name="plan", kind=Kind.CATEGORY, levels=("basic", "pro", "max"), nullable=True),
            Column(name="target", kind=Kind.CATEGORY if CLASSES[task] else Kind.NUMBER, role=Role.TARGET),
        ),
        classes=CLASSES[task],
    )


def columns(rows: int, seed: int = 0) -> Columns:
    """Typed columns for `contract`."""
    random = np.random.default_rng(seed)
    income = random.lognormal(3.0, 1.0, rows)
    income[random.random(rows) < 0.1] = np.nan
    plans = np.array(["basic", "pro", "max", None], dtype=object)
    return {"age": random.normal(40, 12, rows), "income": income, "plan": plans[random.integers(0, 4, rows)]}


def problem(
    task: Task, rows: int = 240, *, folds: int = 3, metric: str | None = None, code_folder: Path | None = None
) -> Problem:
    """A learnable problem on those columns."""
    table = columns(rows)
    random = np.random.default_rng(1)
    signal = (table["age"] - 40) / 12 + np.nan_to_num(np.log(table["income"]) - 3.0) + (table["plan"] == "pro")
    signal = signal + 0.4 * random.standard_normal(rows)
    y = signal * 100.0
    if task is not Task.REGRESSION:
        count = len(CLASSES[task])
        y = np.searchsorted(np.quantile(signal, np.arange(1, count) / count), signal).astype(np.int64)
    encoder = Encoder.of(contract(task))
    split = KFold(folds, shuffle=True, random_state=0).split(np.arange(rows))
    return Problem(
        task=task,
        matrix=encoder.encode(table),
        y=y,
        features=encoder.features,
        classes=len(CLASSES[task]),
        folds=tuple((train, valid) for train, valid in split),
        metric=metric or DEFAULT_METRIC[task],
        seed=7,
        code_folder=code_folder,
    )
