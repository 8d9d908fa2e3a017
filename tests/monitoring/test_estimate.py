"""Estimates without labels: expectations by hand, coverage under covariate shift, and when not to believe them."""

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.monitoring.estimate import worlds
from benchmarks.monitoring.estimate.__main__ import Setting, run
from tiltyard.bundle.model import Predictions
from tiltyard.errors import DataError
from tiltyard.evaluation.metrics import score
from tiltyard.evaluation.ranking import pr_auc
from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.domain import Table
from tiltyard.monitoring.estimate import estimate
from tiltyard.monitoring.expectation import calibrate, calibration_gap, curves_of, expected
from tiltyard.monitoring.question import Question

NAMES = tuple("abcdef")
WORDS = np.zeros(6, np.bool_)


@cache
def model_of(title: str) -> worlds.Model:
    world = next(world for world in (worlds.TWO, worlds.THREE, worlds.VALUE) if world.title == title)
    return worlds.learned(world, "trees", np.random.default_rng(9), 1_500)


def question_of(
    metric: str,
    *,
    world: worlds.World = worlds.TWO,
    shift: float = 0.0,
    concept: float = 0.0,
    labelled: float = 0.0,
    features: bool = False,
    rows: int = 1_000,
    seed: int = 0,
) -> Question:
    rng, model = np.random.default_rng(seed), model_of(world.title)
    before, now = world.draw(rng, 1_000), world.draw(rng, rows, shift=shift, concept=concept)
    unknown = -1 if world is not worlds.VALUE else np.nan
    labels = np.where(rng.random(rows) < labelled, now.y, unknown)
    table = Table(NAMES, WORDS, before.x, now.x) if features else None
    return Question(metric, before.y, model(before.x), model(now.x), table, labels)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10)), min_size=2, max_size=6),
    metric=st.sampled_from(["accuracy", "log_loss", "brier", "roc_auc", "pr_auc", "precision", "recall", "f1"]),
)
def test_expected_metrics_are_those_of_all_possible_labels(rows: list[tuple[int, int]], metric: str) -> None:
    said, chances = np.array(rows, dtype=np.float64).T / 10
    predictions = Predictions(np.column_stack([1 - said, said]))
    right = np.column_stack([1 - chances, chances])
    found = expected(metric, predictions, right, 0.5)
    above = below = 0.0
    for y in itertools.product((0, 1), repeat=len(rows)):
        truth = np.array(y)
        weight = float(np.prod(np.where(truth == 1, chances, 1 - chances)))
        size = _size(metric, truth, predictions.labels(0.5))
        value = 0.0
        if size and weight:
            plain = pr_auc(truth == 1, said) if metric == "pr_auc" else score(metric, truth, predictions)
            value = float(np.nan_to_num(plain))
        above, below = above + weight * size * value, below + weight * size
    if np.isnan(found):
        assert above == 0.0
    elif below > 0:
        assert found == pytest.approx(above / below)


def _size(
    metric: str, truth: np.ndarray[tuple[int], np.dtype[np.int64]], chosen: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> float:
    """Return what the metric divides by, because the expectation is one of ratios of expected counts."""
    positives = int(truth.sum())
    sizes = {
        "roc_auc": positives * (len(truth) - positives),
        "pr_auc": positives,
        "recall": positives,
        "precision": int(chosen.sum()),
        "f1": int(chosen.sum()) + positives,
    }
    return float(sizes.get(metric, 1))


def test_calibration_is_rising_right_and_sums_to_one() -> None:
    rng = np.random.default_rng(1)
    truth = rng.dirichlet([1.0, 1.0, 1.0], 4_000)
    y = (rng.random(4_000)[:, None] > truth.cumsum(axis=1)).sum(axis=1)
    sure = truth**3 / (truth**3).sum(axis=1, keepdims=True)
    right = calibrate(curves_of(sure, y, np.ones(4_000)), sure)
    assert right.sum(axis=1) == pytest.approx(1.0)
    assert np.abs(right - truth).mean() < 0.5 * np.abs(sure - truth).mean()
    two = calibrate(curves_of(truth[:, :2], y % 2, np.ones(4_000)), truth[:, :2])
    order = np.argsort(truth[:, 1])
    assert (np.diff(two[order, 1]) >= 0).all()


def test_the_calibration_gap_is_small_for_what_can_be_calibrated_and_large_for_what_cannot() -> None:
    rng = np.random.default_rng(2)
    chances = rng.random(2_000)
    y = (rng.random(2_000) < chances).astype(np.int64)
    assert calibration_gap(np.column_stack([1 - chances, chances]), y, np.ones(2_000), 0) < 0.03
    bent = (rng.random(2_000) < np.abs(2 * chances - 1)).astype(np.int64)
    assert calibration_gap(np.column_stack([1 - chances, chances]), bent, np.ones(2_000), 0) > 0.05


def test_the_interval_covers_the_truth_under_covariate_shift() -> None:
    (rates,) = run(Setting(worlds.TWO, "trees", ("roc_auc",), 0.7, rows=400, reference=600), 4, models=1).values()
    assert rates.valid >= 0.75
    assert min(rates.covered, rates.seen) >= 0.5  # the exhaustive test below tells 90 % from less


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "setting",
    [
        *(Setting(worlds.TWO, model, ("roc_auc", "accuracy"), 0.5) for model in ("line", "trees", "sure")),
        Setting(worlds.THREE, "trees", ("accuracy",), 0.5),
        Setting(worlds.VALUE, "trees", ("rmse", "mae"), 0.5),
    ],
    ids=lambda setting: f"{setting.world.title}, {setting.model}",
)
def test_the_interval_covers_the_truth_whatever_the_model(setting: Setting) -> None:
    for rates in run(setting, 60).values():
        assert min(rates.covered, rates.seen) >= 0.90 - 2 * 0.039


