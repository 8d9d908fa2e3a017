"""The seven tests: right in size, the same whatever the order, and blind to nothing they are meant to see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp, mannwhitneyu, spearmanr

from tiltyard.data.contract import Kind
from tiltyard.monitoring.comparisons import Comparison, cell_bound, compare, rank
from tiltyard.monitoring.pairs import MOST_PAIRS, choose_pairs
from tiltyard.monitoring.sample import ColumnSample, Sample

few_values = st.lists(st.integers(-3, 3).map(float), min_size=3, max_size=30).map(np.array)


def numbers(*columns: np.ndarray, rows: int | None = None, missing: int = 0) -> Sample:
    size = len(columns[0])
    named = {f"feature_{place}": ColumnSample(Kind.NUMBER, column, missing) for place, column in enumerate(columns)}
    return Sample(rows or size, size, named)


def one(kind: Kind, values: np.ndarray, **counts: int) -> Sample:
    return Sample(len(values), len(values), {"feature_x": ColumnSample(kind, values, **counts)})


def by_test(comparisons: tuple[Comparison, ...]) -> dict[str, Comparison]:
    return {comparison.test: comparison for comparison in comparisons}


@given(few_values, few_values)
def test_ranks_agree_with_scipy(first: np.ndarray, second: np.ndarray) -> None:
    ours = rank(first, second)
    assert ours.distance == pytest.approx(ks_2samp(first, second, method="asymp").statistic)
    theirs = mannwhitneyu(second, first, method="asymptotic", use_continuity=False)
    assert ours.lead == pytest.approx(theirs.statistic / (len(first) * len(second)) - 0.5)
    if np.ptp(np.concatenate([first, second])) > 0:
        assert Comparison("location", "x", "", 0.0, abs(ours.z)).p == pytest.approx(theirs.pvalue)


@given(few_values, few_values, st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 7]))
def test_ranks_do_not_know_the_unit(first: np.ndarray, second: np.ndarray, unit: object) -> None:
    assert callable(unit)
    assert rank(unit(first), unit(second))[:3] == pytest.approx(rank(first, second)[:3])


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4), st.lists(st.integers(1, 60), min_size=4, max_size=4))
def test_the_bound_is_below_both_statistics(first: list[int], second: list[int]) -> None:
    counts = np.array([first, second], dtype=np.float64)
    if not counts.sum(axis=1).all():
        return
    pearson = chi2_contingency(counts, correction=False)
    ratio = chi2_contingency(counts, correction=False, lambda_="log-likelihood")
    bound = cell_bound(counts, pearson.expected_freq)
    assert -1e-9 <= bound <= min(pearson.statistic, ratio.statistic) + 1e-9


def test_the_bound_is_the_statistic_of_many_rows() -> None:
    counts = np.array([[50_000.0, 30_000.0], [10_100.0, 5_900.0]])
    theirs = chi2_contingency(counts, correction=False)
    assert cell_bound(counts, theirs.expected_freq) == pytest.approx(theirs.statistic, rel=0.02)


def test_each_change_is_seen_by_its_test() -> None:
    rng = np.random.default_rng(0)
    before = numbers(rng.normal(size=4_000))
    for change, test in ((rng.normal(0.3, 1, 4_000), "location"), (rng.normal(0, 1.4, 4_000), "scale")):
        found = by_test(compare(before, numbers(change)))
        assert found[test].p < 1e-8
        assert found[test].effect > 0.05
        assert {"location": "scale", "scale": "location"}[test] in {each for each in found if found[each].p > 1e-3}
        assert found["distribution"].p < 1e-4
    assert by_test(compare(before, numbers(rng.normal(size=4_000), missing=200)))["missing"].effect == 0.05


def test_correlations_are_those_of_ranks() -> None:
    rng = np.random.default_rng(1)
    x, y, z = rng.normal(size=(3, 3_000))
    found = by_test(compare(numbers(x, y), numbers(x, 0.6 * x + 0.8 * z)))["correlation"]
    assert found.before == pytest.approx(spearmanr(x, y).statistic, abs=0.01)
    assert found.after == pytest.approx(spearmanr(x, 0.6 * x + 0.8 * z).statistic, abs=0.02)
    assert found.p < 1e-9


def test_a_column_that_gives_another_away_no_longer_does() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 1_000))
    same = compare(numbers(x, 2 * x), numbers(y, 2 * y))
    assert "correlation" not in by_test(same)
    assert by_test(compare(numbers(x, 2 * x), numbers(y, x)))["correlation"].p < 1e-9


@pytest.mark.parametrize(
    ("kind", "values"), [(Kind.CATEGORY, np.array(["a", None] * 200)), (Kind.TEXT, np.array(["a"]))]
)
def test_what_cannot_show_anything_is_not_tested(kind: Kind, values: np.ndarray) -> None:
    sample = one(kind, values.astype(object))
    assert compare(sample, sample) == ()


def test_shares_of_levels_and_new_ones() -> None:
    before = np.array(["a"] * 500 + ["b"] * 500, dtype=object)
    after = np.array(["a"] * 400 + ["b"] * 570 + ["c"] * 30, dtype=object)
    found = by_test(compare(one(Kind.CATEGORY, before), one(Kind.CATEGORY, after, new=30)))
    assert (found["distribution"].level, found["distribution"].before) == ("a", 0.5)
    assert found["distribution"].p < 1e-8
    assert (found["new_level"].effect, found["new_level"].after) == (0.03, 0.03)
    fewer = by_test(compare(one(Kind.CATEGORY, after, new=30), one(Kind.CATEGORY, before)))
    assert fewer["new_level"].p == 1.0


def test_booleans_are_counted() -> None:
    before, after = np.repeat([0.0, 1.0, np.nan], [600, 300, 100]), np.repeat([0.0, 1.0, np.nan], [400, 500, 100])
    found = by_test(compare(one(Kind.BOOLEAN, before), one(Kind.BOOLEAN, after)))
    assert set(found) == {"distribution"}
    assert found["distribution"].p < 1e-9


def test_rare_levels_do_not_ring() -> None:
    rng = np.random.default_rng(3)
    shares = 1.0 / np.arange(1, 301)
    names = np.array([f"level {place}" for place in range(300)], dtype=object)
    drawn = [one(Kind.CATEGORY, names[rng.choice(300, size, p=shares / shares.sum())]) for size in [5_000] + [400] * 60]
    p = np.array([compare(drawn[0], window)[0].p for window in drawn[1:]])
    assert p.min() > 1e-4


def test_a_time_that_goes_on_is_not_compared_but_one_that_comes_back_is() -> None:
    days = np.datetime64("2026-01-01", "us") + np.arange(1_000).astype("timedelta64[D]")
    assert compare(one(Kind.TIME, days), one(Kind.TIME, days + np.timedelta64(1_000, "D"))) == ()
    assert compare(one(Kind.TIME, days), one(Kind.TIME, days - np.timedelta64(100, "D")))[0].p < 1e-3


def test_pairs_of_a_wide_table_are_bounded_and_the_strongest_are_among_them() -> None:
    rng = np.random.default_rng(4)
    columns = list(rng.normal(size=(60, 500)))
    columns[50] = columns[3] + 0.5 * columns[50]
    pairs = choose_pairs(numbers(*columns).columns)
    assert len(pairs) == MOST_PAIRS
    assert ("feature_3", "feature_50") in pairs
    assert pairs == choose_pairs(numbers(*columns).columns)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_columns_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 3, 200)).round(1)
    turned = second[:, rng.permutation(200)]
    plain, other = compare(numbers(*first), numbers(*second)), compare(numbers(*first), numbers(*turned))
    assert [each.name for each in plain] == [each.name for each in other]
    assert [each.z for each in plain] == pytest.approx([each.z for each in other])


def test_pairs_chosen_for_their_strength_are_not_weaker_in_the_next_window() -> None:
    rng = np.random.default_rng(5)
    common = rng.normal(size=(2, 800))
    before, after = (0.3 * part + rng.normal(size=(80, 800)) for part in common)
    made = compare(numbers(*before), numbers(*after))
    z = np.array([(each.after - each.before) for each in made if each.test == "correlation"])
    assert abs(z.mean()) < 0.015
