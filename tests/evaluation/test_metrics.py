"""Every metric against scikit-learn, and where it is not defined."""

import math

import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.errors import DataError
from tiltyard.evaluation.metrics import class_report, confusion_matrix, evaluate_metrics, score
from tiltyard.project.metrics import METRICS, Task, metrics_of

Codes = NDArray[np.int64]


def binary(scores: NDArray[np.float64]) -> Predictions:
    return Predictions(probabilities=np.column_stack([1.0 - scores, scores]))


def two_classes(rows: int = 500, seed: int = 0) -> tuple[Codes, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    scores = rng.random(rows).round(2)
    return (rng.random(rows) < scores).astype(np.int64), scores


def four_classes(rows: int = 600) -> tuple[Codes, NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), rows)
    return (probabilities.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1).astype(np.int64), probabilities


def test_two_classes_agree_with_scikit_learn() -> None:
    y, scores = two_classes()
    labels = scores >= 0.4
    expected = {
        "accuracy": reference.accuracy_score(y, labels),
        "precision": reference.precision_score(y, labels),
        "recall": reference.recall_score(y, labels),
        "f1": reference.f1_score(y, labels),
        "roc_auc": reference.roc_auc_score(y, scores),
        "pr_auc": reference.average_precision_score(y, scores),
        "log_loss": reference.log_loss(y, np.clip(scores, 2.0**-24, 1 - 2.0**-24)),
        "brier": reference.brier_score_loss(y, scores),
    }
    for metric, value in expected.items():
        assert score(metric, y, binary(scores), threshold=0.4) == pytest.approx(value, abs=1e-6), metric


def test_four_classes_agree_with_scikit_learn() -> None:
    y, probabilities = four_classes()
    labels = probabilities.argmax(axis=1)
    expected = {
        "accuracy": reference.accuracy_score(y, labels),
        "precision": reference.precision_score(y, labels, average="macro"),
        "recall": reference.recall_score(y, labels, average="macro"),
        "f1": reference.f1_score(y, labels, average="macro"),
        "roc_auc": reference.roc_auc_score(y, probabilities, multi_class="ovr"),
        "log_loss": reference.log_loss(y, probabilities),
        "brier": reference.brier_score_loss(y, probabilities),
    }
    for metric, value in expected.items():
        assert score(metric, y, Predictions(probabilities=probabilities)) == pytest.approx(value, abs=1e-9), metric


def test_values_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(1e6, 2.0, 300)
    answers = Predictions(values=y + rng.normal(0, 1, 300))
    assert answers.values is not None
    expected = {
        "rmse": reference.root_mean_squared_error(y, answers.values),
        "mae": reference.mean_absolute_error(y, answers.values),
        "r2": reference.r2_score(y, answers.values),
        "mape": reference.mean_absolute_percentage_error(y, answers.values),
    }
    for metric, value in expected.items():
        assert score(metric, y, answers) == pytest.approx(value, rel=1e-9), metric


def test_calibration_error_by_hand() -> None:
    y = np.array([0, 1, 1, 1])
    assert score("ece", y, binary(np.array([0.1, 0.1, 0.9, 0.9]))) == pytest.approx((0.8 + 0.2) / 4)


@pytest.mark.parametrize("metric", ["recall", "f1", "roc_auc", "pr_auc"])
def test_one_class_leaves_metrics_of_the_other_undefined(metric: str) -> None:
    assert math.isnan(score(metric, np.zeros(5, dtype=np.int64), binary(np.linspace(0, 1, 5))))


def test_no_row_called_positive_has_no_precision_to_be_proud_of() -> None:
    assert score("precision", np.array([0, 1]), binary(np.array([0.1, 0.2]))) == 0.0


def test_a_true_zero_leaves_mape_out() -> None:
    y = np.array([0.0, 1.0, 2.0])
    assert "mape" not in evaluate_metrics(Task.REGRESSION, y, Predictions(values=y + 1))


def test_a_constant_target_leaves_r2_out() -> None:
    y = np.full(4, 7.3)
    assert "r2" not in evaluate_metrics(Task.REGRESSION, y, Predictions(values=y + 1))


def test_an_answer_that_is_not_finite_is_worth_nothing() -> None:
    assert math.isnan(score("rmse", np.array([1.0, 2.0]), Predictions(values=np.array([np.nan, 1.0]))))


def test_no_rows_are_worth_nothing() -> None:
    assert math.isnan(score("accuracy", np.zeros(0, dtype=np.int64), binary(np.zeros(0))))


def test_a_wrong_name_suggests_the_near_miss() -> None:
    with pytest.raises(DataError, match="Did you mean `accuracy`"):
        score("acuracy", np.array([1]), binary(np.array([0.5])))


def test_lengths_must_agree() -> None:
    with pytest.raises(DataError, match="3 true answers cannot be compared with 1 predictions"):
        score("accuracy", np.array([1, 0, 1]), binary(np.array([0.5])))


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.sampled_from([metric.name for metric in METRICS.values()]))
def test_the_order_of_rows_changes_nothing(count: int, seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    if METRICS[metric].tasks == {Task.REGRESSION}:
        y, answers = rng.normal(size=count), rng.normal(size=count)
        pair = tuple(score(metric, y[rows], Predictions(values=answers[rows])) for rows in (slice(None), order))
    else:
        codes, scores = rng.integers(0, 2, count), rng.random(count).round(1)
        pair = tuple(score(metric, codes[rows], binary(scores[rows])) for rows in (slice(None), order))
    assert pair[0] == pytest.approx(pair[1], nan_ok=True)


def test_every_metric_of_every_task_has_a_value() -> None:
    y, scores = two_classes()
    classes, probabilities = four_classes()
    values = np.linspace(1, 2, 50)
    cases: dict[Task, tuple[NDArray[np.float64] | Codes, Predictions]] = {
        Task.BINARY: (y, binary(scores)),
        Task.MULTICLASS: (classes, Predictions(probabilities=probabilities)),
        Task.REGRESSION: (values, Predictions(values=values**2)),
    }
    for task, (truth, answers) in cases.items():
        assert list(evaluate_metrics(task, truth, answers)) == [metric.name for metric in metrics_of(task)]


def test_confusion_and_report_agree_with_scikit_learn() -> None:
    y, probabilities = four_classes()
    labels = probabilities.argmax(axis=1)
    confusion = confusion_matrix(y, Predictions(probabilities=probabilities))
    assert np.array_equal(np.array(confusion), reference.confusion_matrix(y, labels))
    precision, recall, f1, rows = reference.precision_recall_fscore_support(y, labels)
    for code, one in enumerate(class_report(confusion, ("a", "b", "c", "d"))):
        assert (one.precision, one.recall, one.f1) == pytest.approx((precision[code], recall[code], f1[code]))
        assert one.rows == rows[code]


def test_regression_has_no_report() -> None:
    assert class_report((), ()) == ()
