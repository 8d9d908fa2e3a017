"""Two models on the same rows: the difference, its interval, its p-values and what the rows could have found.

Both models answer the same rows, so their errors go together and only the difference is uncertain; two separate
intervals that overlap say little. One test per kind of metric:

- accuracy: McNemar (1947), exact below 25 discordant rows, else mid-p (Fagerland, Lydersen & Laake 2013), with the
  interval of Bonett & Price (2012);
- ROC-AUC of two classes: DeLong, DeLong & Clarke-Pearson (1988);
- log loss, Brier, RMSE, MAE, MAPE, PR-AUC, ROC-AUC of several classes, and everything on few units: Student's t on
  the jackknifed difference, which for a mean loss is the paired t-test;
- precision, recall, F1, ECE, R²: paired BCa bootstrap (Efron 1987), 2,000 resamples.

With clusters, accuracy and ROC-AUC go by the jackknife over clusters too.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.bootstrap import Bca, resampled_sums
from tiltyard.evaluation.differences import BootstrapDifference, Difference, McNemar, StudentDifference, delong, mcnemar
from tiltyard.evaluation.intervals import Judged, least_error
from tiltyard.evaluation.jackknife import Jackknife
from tiltyard.evaluation.metrics import RANKING
from tiltyard.evaluation.records import Comparison, Estimate
from tiltyard.evaluation.terms import Labels, terms_of
from tiltyard.evaluation.units import Units
from tiltyard.project.metrics import METRICS

POWER = 0.80
FEWEST_FOR_BOOTSTRAP = 20
_OF_LABELS = frozenset({"accuracy", "precision", "recall", "f1"})
BOOTSTRAPPED = frozenset({"precision", "recall", "f1", "ece", "r2"})


def align(predictions: Predictions, classes: tuple[object, ...], into: tuple[object, ...]) -> Predictions:
    """Return probabilities in another order of classes; a class the model does not know has probability 0.

    Args:
        predictions: Answers of a model.
        classes: Its classes, in the order of its columns.
        into: The order wanted.
    """
    if predictions.probabilities is None or classes == into:
        return predictions
    columns = np.zeros((len(predictions.probabilities), len(into)))
    for code, name in enumerate(into):
        if name in classes:
            columns[:, code] = predictions.probabilities[:, classes.index(name)]
    return Predictions(probabilities=columns)


def _jackknifed(metric: str, challenger: Judged, champion: Judged, sign: int) -> StudentDifference:
    ours, theirs = challenger.jackknife(metric), champion.jackknife(metric)
    difference = ours - theirs if sign > 0 else theirs - ours
    method = "jackknife t" if metric in {"roc_auc", "pr_auc", *BOOTSTRAPPED} else "paired t"
    if challenger.units.clustered:
        method += f", {challenger.units.count:,} clusters"
    return StudentDifference(method, difference.value, difference.standard_error, challenger.units.count - 1)


def _bootstrapped(metric: str, challenger: Judged, champion: Judged, sign: int, seed: int) -> BootstrapDifference:
    ours = terms_of(metric, challenger.y, challenger.predictions, challenger.threshold)
    theirs = terms_of(metric, champion.y, champion.predictions, champion.threshold)
    width = ours.rows.shape[1]
    sums = resampled_sums(np.column_stack([ours.rows, theirs.rows]), challenger.units, seed)
    draws = sign * (ours.combine(sums[:, :width]) - theirs.combine(sums[:, width:]))
    knife: Jackknife = challenger.jackknife(metric) - champion.jackknife(metric)
    knife = knife if sign > 0 else -knife
    method = "paired BCa bootstrap" + (f", {challenger.units.count:,} clusters" if challenger.units.clustered else "")
    return BootstrapDifference(method, knife.value, float(np.nanstd(draws, ddof=1)), Bca.of(draws, knife))


def _two_rankings(judged: Judged) -> bool:
    """Return whether DeLong's test applies: two classes of at least two independent rows each."""
    two = judged.predictions.array.shape[1] == 2
    return two and not judged.units.clustered and int(np.bincount(judged.y.astype(np.int64), minlength=2).min()) >= 2


