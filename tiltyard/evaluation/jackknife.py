"""The jackknife: a metric with each unit left out, which gives its standard error.

For a mean it is exactly the textbook standard error (Tukey 1958; Efron 1982), so the difference of two mean losses is
the paired t-test; for ratios, roots and AUCs it is the linear approximation; with clusters as units it is the
cluster-robust one.
"""

from dataclasses import dataclass

import numpy as np

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.metrics import RANKING, score
from tiltyard.evaluation.ranking import ranking_influence
from tiltyard.evaluation.terms import Floats, Labels, Terms, terms_of
from tiltyard.evaluation.units import Units


@dataclass(frozen=True)
class Jackknife:
    """A metric and what it would be without each unit.

    Attributes:
        value: The metric.
        left_out: The metric without each unit, shape (units,).
    """

    value: float
    left_out: Floats

    @property
    def standard_error(self) -> float:
        """Standard error of the value; NaN when there are fewer than two units."""
        units = len(self.left_out)
        if units < 2:
            return float("nan")
        spread = self.left_out - self.left_out.mean()
        return float(np.sqrt((units - 1) / units * (spread @ spread)))

    @property
    def acceleration(self) -> float:
        """How the standard error changes with the value: the constant a of BCa (Efron 1987)."""
        lift = self.left_out.mean() - self.left_out
        below = float((lift @ lift) ** 1.5)
        return float((lift**3).sum() / (6.0 * below)) if below > 0 else 0.0

    def __sub__(self, other: "Jackknife") -> "Jackknife":
        """Return the difference of two metrics on the same units."""
        return Jackknife(self.value - other.value, self.left_out - other.left_out)

    def __neg__(self) -> "Jackknife":
        """Return the metric turned round."""
        return Jackknife(-self.value, -self.left_out)


def jackknife_terms(terms: Terms, units: Units) -> Jackknife:
    """Return the jackknife of a metric of sums, exactly."""
    parts = units.total(terms.rows)
    sums = parts.sum(axis=0)
    return Jackknife(float(terms.combine(sums)), terms.combine(sums - parts))


def jackknife(metric: str, y: Labels, predictions: Predictions, threshold: float, units: Units) -> Jackknife:
    """Return the jackknife of any metric: exact for sums, by the influence of every row for ROC-AUC and PR-AUC.

    Args:
        metric: Name of the metric.
        y: Class codes or values, shape (n,).
        predictions: Answers for the same rows.
        threshold: Decision threshold of the positive class.
        units: Which rows belong together.
    """
    if metric not in RANKING:
        return jackknife_terms(terms_of(metric, y, predictions, threshold), units)
    value = score(metric, y, predictions)
    influence = units.total(ranking_influence(metric, y, predictions))
    return Jackknife(value, value - influence * units.count / max(units.count - 1, 1))
