"""ROC-AUC and PR-AUC: values by brute force, influence by taking rows away."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tiltyard.evaluation.ranking import placements, pr_auc, pr_auc_influence, roc_auc, roc_auc_influence


def ranked(seed: int, rows: int = 80) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.4
    positive[:2] = [True, False]
    return positive, (rng.normal(size=rows) + positive).round(1)


@given(st.integers(0, 10_000))
def test_auc_counts_pairs(seed: int) -> None:
    positive, scores = ranked(seed, 30)
    gaps = scores[positive][:, None] - scores[~positive][None, :]
    assert roc_auc(positive, scores) == pytest.approx(((gaps > 0) + 0.5 * (gaps == 0)).mean())


@given(st.integers(0, 10_000))
def test_placements_average_to_the_auc_in_both_classes(seed: int) -> None:
    positive, scores = ranked(seed)
    shares = placements(positive, scores)
    area = roc_auc(positive, scores)
    assert (shares[positive].mean(), shares[~positive].mean()) == pytest.approx((area, area))


@given(st.integers(0, 10_000))
def test_auc_of_turned_scores_is_turned(seed: int) -> None:
    positive, scores = ranked(seed)
    assert roc_auc(positive, -scores) == pytest.approx(1 - roc_auc(positive, scores))


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc"])
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_influence_is_the_effect_of_a_little_more_of_a_row(metric: str, seed: int) -> None:
    value, influence = (roc_auc, roc_auc_influence) if metric == "roc_auc" else (pr_auc, pr_auc_influence)
    positive, scores = ranked(seed, 60)
    copies, row = 400, seed % 60
    many = np.append(np.tile(positive, copies), positive[row]), np.append(np.tile(scores, copies), scores[row])
    effect = (value(*many) - value(positive, scores)) * (60 * copies + 1)
    assert influence(positive, scores)[row] * 60 == pytest.approx(effect, rel=0.05, abs=0.02)


def test_influence_sums_to_nothing() -> None:
    positive, scores = ranked(3, 500)
    assert roc_auc_influence(positive, scores).sum() == pytest.approx(0, abs=1e-12)
    assert pr_auc_influence(positive, scores).sum() == pytest.approx(0, abs=1e-12)


def test_one_class_has_no_order() -> None:
    nobody = np.zeros(3, dtype=bool)
    assert np.isnan(roc_auc(nobody, np.arange(3.0)))
    assert np.isnan(pr_auc(nobody, np.arange(3.0)))
