"""Windows of a feed in which nothing is wrong, for tests that break them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.monitoring.sample import FEATURE, ColumnSample, Sample
from tiltyard.project.metrics import Task

Values = dict[str, NDArray[Any]]

PLANS = np.array(["basic", "plus", "pro", "team"], dtype=object)

KINDS = {
    "weight": Kind.NUMBER,
    "income": Kind.NUMBER,
    "score": Kind.NUMBER,
    "wait": Kind.NUMBER,
    "temperature": Kind.NUMBER,
    "visits": Kind.INTEGER,
    "age": Kind.INTEGER,
    "member": Kind.BOOLEAN,
    "plan": Kind.CATEGORY,
    "since": Kind.TIME,
}

CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        *(
            Column(name=name, kind=kind, nullable=True, levels=tuple(PLANS) if kind is Kind.CATEGORY else ())
            for name, kind in KINDS.items()
        ),
        Column(name="y", kind=Kind.INTEGER, role=Role.TARGET),
    ),
    classes=(0, 1),
)

NUMBERS = ("weight", "income", "score", "wait", "temperature", "visits", "age")


def values(rows: int, seed: int) -> Values:
    """Draw a window without any drift: normal, log-normal, standardised, exponential and counted columns."""
    random = np.random.default_rng(seed)
    found: Values = {
        "weight": random.normal(72, 14, rows),
        "income": random.lognormal(10, 0.8, rows),
        "score": random.normal(0, 1, rows),
        "wait": random.exponential(12, rows),
        "temperature": random.normal(18, 8, rows),
        "visits": random.poisson(3, rows).astype(float),
        "age": random.integers(18, 90, rows).astype(float),
        "member": (random.random(rows) < 0.9).astype(float),
        "plan": random.choice(PLANS, rows, p=[0.55, 0.3, 0.1, 0.05]),
        "since": np.datetime64("2024-01-01T00:00:00", "us")
        + random.integers(0, 10**14, rows).astype("timedelta64[us]"),
    }
    found["wait"][random.random(rows) < 0.1] = np.nan
    return found


def sample(found: Mapping[str, NDArray[Any]], rows: int | None = None) -> Sample:
    """Return values as a sample that stands for as many rows, or more."""
    sampled = len(next(iter(found.values())))
    scale = (rows or sampled) / max(1, sampled)
    columns = {}
    for name, column in found.items():
        lost = _missing(column)
        new = 0 if KINDS.get(name) is not Kind.CATEGORY else int((~np.isin(column[~lost], PLANS)).sum() * scale)
        columns[FEATURE + name] = ColumnSample(
            kind=KINDS[name], values=column, missing=int(lost.sum() * scale), new=new
        )
    return Sample(rows=rows or sampled, sampled=sampled, columns=columns)


def _missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype == object:
        return np.array([value is None for value in column], dtype=np.bool_)
    return np.asarray(np.isnat(column) if column.dtype.kind == "M" else np.isnan(column), dtype=np.bool_)
