"""A metric of one model with its 95 % confidence interval, by the method that suits the metric.

- Accuracy, and precision and recall of two classes: Wilson's score interval, with the effective number of rows when
  rows belong together.
- ROC-AUC and PR-AUC: DeLong's or the influence standard error on the logit scale; a perfect AUC by Newcombe's score
  interval, because its standard error of zero says nothing.
- Everything else: BCa bootstrap over units (ECE: the basic bootstrap, which takes out its upward bias).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

from tiltyard.bundle.model import Predictions
from tiltyard.errors import DataError
from tiltyard.evaluation.bootstrap import Bca, resampled_sums
from tiltyard.evaluation.jackknife import Jackknife, jackknife, jackknife_terms
from tiltyard.evaluation.metrics import RANKING, score
from tiltyard.evaluation.records import Estimate
from tiltyard.evaluation.terms import Labels, Terms, terms_of
from tiltyard.evaluation.units import Units
from tiltyard.project.metrics import METRICS

LEVEL = 0.95
_TAIL = (1.0 - LEVEL) / 2.0
_Z = float(norm.ppf(1.0 - _TAIL))


@dataclass(frozen=True)
class Judged:
    """What one model answered on the rows that judge.

    Attributes:
        y: Class codes or values, shape (n,).
        predictions: Answers for the same rows.
        threshold: Decision threshold of the positive class.
        units: Which rows belong together.
    """

    y: Labels
    predictions: Predictions
    threshold: float
    units: Units

    def take(self, rows: NDArray[np.int64]) -> "Judged":
        """Return the same for some of the rows."""
        array = self.predictions.array[rows]
        some = Predictions(values=array) if self.predictions.probabilities is None else Predictions(array)
        return Judged(self.y[rows], some, self.threshold, Units.of(len(rows), self.units.codes[rows]))

    def score(self, metric: str) -> float:
        """Return a metric; NaN where it is not defined."""
        return score(metric, self.y, self.predictions, threshold=self.threshold)

    def jackknife(self, metric: str) -> Jackknife:
        """Return a metric with each unit left out."""
        return jackknife(metric, self.y, self.predictions, self.threshold, self.units)


def wilson(share: float, rows: float) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927).

    Args:
        share: Observed share, 0 to 1.
        rows: Rows it is a share of; may be an effective number.

    Example:
        >>> [round(end, 4) for end in wilson(1.0, 38)]
        [0.9082, 1.0]
    """
    centre = share + _Z**2 / (2 * rows)
    reach = _Z * np.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2))
    low, high = (centre - reach) / (1 + _Z**2 / rows), (centre + reach) / (1 + _Z**2 / rows)
    return max(0.0, float(low)), min(1.0, float(high))


