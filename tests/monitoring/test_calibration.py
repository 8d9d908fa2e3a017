"""What accepted windows teach, and what they cannot."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.special import ndtri

from tiltyard.data.contract import Kind
from tiltyard.monitoring.calibration import FEWEST_WINDOWS, Calibration, p_values
from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.findings import Span
from tiltyard.monitoring.sample import ColumnSample, Sample

ROWS = Sample(5_000, 5_000)


def made(z: np.ndarray) -> list[Comparison]:
    return [Comparison("location", f"feature_{place}", "", 0.1, abs(float(each))) for place, each in enumerate(z)]


def learned(spread: np.ndarray, windows: int, seed: int = 0) -> Calibration:
    rng = np.random.default_rng(seed)
    calibration = Calibration()
    for _ in range(windows):
        calibration = calibration.accept(made(rng.normal(0, spread)), ROWS, ROWS)
    return calibration


def p_of(z: float, calibration: Calibration, columns: int = 40, current: Sample = ROWS) -> np.ndarray:
    return p_values(made(np.full(columns, z)), calibration, ROWS, current)


def test_p_is_plain_until_there_are_windows_enough() -> None:
    z = float(-ndtri(0.005))
    assert p_of(z, learned(np.full(40, 5.0), FEWEST_WINDOWS - 1)) == pytest.approx(np.full(40, 0.01))
    assert p_of(z, learned(np.full(40, 5.0), FEWEST_WINDOWS)).min() > 0.3


def test_calibration_never_makes_a_test_surer() -> None:
    for spread in (0.3, 1.0, 3.0):
        assert (p_of(3.0, learned(np.full(40, spread), 6)) >= p_of(3.0, Calibration()) - 1e-12).all()


def test_draws_of_one_distribution_lose_next_to_nothing() -> None:
    assert np.median(p_of(6.0, learned(np.ones(40), 6))) < 1e-6


def test_columns_that_move_alike_are_all_known_and_wild_ones_stand_alone() -> None:
    alike = p_of(4.0, learned(np.full(40, 2.0), 6))
    assert 0.02 < np.median(alike) < 0.1
    spread = np.ones(40)
    spread[0] = 12.0
    one_wild = p_of(6.0, learned(spread, 6))
    assert one_wild[0] > 0.01
    assert np.median(one_wild[1:]) < 0.002


def test_what_lies_between_windows_grows_with_their_rows() -> None:
    calibration = learned(np.full(40, 2.0), 6)
    larger = Sample(500_000, 500_000)
    few, many = (p_values(made(np.full(40, 4.0)), calibration, ROWS, current) for current in (Sample(600, 600), larger))
    assert few.max() < np.median(p_of(4.0, calibration)) < many.min() + 0.1
    assert (many > few).all()


def test_a_column_that_was_never_seen_is_judged_like_its_family() -> None:
    calibration = learned(np.full(40, 3.0), 6)
    assert p_of(3.0, calibration, 41)[40] > 0.1


def test_a_window_that_was_counted_is_not_counted_again() -> None:

    start = datetime(2026, 11, 1, tzinfo=UTC)
    first = Span(start=start, end=start + timedelta(days=7))
    daily = Span(start=start + timedelta(days=1), end=start + timedelta(days=8))
    calibration = Calibration().accept(made(np.ones(3)), ROWS, ROWS, first)
    assert calibration.accept(made(np.ones(3)), ROWS, ROWS, daily) is calibration
    later = Span(start=start + timedelta(days=4), end=start + timedelta(days=11))
    assert calibration.accept(made(np.ones(3)), ROWS, ROWS, later).windows == 2


def test_it_survives_being_stored() -> None:
    calibration = learned(np.ones(5), 5)
    assert Calibration.model_validate_json(calibration.model_dump_json()) == calibration
    sample = Sample(1, 1, {"feature_0": ColumnSample(Kind.NUMBER, np.zeros(1))})
    assert p_values([], calibration, sample, sample).shape == (0,)
