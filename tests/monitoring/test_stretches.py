"""Data that is broken in a part of a window is named; what comes back every night is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.monitoring.feeds import CONTRACT, Values, values
from tests.monitoring.feeds import sample as sample_of
from tiltyard.monitoring.stretches import check_stretches

ROWS = 1_200
TIMES = np.datetime64("2026-11-14T00:00", "us") + np.arange(ROWS) * np.timedelta64(30, "s")
PART = slice(300, 700)


def without(column: NDArray[Any]) -> NDArray[Any]:
    return np.full(len(column), None if column.dtype == object else np.nan, dtype=column.dtype)


def broken(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Values:
    found = values(ROWS, seed=2)
    found[name][PART] = change(found[name][PART])
    return found


@pytest.mark.parametrize(
    ("name", "change", "kind"),
    [
        ("weight", without, "null_filled"),
        ("plan", without, "null_filled"),
        ("income", lambda column: 100 * column, "shifted_unit"),
        ("plan", lambda column: np.array([f"{level} plan" for level in column], dtype=object), "wrong_schema"),
    ],
)
def test_a_part_that_is_broken_is_named_with_its_time(
    name: str, change: Callable[[NDArray[Any]], NDArray[Any]], kind: str
) -> None:
    order = np.random.default_rng(3).permutation(ROWS)  # rows of a sample are in no order
    shuffled = {column: found[order] for column, found in broken(name, change).items()}
    found = check_stretches(sample_of(shuffled), TIMES[order], sample_of(values(3_000, seed=1)), CONTRACT)
    assert [(one.kind, one.columns) for one in found] == [(kind, (f"feature_{name}",))]
    assert 0.2 < found[0].share <= 0.4
    assert found[0].sentence.startswith("From 2026-11-14 0")


def test_what_comes_back_every_night_is_no_break() -> None:
    before, now = values(3_000, seed=1), values(ROWS, seed=2)
    night = np.arange(3_000) % ROWS
    gone = (night >= PART.start) & (night < PART.stop)
    before["weight"][gone] = np.nan
    before["income"][gone] *= 100
    now["weight"][PART] = np.nan
    now["income"][PART] *= 100
    assert check_stretches(sample_of(now), TIMES, sample_of(before), CONTRACT) == ()


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_where_nothing_is_broken(seed: int) -> None:
    found = check_stretches(sample_of(values(ROWS, seed=seed)), TIMES, sample_of(values(3_000, seed=99)), CONTRACT)
    assert found == ()


def test_a_window_of_few_rows_is_no_stretches() -> None:
    few = {name: column[:200] for name, column in broken("weight", without).items()}
    assert check_stretches(sample_of(few), TIMES[:200], sample_of(values(3_000, seed=1)), CONTRACT) == ()