def newcombe(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """Return the 95 % score interval of an AUC (Newcombe 2006, part 2, method 5); sensible at 0 and 1 too.

    Args:
        area: Observed AUC.
        positives: Rows of the positive class.
        negatives: Rows of the other.
    """
    half = (positives + negatives) / 2 - 1

    def deviation(true: float) -> float:
        spread = 1 + half * ((1 - true) / (2 - true) + true / (1 + true))
        return abs(true - area) - _Z * float(np.sqrt(true * (1 - true) * spread / (positives * negatives)))

    inside = float(np.clip(area, 1e-9, 1 - 1e-9))  # 0 and 1 solve the equation too, but say nothing
    low = 0.0 if area <= 1e-9 else float(brentq(deviation, 1e-9, inside))
    high = 1.0 if area >= 1 - 1e-9 else float(brentq(deviation, inside, 1 - 1e-9))
    return low, high


def _logit_interval(value: float, standard_error: float) -> tuple[float, float]:
    """Return a normal interval on the logit scale, brought back; it stays within 0 and 1."""
    centre = np.log(value / (1 - value))
    reach = _Z * standard_error / (value * (1 - value))
    low, high = (1 / (1 + np.exp(-np.clip(end, -700, 700))) for end in (centre - reach, centre + reach))
    return float(low), float(high)


def _share_interval(knife: Jackknife, rows: float, units: Units) -> tuple[float, float]:
    """Return Wilson's interval; with clusters, for as many independent rows as would give the same error."""
    if units.clustered:
        error = knife.standard_error
        spread = knife.value * (1 - knife.value)
        rows = min(rows, spread / error**2) if error > 0 and spread > 0 else min(rows, units.count)
    return wilson(knife.value, rows)


def _ranking_interval(metric: str, judged: Judged, knife: Jackknife) -> tuple[float, float]:
    """Return the interval of ROC-AUC or PR-AUC; at a perfect score, that of as many independent rows as units."""
    error, value = knife.standard_error, knife.value
    if error > 1e-12 and 0 < value < 1:
        return _logit_interval(value, error)
    fewest, others = _sizes(judged)
    return wilson(value, fewest) if metric == "pr_auc" else newcombe(value, fewest, others)


def _sizes(judged: Judged) -> tuple[int, int]:
    """Return independent rows of the rarest class and of all others, at least one each."""
    sizes = np.bincount(judged.y.astype(np.int64))
    fewest, shrink = int(sizes[sizes > 0].min()), judged.units.count / len(judged.y)
    return max(1, round(fewest * shrink)), max(1, round((len(judged.y) - fewest) * shrink))


def least_error(judged: Judged) -> float:
    """Return the standard error that an order without a fault still has on so few rows."""
    low, high = newcombe(1.0, *_sizes(judged))
    return (high - low) / _Z


def _bootstrap_interval(metric: str, terms: Terms, judged: Judged, seed: int) -> tuple[float, float]:
    """Return the bootstrap interval: basic for ECE, which only errs upwards, else BCa; Student's for few units."""
    knife = jackknife_terms(terms, judged.units)
    if judged.units.count < 20:
        return _student_interval(metric, knife)
    draws = terms.combine(resampled_sums(terms.rows, judged.units, seed))
    if metric == "ece":
        upper, lower = np.quantile(draws[np.isfinite(draws)], [1 - _TAIL, _TAIL])
        return max(0.0, 2 * knife.value - float(upper)), max(knife.value, 2 * knife.value - float(lower))
    bca = Bca.of(draws, knife)
    return bca.quantile(_TAIL), bca.quantile(1 - _TAIL)


def _student_interval(metric: str, knife: Jackknife) -> tuple[float, float]:
    """Return Student's interval, kept within what the metric can be."""
    reach = float(student.ppf(1 - _TAIL, len(knife.left_out) - 1)) * knife.standard_error
    low, high = knife.value - reach, knife.value + reach
    if metric != "r2":
        low = max(0.0, low)
    if METRICS[metric].greater_is_better:
        high = min(1.0, high)
    return low, high


def estimate(metric: str, judged: Judged, *, seed: int = 0, quick: bool = False) -> Estimate | None:
    """Return a metric with its 95 % interval.

    Args:
        metric: Name of the metric.
        judged: What the model answered.
        seed: Seed of the bootstrap.
        quick: Take Student's interval with the jackknife error instead of the bootstrap; for many small groups.

    Returns:
        The estimate; None where the metric is not defined on these rows, or on these rows without one of them.

    Raises:
        DataError: There are fewer than two independent units, so that nothing can be said about certainty.
    """
    value = judged.score(metric)
    if not np.isfinite(value):
        return None
    if judged.units.count < 2:
        raise DataError(
            f"{judged.units.count} independent row cannot judge a model", cure="Give at least two rows or groups."
        )
    low, high = _interval(metric, judged, seed, quick=quick)
    if not np.isfinite([low, high]).all():
        return None
    return Estimate(value=value, low=min(low, value), high=max(high, value))


def _interval(metric: str, judged: Judged, seed: int, *, quick: bool) -> tuple[float, float]:
    if metric in RANKING:
        return _ranking_interval(metric, judged, judged.jackknife(metric))
    terms = terms_of(metric, judged.y, judged.predictions, judged.threshold)
    binary = judged.predictions.probabilities is not None and judged.predictions.probabilities.shape[1] == 2
    if metric == "accuracy" or (binary and metric in {"precision", "recall"}):
        rows = float(terms.rows.sum(axis=0)[{"accuracy": 1, "precision": 1, "recall": 2}[metric]])
        return _share_interval(jackknife_terms(terms, judged.units), max(rows, 1.0), judged.units)
    if quick:
        return _student_interval(metric, jackknife_terms(terms, judged.units))
    return _bootstrap_interval(metric, terms, judged, seed)
