"""Seeded histories with a known truth: one that turns round on a given day, one that never changes."""

import numpy as np
import pandas as pd

from tiltyard.data.coercion import coerce
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.project.metrics import Task
from tiltyard.project.model import Project

START = np.datetime64("2026-01-01T00:00:00", "us")
MICROSECONDS_A_DAY = 86_400_000_000
CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="seen", kind=Kind.TIME, role=Role.TIME),
        Column(name="usage", kind=Kind.NUMBER),
        Column(name="debt", kind=Kind.NUMBER, nullable=True),
        Column(name="city", kind=Kind.CATEGORY, levels=("Bern", "Olten", "Thun")),
        Column(name="left", kind=Kind.CATEGORY, levels=("no", "yes"), role=Role.TARGET),
    ),
    classes=("no", "yes"),
)


def history(days: int, *, turns: int | None = None, a_day: int = 80, seed: int = 3) -> pd.DataFrame:
    """Return a typed history; from day `turns` on, what spoke for leaving speaks against it."""
    rng = np.random.default_rng(seed)
    rows = days * a_day
    place = np.arange(rows) / a_day
    numbers = rng.normal(size=(rows, 2)).round(6)
    city = rng.choice(["Bern", "Olten", "Thun"], rows)
    sign = np.where(place >= (days if turns is None else turns), -1.0, 1.0)
    score = sign * (numbers @ [1.5, -1.5]) + 0.5 * (city == "Bern")
    raw = pd.DataFrame(
        {
            "seen": START + (place * MICROSECONDS_A_DAY).astype("timedelta64[us]"),
            "usage": numbers[:, 0],
            "debt": numbers[:, 1],
            "city": city,
            "left": np.where(score + rng.logistic(size=rows) > 0, "yes", "no"),
        }
    )
    return coerce(raw, CONTRACT, where="a made-up history")


def project(**monitoring: object) -> Project:
    """Return a project on these histories: one family, two trials."""
    return Project.model_validate(
        {
            "name": "churn",
            "task": {"kind": "binary", "positive": "yes"},
            "data": {"source": "history.csv", "target": "left", "time": "seen"},
            "search": {"families": ("linear",), "folds": 2, "workers": 1},
            "monitoring": monitoring,
        }
    )
