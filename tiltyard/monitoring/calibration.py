"""How much good windows differ from each other anyway: what turns a p-value of fresh draws into one of real windows.

Real good windows are never draws of one distribution: weekdays, campaigns and seasons move them a little, and with rows
enough every test rings. So each test's deviate is compared with those that the same test gave in windows that were
accepted as good (`tiltyard.monitoring.overdispersion`).
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtr, ndtri

from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.findings import TESTS, Span, Test
from tiltyard.monitoring.overdispersion import Seen, tails
from tiltyard.monitoring.pairs import PAIRED_ROWS, is_wide
from tiltyard.monitoring.sample import NUMERIC, Sample
from tiltyard.project.section import Section

FEWEST_WINDOWS = 4
"""Accepted windows from which on p-values are calibrated."""

MEMORY = 12
"""Accepted windows that count in full; older ones fade."""

_SHARES = "shares"
_OF_ALL_ROWS: frozenset[Test] = frozenset({"missing", "new_level", "outside"})
_GROUPS = {
    "distribution": "place",
    "levels": "place",
    "location": "place",
    "missing": _SHARES,
    "new_level": _SHARES,
    "outside": _SHARES,
}
_LEAST = 1e-9
_LEAST_P = 1e-300

_Square = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Calibration(Section):
    """What is known of accepted windows; kept with each check, and begun anew with a new reference.

    Attributes:
        windows: How many were accepted.
        sampled: Effective size of the samples, of the reference and those windows: n m / (n + m), on average.
        counted: The same of all of their rows.
        last: The last of those windows; None when no times were given.
        squares: Mean square of each test's deviate over those windows, by the name of the comparison. A share that was
            nothing in all of them has none: what was never there does not come and go.
    """

    windows: Annotated[int, Field(ge=0)] = 0
    sampled: _Square = 0.0
    counted: _Square = 0.0
    last: Span | None = None
    squares: dict[str, _Square] = Field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether enough windows were accepted."""
        return self.windows >= FEWEST_WINDOWS

    def accept(
        self, comparisons: Sequence[Comparison], reference: Sample, current: Sample, span: Span | None = None
    ) -> "Calibration":
        """Return what is known with one more accepted window; one that lies mostly in the last one says nothing new.

        Args:
            comparisons: What was compared, of all tests.
            reference: What the window was compared with.
            current: The window.
            span: When it was.
        """
        if span is not None and self.last is not None and span.mostly_in(self.last):
            return self
        windows = self.windows + 1
        rate = 1.0 / min(windows, MEMORY)
        squares = self._without_shares(rate)
        for comparison in comparisons:
            before = self.squares.get(comparison.name, 0.0 if comparison.test in _OF_ALL_ROWS else 1.0)
            squares[comparison.name] = round(before + (comparison.z**2 - before) * rate, 3)
        rows = np.array([[reference.sampled, reference.rows], [current.sampled, current.rows]], dtype=np.float64)
        sampled, counted = _effective(rows).tolist()
        return Calibration(
            windows=windows,
            sampled=self.sampled + (sampled - self.sampled) * rate,
            counted=self.counted + (counted - self.counted) * rate,
            last=span,
            squares=squares,
        )

    def _without_shares(self, rate: float) -> dict[str, float]:
        """Return the squares were all shares nothing in the next window: then they are not among its comparisons."""
        return {
            name: round(square * (1.0 - rate), 3) if name.split(" ")[0] in _OF_ALL_ROWS else square
            for name, square in self.squares.items()
        }


def p_values(
    comparisons: Sequence[Comparison], calibration: Calibration, reference: Sample, current: Sample
) -> NDArray[np.float64]:
    """Return a p-value for each comparison: as it is, or calibrated once there are windows enough.

    Tests that good windows move alike are calibrated together. As it is stays the p-value of a test of which nothing is
    known, neither of it nor of those it goes with.

    Args:
        comparisons: All those of a check.
        calibration: What is known of accepted windows.
        reference: What was compared with.
        current: The window.

    Returns:
        Shape (comparisons,), between 0 and 1.
    """
    z = np.array([comparison.z for comparison in comparisons])
    p = np.asarray(2.0 * ndtr(-z), dtype=np.float64)
    if not calibration.ready:
        return p
    squares = np.array([calibration.squares.get(comparison.name, np.nan) for comparison in comparisons])
    sampled, counted = (
        size / max(1.0 - size / max(rows, 1), _LEAST)
        for size, rows in ((calibration.sampled, reference.sampled), (calibration.counted, reference.rows))
    )
    before = _rows(comparisons, reference, sampled, counted)
    shared = _shared(before)
    growth = _effective(_rows(comparisons, reference, current.sampled, current.rows)) / _effective(before)
    groups = np.array([_GROUPS.get(comparison.family, comparison.family) for comparison in comparisons])
    known = min(calibration.windows, MEMORY)
    for group in np.unique(groups[~np.isnan(squares)]):
        own = groups == group
        if group == _SHARES:
            own &= ~np.isnan(squares)
        p[own] = tails(z[own], Seen(squares[own], shared[own], growth[own], known))
    return p


def seen_twice(
    p: NDArray[np.float64], comparisons: Sequence[Comparison], reference: Sample, current: Sample
) -> NDArray[np.float64]:
    """Return the p-values of two windows running that show the same.

    Two deviates z with the correlation s have the mean z and its standard deviation sqrt((1 + s) / 2). The correlation
    comes from the reference that both are compared with: the fewer rows it has beside a window's, the less a second
    window says that the first has not said.

    Args:
        p: Of a single window, shape (comparisons,).
        comparisons: Of that window.
        reference: What was compared with.
        current: The window.
    """
    shared = _shared(_rows(comparisons, reference, current.sampled, current.rows))
    return np.asarray(2.0 * ndtr(ndtri(np.maximum(p, _LEAST_P) / 2) * np.sqrt(2.0 / (1.0 + shared))), dtype=np.float64)


def _rows(comparisons: Sequence[Comparison], reference: Sample, sampled: float, counted: float) -> NDArray[np.float64]:
    """Return how many rows of the reference and of a window each test compares, shape (2, comparisons)."""
    wide = is_wide(sum(column.kind in NUMERIC for column in reference.columns.values()))
    known = reference.sampled / 2 if wide else reference.sampled
    paired = min(known, PAIRED_ROWS), min(sampled, PAIRED_ROWS)
    rows = dict.fromkeys(TESTS, (reference.sampled, sampled)) | {"correlation": paired}
    rows |= dict.fromkeys(_OF_ALL_ROWS, (reference.rows, counted))
    return np.array([rows[each.test] for each in comparisons], dtype=np.float64).reshape(-1, 2).T


def _shared(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the reference in what a window differs from it by chance."""
    return np.asarray(rows[1] / np.maximum(rows.sum(axis=0), 1.0), dtype=np.float64)


def _effective(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the effective size of two samples: the inverse of what they differ by chance."""
    return np.asarray(np.maximum(rows[0] * rows[1] / np.maximum(rows.sum(axis=0), 1.0), 1.0), dtype=np.float64)
