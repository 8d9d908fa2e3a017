"""Checks, samples and verdicts as the tests of pages, pictures and reports need them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tiltyard.data.contract import Kind
from tiltyard.evaluation.records import Estimate as Score
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import DriftVerdict, Finding
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.policy import Decision
from tiltyard.monitoring.quality import QualityFinding
from tiltyard.monitoring.sample import ColumnSample, Sample

START = datetime(2026, 11, 3, tzinfo=UTC)
WEEK = timedelta(days=7)
OWN = Score(value=0.865, low=0.85, high=0.88)
EVIL = "</script><script>alert(1)</script>"


def finding(column: str, test: Any = "location", level: Any = "alarm", **more: Any) -> Finding:
    facts: dict[str, Any] = {"effect": 0.4, "p": 1e-9, "sentence": f"`{column.removeprefix('feature_')}` has moved"}
    return Finding(column=column, test=test, level=level, **facts | more)


def verdict(*findings: Finding, level: Any = None, **more: Any) -> DriftVerdict:
    order = ("none", "note", "warning", "alarm")
    worst = max((one.level for one in findings), key=order.index, default="none")
    found: Any = level or ("none" if worst == "note" else worst)
    facts: dict[str, Any] = {"rows": 2_000, "reference_rows": 3_000, "tests": 40, "sentence": "drift of some columns"}
    return DriftVerdict(level=found, findings=findings, **facts | more)


def score(weeks: int = 0, *, harm: bool = False, version: int | None = 3, **more: Any) -> Performance:
    facts: dict[str, Any] = {"value": 0.81, "low": 0.79, "high": 0.83, "rows": 2_000, "labelled": 1_200}
    return Performance(
        metric="roc_auc",
        coverage=0.6,
        version=version,
        start=START + weeks * WEEK,
        end=START + (weeks + 1) * WEEK,
        reference=OWN,
        harm=harm,
        sentence="ROC-AUC is 0.8100 (0.7900 to 0.8300); 1,200 of 2,000 predictions have a label (60.0 %).",
        **facts | more,
    )


def estimate(*, valid: bool = True, **more: Any) -> Estimate:
    facts: dict[str, Any] = {"value": 0.84, "low": 0.82, "high": 0.86, "why": "" if valid else "Labels contradict it."}
    said = "ROC-AUC is estimated at 0.8400 (0.8200 to 0.8600) on 2,000 rows, without labels."
    return Estimate(metric="roc_auc", valid=valid, **{"sentence": said} | facts | more)


def broken(kind: Any = "null_filled") -> QualityFinding:
    return QualityFinding(kind=kind, columns=("feature_pay",), share=0.97, sentence="`pay` is missing in 97 % of rows")


def check(weeks: int = 0, **more: Any) -> Check:
    facts: dict[str, Any] = {
        "model": "churn",
        "start": START + weeks * WEEK,
        "end": START + (weeks + 1) * WEEK,
        "version": 3,
        "made": START + (weeks + 1) * WEEK,
        "rows": 2_000,
        "drift": verdict(),
        "reference": OWN,
        "decision": Decision(action="none", reason="nothing speaks for a retraining"),
    }
    return Check(**facts | more)


def sample(rows: int = 300, *, shift: float = 0.0, seed: int = 0, emptied: bool = False) -> Sample:
    """Return every kind of column, the answers of a classifier among them."""
    random = np.random.default_rng(seed)
    levels = np.array(["a", "b", EVIL, None], dtype=object)
    many = np.array([f"level {int(one)}" for one in random.exponential(20, rows)], dtype=object)
    gaps = random.normal(0, 1, rows)
    gaps[: rows // 3] = np.nan
    times = np.datetime64("2026-10-01", "us") + random.integers(0, 10**12, rows).astype("timedelta64[us]")
    chance = random.beta(2, 5, rows)
    columns = {
        "feature_age": (Kind.NUMBER, random.normal(shift, 1, rows)),
        "feature_pay": (Kind.INTEGER, np.full(rows, np.nan) if emptied else random.normal(0, 9, rows).round()),
        "feature_gaps": (Kind.NUMBER, gaps),
        "feature_same": (Kind.NUMBER, np.ones(rows)),
        "feature_region": (Kind.CATEGORY, random.choice(levels, rows)),
        "feature_many": (Kind.CATEGORY, many),
        "feature_flag": (Kind.BOOLEAN, random.integers(0, 2, rows).astype(float)),
        "feature_text": (Kind.TEXT, np.array(["x" * int(one) for one in random.exponential(9, rows)], dtype=object)),
        "feature_time": (Kind.TIME, times),
        "prediction": (Kind.CATEGORY, np.where(chance > 0.3, "yes", "no").astype(object)),
        "probability_no": (Kind.NUMBER, 1 - chance),
        "probability_yes": (Kind.NUMBER, chance),
    }
    return Sample(rows * 7, rows, {name: ColumnSample(kind, values) for name, (kind, values) in columns.items()})
