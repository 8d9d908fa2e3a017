"""Always-valid tests: right at the edges, monotone, and seldom wrong however often one looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.evaluation.sequential import FEWEST, excess, mean_interval, more_often, shifted, upper_bound

counts = st.integers(0, 10**7)
limits = st.floats(1e-6, 1 - 1e-6)


@given(data=st.data(), trials=counts, limit=limits)
def test_a_p_value_is_one_and_more_events_make_it_smaller(data: st.DataObject, trials: int, limit: float) -> None:
    events = data.draw(st.integers(0, trials))
    p_value = excess(events, trials, limit)
    assert 0.0 <= p_value <= 1.0
    if events < trials:
        assert excess(events + 1, trials, limit) <= p_value * (1 + 1e-6)


@given(data=st.data(), trials=counts, limit=limits)
def test_what_stays_within_the_limit_is_never_held_against_it(data: st.DataObject, trials: int, limit: float) -> None:
    events = data.draw(st.integers(0, math.floor(trials * limit)))
    assert excess(events, trials, limit) == 1.0


def test_the_mixture_is_the_integral_that_it_claims_to_be() -> None:
    events, trials, limit = 7, 20, 0.1
    shares = np.linspace(limit, 1, 400_001)[1:-1]
    prior = shares**-0.5 * (1 - shares) ** -0.5
    ratio = np.exp(events * np.log(shares / limit) + (trials - events) * (np.log1p(-shares) - np.log1p(-limit)))
    assert 1 / excess(events, trials, limit) == pytest.approx(float((ratio * prior).sum() / prior.sum()), rel=0.01)


def test_one_step_of_the_ratio_has_mean_at_most_one_under_every_share_of_the_null() -> None:
    limit = 0.3
    for truth in (0.0, 0.1, 0.3):
        chances = [math.comb(6, k) * truth**k * (1 - truth) ** (6 - k) for k in range(7)]
        mean = sum(chance * _ratio(k, 6, limit) for k, chance in enumerate(chances))
        assert mean <= 1 + 1e-9
    assert sum(math.comb(6, k) * 0.3**k * 0.7 ** (6 - k) * _ratio(k, 6, 0.3) for k in range(7)) == pytest.approx(1.0)


def _ratio(events: int, trials: int, limit: float) -> float:
    """Return the likelihood ratio, also where the p-value is cut at 1."""
    from scipy.special import betaln  # noqa: PLC0415
    from scipy.stats import beta  # noqa: PLC0415

    a, b = events + 0.5, trials - events + 0.5
    mixed = betaln(a, b) + beta.logsf(limit, a, b) - betaln(0.5, 0.5) - beta.logsf(limit, 0.5, 0.5)
    ratio = math.exp(mixed - events * math.log(limit) - (trials - events) * math.log1p(-limit))
    assert excess(events, trials, limit) == pytest.approx(min(1.0, 1 / ratio))
    return ratio


def test_nothing_seen_says_nothing() -> None:
    assert excess(0, 0, 0.1) == 1.0
    assert more_often(0, 0, 5, 100) == 1.0
    assert more_often(5, 5, 0, 0) == 1.0
    assert upper_bound(0, 0, 0.05) == 1.0
    assert shifted(FEWEST - 1, 100.0, 400.0) == 1.0
    assert mean_interval(0, 0.0, 0.0, 0.05).high == math.inf


def test_it_is_stable_where_counts_are_huge() -> None:
    assert excess(10**9, 10**10, 0.1) == 1.0
    assert excess(10**6, 10**6, 0.5) == 0.0
    assert 0.0 < more_often(10_500, 10**6, 90_000, 9 * 10**6) < 0.01
    assert 0.01 < upper_bound(10**7, 10**9, 0.01) < 0.0101


@given(st.integers(0, 5000), st.integers(1, 5000), st.floats(1e-4, 0.4))
def test_a_bound_is_above_what_was_seen_and_lower_for_more_doubt(events: int, more: int, alpha: float) -> None:
    trials = events + more
    bound = upper_bound(events, trials, alpha)
    assert events / trials < bound <= 1.0
    assert upper_bound(events, trials, alpha / 2) >= bound - 1e-9
    assert upper_bound(events, trials + 100, alpha) <= bound + 1e-9


def test_identical_shares_are_seldom_told_apart_however_often_one_looks() -> None:
    """At each of 100 looks in a row, 5 % must not be exceeded over all of them: here far less, for it is exact."""
    rng = np.random.default_rng(7)
    ours = rng.binomial(100, 0.01, (300, 60)).cumsum(axis=1)
    theirs = rng.binomial(900, 0.01, (300, 60)).cumsum(axis=1)
    wrong = sum(
        any(more_often(int(a), 100 * n, int(b), 900 * n) <= 0.05 for n, (a, b) in enumerate(zip(*pair, strict=True), 1))
        for pair in zip(ours, theirs, strict=True)
    )
    assert wrong / 300 <= 0.05


def test_a_bound_seldom_fails_however_often_one_looks() -> None:
    rng = np.random.default_rng(8)
    events = rng.binomial(50, 0.05, (300, 30)).cumsum(axis=1)
    wrong = sum(any(upper_bound(int(k), 50 * n, 0.1) < 0.05 for n, k in enumerate(row, 1)) for row in events)
    assert wrong / 300 <= 0.1


def test_a_mean_within_the_tolerance_is_seldom_held_against_it() -> None:
    rng = np.random.default_rng(9)
    drawn = rng.normal(0.1, 0.3, (500, 40, 50))
    totals, squares = drawn.sum(axis=2).cumsum(axis=1), (drawn**2).sum(axis=2).cumsum(axis=1)
    looks = range(1, 41)
    pairs = [list(zip(looks, *row, strict=True)) for row in zip(totals, squares, strict=True)]
    wrong = sum(any(shifted(50 * n, float(t), float(s), 0.1) <= 0.05 for n, t, s in row) for row in pairs)
    missed = sum(
        any(not (i := mean_interval(50 * n, float(t), float(s), 0.05)).low <= 0.1 <= i.high for n, t, s in row)
        for row in pairs
    )
    assert wrong / 500 <= 0.05
    assert missed / 500 <= 0.05


def test_an_interval_shrinks_and_holds_the_mean() -> None:
    widths = []
    for count in (50, 500, 5000):
        found = mean_interval(count, 0.2 * count, 0.1 * count, 0.05)
        assert found.low < 0.2 < found.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)


@given(st.integers(FEWEST, 10**6), st.floats(-1, 1), st.floats(0, 1))
def test_a_shift_is_the_more_sure_the_larger_it_is(count: int, mean: float, tolerance: float) -> None:
    squares = count * (mean**2 + 0.04)
    p_value = shifted(count, count * mean, squares, tolerance)
    assert 0.0 <= p_value <= 1.0
    assert shifted(count, count * mean, squares, tolerance + 0.1) >= p_value - 1e-12
    assert shifted(count, -count * mean, squares, tolerance) == p_value
