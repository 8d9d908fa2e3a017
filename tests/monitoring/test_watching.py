"""Which windows are scored, which score the policy is told, and what a champion is held to."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.watching import MOST_WINDOWS, label_windows, telling
from tiltyard.predictions.reading import Window

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@given(hours=st.integers(1, 24 * 60), delay=st.integers(0, 24 * 120))
def test_windows_with_labels_lie_side_by_side_up_to_the_one_that_is_looked_at(hours: int, delay: int) -> None:
    window = Window(NOON - timedelta(hours=hours), NOON)
    found = label_windows(window, timedelta(hours=delay))
    assert 1 <= len(found) <= MOST_WINDOWS
    assert found[-1] == window
    assert all(before.end == after.start for before, after in pairwise(found))
    assert found[0].end <= NOON - timedelta(hours=delay)  # all its labels have come


def score(day: int, coverage: float, *, harm: bool = False, version: int = 1, value: float | None = 0.9) -> Performance:
    """Return the score of a day."""
    return Performance(
        metric="accuracy",
        value=value,
        low=value,
        high=value,
        rows=1000,
        labelled=round(1000 * coverage),
        coverage=coverage,
        version=version,
        start=NOON + timedelta(days=day),
        end=NOON + timedelta(days=day + 1),
        harm=harm,
        sentence="…",
    )


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [
        ((), None),
        ((score(0, 0.9, value=None),), None),
        ((score(0, 0.9, version=2),), None),
        ((score(0, 1.0), score(1, 0.9), score(2, 0.1)), 1),  # few labels say little
        ((score(0, 1.0), score(1, 0.9), score(2, 0.1, harm=True)), 2),  # but for a loss that they prove
        ((score(0, 1.0, harm=True), score(1, 0.9)), 1),  # it is good again
        ((score(0, 0.1), score(1, 0.1)), 1),
    ],
)
def test_the_policy_is_told_of_the_latest_window_with_its_labels(
    scores: tuple[Performance, ...], wanted: int | None
) -> None:
    told = telling(scores, 1)
    assert (None if told is None else (told.start - NOON).days) == wanted
