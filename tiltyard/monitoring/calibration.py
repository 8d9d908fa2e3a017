"""How much good windows differ from each other anyway: what turns a p-value of fresh draws into one of real windows.

Real good windows are never draws of one distribution: weekdays, campaigns and seasons move them a little, and with rows
enough every test rings. So each test's deviate is compared with those that the same test gave in windows that were
accepted as good.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtr, polygamma, stdtr

from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.findings import Span
from tiltyard.monitoring.sample import Sample
from tiltyard.project.section import Section

FEWEST_WINDOWS = 4
"""Accepted windows from which on p-values are calibrated."""

MEMORY = 12
"""Accepted windows that count in full; older ones fade."""

LEAST_SHRINKAGE, MOST_SHRINKAGE = 8.0, 200.0
"""Windows that the other tests of the family count for: few where columns differ much in how they move, many where all
move alike."""

_CAP = 3.0
_SPREAD = 4.0
_MARGINAL = ("distribution", "levels", "location", "scale", "missing")
_PAIRED = ("correlation",)

_Square = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Calibration(Section):
    """What is known of accepted windows; kept with each check, and begun anew with a new reference.

    Attributes:
        windows: How many were accepted.
        sampled: Effective size of the samples, of the reference and those windows: n m / (n + m), on average.
        counted: The same of all of their rows.
        last: The last of those windows; None when no times were given.
        squares: Mean square of each test's deviate over those windows, by the name of the comparison.
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
        squares = dict(self.squares)
        for comparison in comparisons:
            before = squares.get(comparison.name, 1.0)
            squares[comparison.name] = round(before + (comparison.z**2 - before) * rate, 3)
        sampled, counted = _sizes(reference, current)
        return Calibration(
            windows=windows,
            sampled=self.sampled + (sampled - self.sampled) * rate,
            counted=self.counted + (counted - self.counted) * rate,
            last=span,
            squares=squares,
        )


def p_values(
    comparisons: Sequence[Comparison], calibration: Calibration, reference: Sample, current: Sample
) -> NDArray[np.float64]:
    """Return a p-value for each comparison: as it is, or calibrated once there are windows enough.

    A test's overdispersion is the mean square of its deviates over the accepted windows, shrunk to the mean of its
    family and never below 1 (as of generalised linear models: McCullagh and Nelder 1989, section 4.5; the shrinkage is
    that of Smyth 2004, section 3). A calibrated p is the two-sided tail of Student's t with a degree of freedom for
    each window that counts, those that the family counts for included. What lies between good windows does not shrink
    with more rows, so the part above 1 grows with them.

    Args:
        comparisons: All those of a check.
        calibration: What is known of accepted windows.
        reference: What was compared with.
        current: The window.

    Returns:
        Shape (comparisons,), between 0 and 1.
    """
    z = np.array([comparison.z for comparison in comparisons])
    if not calibration.ready:
        return np.asarray(2.0 * ndtr(-z), dtype=np.float64)
    known = min(calibration.windows, MEMORY)
    squares = np.array([calibration.squares.get(comparison.name, np.nan) for comparison in comparisons])
    families = [comparison.family for comparison in comparisons]
    usual = _family_means(squares, families)
    own = np.where(np.isnan(squares), usual, squares)
    strength = _shrinkage(squares, families, known)
    factors = np.maximum(1.0, (known * own + strength * usual) / (known + strength))
    factors = 1.0 + (factors - 1.0) * _growth(comparisons, calibration, reference, current)
    return np.asarray(2.0 * stdtr(known + strength, -z / np.sqrt(factors)), dtype=np.float64)


def _shrinkage(squares: NDArray[np.float64], families: Sequence[str], windows: int) -> NDArray[np.float64]:
    """Return for each comparison how many windows its family counts for (Smyth 2004, section 6.2).

    Tests that move alike have mean squares that differ by chance alone, as chi² with a degree of freedom for each
    window does; what their logarithms vary more, by more than the standard error of that, says how much they differ in
    truth. Tests of single columns are asked together, those of pairs apart.
    """
    strength = np.full(len(families), MOST_SHRINKAGE)
    names = np.array(families)
    for group in (_MARGINAL, _PAIRED):
        spread, free = 0.0, 0
        for family in group:
            members = squares[(names == family) & (squares > 0)]
            if len(members) > 1:
                logs = np.log(members)
                spread += float(np.sum((logs - logs.mean()) ** 2))
                free += len(members) - 1
        chance = float(polygamma(1, windows / 2))
        excess = spread / free - chance * (1.0 + np.sqrt(_SPREAD / free)) if free else 0.0
        strength[np.isin(names, group)] = np.clip(_twice_inverse_trigamma(excess), LEAST_SHRINKAGE, MOST_SHRINKAGE)
    return strength


def _twice_inverse_trigamma(excess: float) -> float:
    """Return d with trigamma(d / 2) = excess, by a table; infinite where nothing is in excess."""
    if excess <= 0:
        return float("inf")
    grid = np.geomspace(1.0, 2 * MOST_SHRINKAGE, 400)
    return float(np.interp(-excess, -polygamma(1, grid / 2), grid))


def _family_means(squares: NDArray[np.float64], families: Sequence[str]) -> NDArray[np.float64]:
    """Return for each comparison the mean square of its family; one wild column does not blind the others."""
    names, places = np.unique(families, return_inverse=True)
    means = np.ones(len(names))
    for family in range(len(names)):
        members = squares[(places == family) & ~np.isnan(squares)]
        if len(members):
            means[family] = np.mean(np.minimum(members, _CAP * max(1.0, float(np.median(members)))))
    return np.asarray(np.maximum(1.0, means)[places], dtype=np.float64)


def _growth(
    comparisons: Sequence[Comparison], calibration: Calibration, reference: Sample, current: Sample
) -> NDArray[np.float64]:
    sampled, counted = _sizes(reference, current)
    growth = (sampled / max(calibration.sampled, 1.0), counted / max(calibration.counted, 1.0))
    over_all_rows = [comparison.test in {"missing", "new_level", "outside"} for comparison in comparisons]
    return np.where(over_all_rows, growth[1], growth[0])


def _sizes(reference: Sample, current: Sample) -> tuple[float, float]:
    """Return the effective sizes of two samples, of their sampled and of all of their rows."""
    sampled, counted = (
        n * m / max(n + m, 1) for n, m in ((reference.sampled, current.sampled), (reference.rows, current.rows))
    )
    return sampled, counted
