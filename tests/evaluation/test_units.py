"""Units, resampling and corrections: the small parts that everything rests on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.evaluation.bootstrap import resampled_sums
from tiltyard.evaluation.jackknife import Jackknife
from tiltyard.evaluation.multiplicity import holm
from tiltyard.evaluation.units import Units, time_blocks


def test_totals_are_per_group() -> None:
    units = Units.of(4, np.array([7, 3, 7, 7]))
    assert units.count == 2
    assert units.clustered
    assert units.total(np.array([1.0, 10.0, 2.0, 4.0])).tolist() == [10.0, 7.0]


def test_groups_of_one_row_are_rows() -> None:
    units = Units.of(3, np.array([9, 1, 5]))
    assert not units.clustered
    assert units.total(np.array([1.0, 2.0, 3.0])).tolist() == [2.0, 3.0, 1.0]


def test_joined_units_keep_clusters_whole() -> None:
    joined = Units.of(3000, np.arange(3000) // 3).merged(100, seed=1)
    assert joined.count == 100
    assert (joined.codes.reshape(-1, 3) == joined.codes[::3, None]).all()


def test_resampled_sums_have_the_right_mean_and_spread() -> None:
    values = np.random.default_rng(0).normal(3, 2, (500, 1))
    sums = resampled_sums(values, Units.of(500), seed=1) / 500
    assert sums.mean() == pytest.approx(values.mean(), abs=0.01)
    assert sums.std() == pytest.approx(values.std() / np.sqrt(500), rel=0.06)


def test_joining_many_units_keeps_the_spread() -> None:
    values = np.random.default_rng(0).normal(3, 2, (30_000, 1))
    sums = resampled_sums(values, Units.of(30_000), seed=1, resamples=500) / 30_000
    assert sums.std() == pytest.approx(values.std() / np.sqrt(30_000), rel=0.1)


def test_the_jackknife_of_a_mean_is_the_textbook_error() -> None:
    values = np.random.default_rng(0).normal(size=50)
    left_out = (values.sum() - values) / 49
    error = Jackknife(values.mean(), left_out).standard_error
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(50))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_never_lowers_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, corrected, strict=True))
    assert all(0 <= value <= 1 for value in corrected)
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [after for _, after in pairs] == sorted(corrected)


def test_blocks_of_time_hold_neighbours_and_keep_equal_times_together() -> None:
    days = np.datetime64("2026-01-01", "us") + np.repeat(np.arange(100), 10) * np.timedelta64(1, "D")
    blocks = time_blocks(days)
    assert len(np.unique(blocks)) == 100
    assert all(len(np.unique(blocks[days == day])) == 1 for day in np.unique(days))
    hours = np.datetime64("2026-01-01", "us") + np.arange(1000) * np.timedelta64(1, "h")
    assert np.bincount(time_blocks(hours)).max() == 10


def test_missing_times_make_one_block() -> None:
    times = np.array(["2026-01-01", "NaT", "2026-01-02", "NaT"], dtype="datetime64[us]")
    assert time_blocks(times)[1] == time_blocks(times)[3]
    assert len(time_blocks(times[:0])) == 0