def _difference(metric: str, challenger: Judged, champion: Judged, seed: int) -> Difference:
    """Return the difference by the method that suits the metric and the rows."""
    sign = 1 if METRICS[metric].greater_is_better else -1
    y, units = challenger.y, challenger.units
    if metric == "accuracy" and not units.clustered:
        return mcnemar(y, challenger, champion)
    if metric == "roc_auc" and _two_rankings(challenger):
        ours, theirs = challenger.predictions.array, champion.predictions.array
        return delong(y == 1, ours[:, 1], theirs[:, 1])
    if metric in BOOTSTRAPPED and units.count >= FEWEST_FOR_BOOTSTRAP:
        return _bootstrapped(metric, challenger, champion, sign, seed)
    return _jackknifed(metric, challenger, champion, sign)


@dataclass(frozen=True)
class Contest:
    """Two models that answered the same rows.

    Attributes:
        metric: What they are compared by.
        challenger: Its answers.
        champion: Those of the model to beat, on the same rows and classes.
        alpha: One-sided error rate.
        seed: Seed of the bootstrap, where one is needed.
    """

    metric: str
    challenger: Judged
    champion: Judged
    alpha: float = 0.05
    seed: int = 0

    def take(self, rows: NDArray[np.int64]) -> "Contest":
        """Return the contest on some of the rows."""
        return replace(self, challenger=self.challenger.take(rows), champion=self.champion.take(rows))

    def decide(self) -> Comparison | None:
        """Compare the two; None when the metric or its error is not defined on these rows."""
        units = self.challenger.units
        scores = self.challenger.score(self.metric), self.champion.score(self.metric)
        if units.count < 2 or not np.isfinite(scores).all():
            return None
        difference = self._difference()
        return _record(self, scores, difference) if np.isfinite(difference.standard_error) else None

    def _difference(self) -> Difference:
        """Return the difference, never certain: few rows can hide that two models are not alike."""
        difference = _difference(self.metric, self.challenger, self.champion, self.seed)
        if difference.standard_error > 1e-12:
            return difference
        units = self.challenger.units.count
        if self.metric in _OF_LABELS:
            error = McNemar(0, 0, units).standard_error
            return StudentDifference("no discordant rows", difference.value, error, units - 1)
        if self.metric in RANKING and difference.value != 0:
            return StudentDifference(difference.method, difference.value, least_error(self.challenger))
        return difference


def compare(  # noqa: PLR0913  # the two models, the rows and the error rate are all one comparison has
    metric: str,
    y: Labels,
    challenger: Predictions,
    champion: Predictions,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    groups: NDArray[np.int64] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> Comparison | None:
    """Compare two models on the same rows.

    Args:
        metric: What to compare by.
        y: Class codes (int64) or values (float64), shape (n,).
        challenger: Its answers to the n rows.
        champion: Those of the model to beat, classes in the same order (see `align`).
        thresholds: Decision thresholds of the two.
        groups: Cluster of each row (customer, block of time), shape (n,); rows are independent when left out.
        alpha: One-sided error rate of the bound and of the detectable difference.
        seed: Seed of the bootstrap, where one is needed.

    Returns:
        The comparison, positive for a better challenger; None when the metric or its error is not defined on these
        rows (one class only, fewer than two independent units).
    """
    return contest(
        metric, y, challenger, champion, thresholds=thresholds, groups=groups, alpha=alpha, seed=seed
    ).decide()


def contest(  # noqa: PLR0913  # as for `compare`
    metric: str,
    y: Labels,
    challenger: Predictions,
    champion: Predictions,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    groups: NDArray[np.int64] | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> Contest:
    """Return two models on the same rows, ready to be compared as a whole and by slices; arguments as `compare`."""
    units = Units.of(len(y), groups)
    ours, theirs = Judged(y, challenger, thresholds[0], units), Judged(y, champion, thresholds[1], units)
    return Contest(metric, ours, theirs, alpha, seed)


def _record(contest: Contest, scores: tuple[float, float], difference: Difference) -> Comparison:
    better, worse = difference.p_values
    value, error, alpha = difference.value, difference.standard_error, contest.alpha
    return Comparison(
        metric=contest.metric,
        method=difference.method,
        rows=len(contest.challenger.y),
        units=contest.challenger.units.count,
        challenger=scores[0],
        champion=scores[1],
        difference=Estimate(
            value=value, low=min(value, difference.quantile(0.025)), high=max(value, difference.quantile(0.975))
        ),
        standard_error=error,
        alpha=alpha,
        lower=min(value, difference.quantile(alpha)),
        p_value=better,
        p_worse=worse,
        detectable=float(norm.ppf(1 - alpha) + norm.ppf(POWER)) * error,
    )
