"""Many tests of columns that matter more and less: weights, their parts, and the correction for many tests."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.discovery import false_discovery_rates, share_out, weigh
from tiltyard.monitoring.findings import Test

COLUMNS = ("feature_a", "feature_b", "feature_c", "probability_yes")


def made(test: Test, *names: str) -> Comparison:
    return Comparison(test, names[0], names[1] if len(names) > 1 else "", 0.0, 1.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.data())
def test_weighted_rates_are_those_of_the_correction(p: list[float], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.floats(0, 10), min_size=len(p), max_size=len(p)))
    rates = false_discovery_rates(np.array(p), np.array(weights))
    assert ((rates >= 0) & (rates <= 1)).all()
    alike = false_discovery_rates(np.array(p), np.ones(len(p)))
    assert (alike >= np.array(p) - 1e-12).all()
    order = np.argsort(p)
    assert (np.diff(alike[order]) >= -1e-12).all()


@given(st.dictionaries(st.sampled_from(["feature_a", "feature_b", "feature_c"]), st.floats(0, 100)))
def test_features_weigh_one_on_average_and_answers_as_much_as_any(importance: dict[str, float]) -> None:
    weights = weigh(list(COLUMNS), importance)
    features = [weight for column, weight in weights.items() if column.startswith("feature_")]
    assert np.mean(features) == pytest.approx(1.0)
    assert weights["probability_yes"] >= max(features)


def test_a_column_shares_its_weight_among_its_tests() -> None:
    comparisons = [made("distribution", "a"), made("location", "a"), made("missing", "a"), made("distribution", "b")]
    assert share_out(comparisons, {"a": 1.0, "b": 1.0}) == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])
    important = share_out(comparisons, {"a": 2.0, "b": 0.0})
    assert important == pytest.approx([0.5, 0.5, 0.5, 0.5])
    assert share_out([], {}).shape == (0,)


def test_all_pairs_of_a_column_are_one_of_its_tests() -> None:
    names = ("a", "b", "c")
    single = [made("location", name) for name in names]
    pairs = [made("correlation", *pair) for pair in (("a", "b"), ("a", "c"), ("b", "c"))]
    alike = share_out(single + pairs, dict.fromkeys(names, 1.0))
    assert alike == pytest.approx(np.full(6, 0.5))
    assert alike.sum() == pytest.approx(3.0)
    parts = share_out(single + pairs, {"a": 0.0, "b": 1.5, "c": 1.5})
    assert parts[3:] == pytest.approx([0.25, 0.25, 0.625])


def test_tests_without_any_weight_are_alike() -> None:
    assert false_discovery_rates(np.array([0.01, 0.04]), np.zeros(2)) == pytest.approx([0.02, 0.04])
    assert share_out([made("location", "a")], {"a": 0.0}) == pytest.approx([1.0])


def test_a_test_with_a_larger_part_needs_less() -> None:
    p = np.array([0.004, 0.004])
    more, less = false_discovery_rates(p, np.array([3.0, 1.0]))
    assert more < less
    assert more == pytest.approx(0.004 * 2 / 1.5)
