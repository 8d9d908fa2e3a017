"""Confidence intervals: textbook values, honesty at the edges, clusters, coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binomtest

from tiltyard.bundle.model import Predictions
from tiltyard.errors import DataError
from tiltyard.evaluation.intervals import Judged, estimate, newcombe, wilson
from tiltyard.evaluation.units import Units
from tiltyard.project.metrics import METRICS, Task, metrics_of


def judged(rows: int, seed: int, groups: NDArray[np.int64] | None = None, noise: float = 1.0) -> Judged:
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, rows)
    y = (rng.random(rows) < expit(odds)).astype(np.int64)
    scores = expit(odds + noise * rng.normal(size=rows))
    return Judged(y, Predictions(np.column_stack([1 - scores, scores])), 0.5, Units.of(rows, groups))


def values(rows: int, seed: int) -> Judged:
    rng = np.random.default_rng(seed)
    y = rng.normal(10, 2, rows)
    return Judged(y, Predictions(values=y + rng.normal(size=rows)), 0.5, Units.of(rows))


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_agrees_with_scipy(hits: int, more: int) -> None:
    rows = hits + more
    expected = binomtest(hits, rows).proportion_ci(method="wilson")
    assert wilson(hits / rows, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_perfect_auc_on_few_rows_is_not_certain() -> None:
    low, high = newcombe(1.0, 10, 10)
    assert 0.7 < low < 0.95
    assert high == 1.0


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "pr_auc", "precision", "recall"])
def test_a_perfect_model_has_an_interval_with_room(metric: str) -> None:
    y = np.arange(40) % 2
    perfect = Judged(y, Predictions(np.column_stack([1.0 - y, y]).astype(float)), 0.5, Units.of(40))
    found = estimate(metric, perfect)
    assert found is not None
    assert found.value == found.high == 1.0
    assert 0.7 < found.low < 0.99


@pytest.mark.parametrize("metric", [metric.name for metric in metrics_of(Task.BINARY)])
def test_copied_rows_count_once_when_they_are_clusters(metric: str) -> None:
    plain = judged(200, 1)
    copies = np.tile(np.arange(200), 5)
    array = plain.predictions.array[copies]
    cluster = Judged(plain.y[copies], Predictions(array), 0.5, Units.of(1000, copies))
    once, copied = estimate(metric, plain), estimate(metric, cluster)
    assert once is not None
    assert copied is not None
    assert copied.value == pytest.approx(once.value)
    assert copied.high - copied.low == pytest.approx(once.high - once.low, rel=0.15)


@pytest.mark.parametrize("metric", list(METRICS))
@pytest.mark.parametrize("rows", [12, 400])
def test_every_interval_holds_its_value_and_stays_possible(metric: str, rows: int) -> None:
    found = estimate(metric, values(rows, 3) if METRICS[metric].tasks == {Task.REGRESSION} else judged(rows, 3))
    assert found is not None
    assert found.low <= found.value <= found.high
    assert found.low < found.high
    if metric != "r2":
        assert found.low >= 0
    if metric in {"accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc"}:
        assert found.high <= 1


SLOW = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "metric",
    [
        "accuracy",
        "roc_auc",
        "pr_auc",
        pytest.param("f1", marks=SLOW),
        pytest.param("brier", marks=SLOW),
        pytest.param("log_loss", marks=SLOW),
    ],
)
def test_intervals_cover_the_truth(metric: str) -> None:
    truth = judged(400_000, 99).score(metric)
    found = [estimate(metric, judged(300, seed)) for seed in range(200)]
    covered = np.mean([one is not None and one.low <= truth <= one.high for one in found])
    assert 0.90 <= covered <= 0.985


@pytest.mark.parametrize(
    ("metric", "truth"),
    [("rmse", 1.0), pytest.param("mae", np.sqrt(2 / np.pi), marks=SLOW), pytest.param("r2", 0.75, marks=SLOW)],
)
def test_intervals_of_regression_cover_the_truth(metric: str, truth: float) -> None:
    found = [estimate(metric, values(200, seed)) for seed in range(150)]
    covered = np.mean([one is not None and one.low <= truth <= one.high for one in found])
    assert 0.90 <= covered <= 0.985


def test_the_same_seed_gives_the_same_interval() -> None:
    assert estimate("f1", judged(200, 1), seed=5) == estimate("f1", judged(200, 1), seed=5)


def test_one_row_says_nothing_about_certainty() -> None:
    one = Judged(np.array([1]), Predictions(np.array([[0.2, 0.8]])), 0.5, Units.of(1))
    with pytest.raises(DataError, match="cannot judge a model"):
        estimate("accuracy", one)


def test_an_undefined_metric_has_no_estimate() -> None:
    one_class = Judged(np.zeros(30, dtype=np.int64), Predictions(np.full((30, 2), 0.5)), 0.5, Units.of(30))
    assert estimate("roc_auc", one_class) is None
