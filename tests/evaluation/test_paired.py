"""Paired comparisons: textbook values, symmetry, clusters, and models that answer alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, ttest_rel

from benchmarks.gate import worlds
from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.differences import McNemar, delong
from tiltyard.evaluation.paired import align, compare, contest
from tiltyard.evaluation.records import Comparison
from tiltyard.project.metrics import METRICS, Task


def drawn(metric: str, seed: int = 0, rows: int = 300) -> worlds.Draw:
    world = worlds.values if METRICS[metric].tasks == {Task.REGRESSION} else worlds.probabilities
    return world(np.random.default_rng(seed), rows, 0.2)


def compared(metric: str, draw: worlds.Draw, groups: NDArray[np.int64] | None = None) -> Comparison:
    found = compare(metric, draw.y, draw.challenger, draw.champion, groups=groups)
    assert found is not None
    return found


def test_mcnemar_is_exact_for_few_discordant_rows() -> None:
    test = McNemar(gained=9, lost=2, rows=100)
    assert test.p_values[0] == pytest.approx(binomtest(9, 11, alternative="greater").pvalue)
    assert test.p_values[1] == pytest.approx(binomtest(9, 11, alternative="less").pvalue)


def test_mcnemar_takes_half_of_the_observed_off_for_many() -> None:
    test = McNemar(gained=30, lost=20, rows=500)
    above = binomtest(30, 50, alternative="greater").pvalue
    beyond = binomtest(31, 50, alternative="greater").pvalue
    assert test.p_values[0] == pytest.approx((above + beyond) / 2)
    assert sum(test.p_values) == pytest.approx(1.0)


def test_mcnemar_without_discordant_rows_is_not_certain() -> None:
    test = McNemar(gained=0, lost=0, rows=50)
    assert test.p_values == (1.0, 1.0)
    assert test.quantile(0.025) < -0.03


def test_delong_agrees_with_the_covariance_of_the_components() -> None:
    draw = worlds.scores(np.random.default_rng(4), 200, 0.02)
    positive, ours, theirs = draw.y == 1, draw.challenger.array[:, 1], draw.champion.array[:, 1]
    wins = [(s[positive][:, None] > s[~positive][None, :]).astype(float) for s in (ours, theirs)]
    rows, columns = (np.cov([win.mean(axis=axis) for win in wins]) for axis in (1, 0))
    covariance = rows / positive.sum() + columns / (~positive).sum()
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert delong(positive, ours, theirs).standard_error == pytest.approx(np.sqrt(variance))


def test_mean_losses_are_compared_by_the_paired_t_test() -> None:
    draw = drawn("mae")
    assert draw.challenger.values is not None
    assert draw.champion.values is not None
    losses = np.abs(draw.y - draw.champion.values), np.abs(draw.y - draw.challenger.values)
    expected = ttest_rel(*losses, alternative="greater")
    interval = ttest_rel(*losses).confidence_interval(0.95)
    found = compared("mae", draw)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("metric", list(METRICS))
def test_turning_the_contest_turns_the_difference(metric: str) -> None:
    draw = drawn(metric)
    ahead = compared(metric, draw)
    behind = compared(metric, worlds.Draw(draw.y, draw.champion, draw.challenger))
    assert ahead.difference.value == pytest.approx(-behind.difference.value)
    assert ahead.p_value == pytest.approx(behind.p_worse, abs=0.01)
    assert ahead.difference.low == pytest.approx(-behind.difference.high, abs=0.1 * ahead.standard_error)


@pytest.mark.parametrize("metric", list(METRICS))
def test_a_model_against_itself_shows_nothing(metric: str) -> None:
    draw = drawn(metric)
    found = compared(metric, worlds.Draw(draw.y, draw.champion, draw.champion))
    assert found.difference.value == 0
    assert found.p_value > 0.05
    assert found.p_worse > 0.05
    assert found.difference.low <= 0 <= found.difference.high


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "pr_auc", "log_loss", "f1", "rmse"])
def test_copied_rows_are_no_evidence_when_they_are_clusters(metric: str) -> None:
    draw = drawn(metric)
    rows = np.tile(np.arange(300), 4)
    fight = contest(metric, draw.y, draw.challenger, draw.champion).take(rows)
    copied = worlds.Draw(draw.y[rows], fight.challenger.predictions, fight.champion.predictions)
    once, clustered = compared(metric, draw), compared(metric, copied, groups=rows)
    assert clustered.units == 300
    assert clustered.standard_error == pytest.approx(once.standard_error, rel=0.12)
    assert compared(metric, copied).standard_error < 0.7 * once.standard_error


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["accuracy", "roc_auc", "log_loss", "rmse", "pr_auc"]))
def test_p_value_and_interval_tell_the_same(seed: int, metric: str) -> None:
    found = compared(metric, drawn(metric, seed))
    if found.p_value <= 0.02:
        assert found.lower > 0
    if found.lower > 0.02 * found.standard_error:
        assert found.p_value <= 0.06
    assert found.detectable == pytest.approx(2.486 * found.standard_error, rel=1e-3)


def test_one_class_cannot_be_compared_by_order() -> None:
    answers = Predictions(np.full((40, 2), 0.5))
    assert compare("roc_auc", np.ones(40, dtype=np.int64), answers, answers) is None


def test_one_cluster_cannot_be_compared() -> None:
    draw = drawn("log_loss")
    assert compare("log_loss", draw.y, draw.challenger, draw.champion, groups=np.zeros(300, dtype=np.int64)) is None


def test_a_contest_on_some_rows_is_a_comparison_of_those() -> None:
    draw = drawn("rmse")
    rows = np.arange(50, 150)
    part = worlds.Draw(
        draw.y[rows], Predictions(values=draw.challenger.array[rows]), Predictions(values=draw.champion.array[rows])
    )
    assert contest("rmse", draw.y, draw.challenger, draw.champion).take(rows).decide() == compared("rmse", part)


def test_classes_are_matched_by_name() -> None:
    answers = Predictions(np.array([[0.2, 0.8]]))
    assert align(answers, ("no", "yes"), ("yes", "maybe", "no")).array.tolist() == [[0.8, 0.0, 0.2]]
    assert align(answers, ("no", "yes"), ("no", "yes")) is answers


@pytest.mark.parametrize(("rows", "certain"), [(4, False), (40, True)])
def test_a_faultless_order_of_few_rows_is_not_certain(rows: int, certain: bool) -> None:
    y = np.arange(rows) % 2
    perfect = Predictions(np.column_stack([1.0 - y, y]).astype(np.float64))
    constant = Predictions(np.full((rows, 2), 0.5))
    for groups in (None, np.arange(rows)):
        found = compare("roc_auc", y, perfect, constant, groups=groups)
        assert found is not None
        assert (found.p_value <= 0.001) is certain
        assert found.standard_error > 0


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1"])
@pytest.mark.parametrize("clusters", [30, 60])
def test_equal_labels_on_few_rows_do_not_prove_equal_models(metric: str, clusters: int) -> None:
    draw = worlds.hits(np.random.default_rng(0), 60, 0.0)
    found = compared(metric, worlds.Draw(draw.y, draw.champion, draw.champion), np.arange(60) % clusters)
    assert found.difference.low < -0.01
    assert found.difference.high > 0.01
    assert 0.4 < found.p_value <= 1