@pytest.mark.parametrize(
    ("world", "metric"), [(worlds.TWO, "accuracy"), (worlds.THREE, "accuracy"), (worlds.VALUE, "mae")]
)
def test_a_moved_concept_is_flagged_once_labels_contradict(world: worlds.World, metric: str) -> None:
    features = world is worlds.VALUE
    without = estimate(question_of(metric, world=world, concept=1.0, features=features))
    assert (without.valid, without.contradiction) == (True, None)
    with_labels = estimate(question_of(metric, world=world, concept=1.0, labelled=0.3, features=features))
    assert not with_labels.valid
    assert with_labels.contradiction is not None
    assert with_labels.contradiction < 0.01
    assert "labels that did come contradict it" in with_labels.why
    assert not with_labels.harm
    agreed = estimate(question_of(metric, world=world, labelled=0.3, features=features))
    assert agreed.valid
    assert agreed.contradiction is not None


def test_an_unseen_region_makes_it_invalid() -> None:
    found = estimate(question_of("roc_auc", shift=3.0, features=True))
    assert not found.valid
    assert found.alike < 100
    assert "the reference has too few rows like these" in found.why


def test_an_uncalibrated_reference_makes_it_invalid() -> None:
    rng = np.random.default_rng(4)
    chances = rng.random(2_000)
    y = (rng.random(2_000) < np.abs(2 * chances - 1)).astype(np.int64)
    said = Predictions(np.column_stack([1 - chances, chances]))
    found = estimate(Question("accuracy", y, said, said))
    assert not found.valid
    assert "probabilities are off by" in found.why


def test_harm_is_an_estimate_beyond_the_reference() -> None:
    question = question_of("accuracy")
    found = estimate(question)
    assert found.value is not None
    better = Estimate(value=found.value + 0.1, low=found.value + 0.08, high=found.value + 0.12)
    harmed = estimate(question, reference=better)
    assert harmed.harm
    assert "worse than the champion is held to" in harmed.sentence
    same = estimate(question, reference=Estimate(value=found.value, low=found.value - 0.01, high=found.value + 0.01))
    assert not same.harm
    assert same.sentence.startswith("Accuracy is estimated at")
    assert estimate(question) == found


def test_too_little_to_say_is_said() -> None:
    question = question_of("roc_auc")
    few = Question("roc_auc", question.y[:200], Predictions(question.reference.array[:200]), question.current)
    found = estimate(few, reference=Estimate(value=0.9, low=0.8, high=1.0))
    assert (found.value, found.valid, found.harm) == (None, False, False)
    assert found.sentence == "ROC-AUC cannot be estimated: the reference has 200 rows with labels; 300 are needed."
    one_class = Question("roc_auc", np.zeros_like(question.y), question.reference, question.current)
    assert "0 rows of a class" in estimate(one_class).why
    no_rows = Question("roc_auc", question.y, question.reference, Predictions(question.current.array[:10]))
    assert "there are 10 rows" in estimate(no_rows).why
    zero = Question("mape", np.zeros(400), Predictions(values=np.ones(400)), Predictions(values=np.ones(400)))
    assert "a true value of the reference is zero" in estimate(zero).why


def test_what_does_not_fit_together_is_refused() -> None:
    question = question_of("roc_auc")
    with pytest.raises(DataError, match="labels"):
        estimate(Question("roc_auc", question.y[:-1], question.reference, question.current))
    with pytest.raises(DataError, match="metric"):
        estimate(Question("auc", question.y, question.reference, question.current))


def test_every_metric_of_values_and_constant_answers_are_estimated() -> None:
    rng = np.random.default_rng(5)
    y = 10 + rng.normal(size=600)
    constant = Predictions(values=np.full(600, 10.0))
    for metric, truth in {"mae": 0.8, "rmse": 1.0, "mape": 0.08, "r2": 0.0}.items():
        found = estimate(Question(metric, y, constant, constant))
        assert found.valid
        assert found.value == pytest.approx(truth, abs=0.1)
    perfect = Predictions(values=y)
    assert estimate(Question("rmse", y, perfect, perfect)).value == pytest.approx(0.0, abs=1e-9)
