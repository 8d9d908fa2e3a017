"""Permutation importance: how much worse the model gets when one column is shuffled."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from tiltyard.bundle.model import Columns, Predictions
from tiltyard.evaluation.metrics import score
from tiltyard.evaluation.records import Estimate
from tiltyard.evaluation.terms import Labels
from tiltyard.project.metrics import METRICS

REPEATS = 5
MOST_ROWS = 2_000
FEWEST_ROWS = 200
PREDICTED_ROWS = 200_000
"""Rows predicted in all, whatever the number of columns: the cost is bounded by work, so that it stays reproducible."""


def permutation_importance(
    predict: Callable[[Columns], Predictions],
    columns: Columns,
    y: Labels,
    *,
    metric: str,
    threshold: float = 0.5,
    seed: int = 0,
    most_predictions: int = PREDICTED_ROWS,
) -> tuple[tuple[str, Estimate], ...]:
    """Return how much the metric drops when a column's values are shuffled (Breiman 2001; Fisher et al. 2019).

    Columns that go together share their importance: shuffling one leaves the other.

    Args:
        predict: The model.
        columns: Typed feature columns of length n.
        y: True answers, shape (n,).
        metric: Metric that drops.
        threshold: Decision threshold of the positive class.
        seed: Seed of the sample of rows and of the shuffles.
        most_predictions: Bound of the rows predicted in all; fewer rows and repeats are taken to keep it.

    Returns:
        Per column the mean drop, positive for a column that matters, with the 95 % interval over repeated shuffles;
        the largest first.
    """
    rng = np.random.default_rng(seed)
    rows, repeats = _plan(len(columns), len(y), most_predictions)
    chosen = np.sort(rng.choice(len(y), size=rows, replace=False))
    sample = {name: values[chosen] for name, values in columns.items()}
    truth = y[chosen]
    full = score(metric, truth, predict(sample), threshold=threshold)
    if not np.isfinite(full):
        return ()
    sign = 1 if METRICS[metric].greater_is_better else -1
    found = []
    for name in columns:
        shuffles = [rng.permutation(rows) for _ in range(repeats)]
        shuffled = _shuffled(predict, sample, name, shuffles)
        drops = [sign * (full - score(metric, truth, answer, threshold=threshold)) for answer in shuffled]
        found.append((name, _over_repeats(np.array(drops))))
    return tuple(sorted(found, key=lambda one: -one[1].value))


def _plan(columns: int, rows: int, most_predictions: int) -> tuple[int, int]:
    """Return rows and repeats that keep the number of predictions within the bound."""
    repeats = int(np.clip(most_predictions // max(1, columns * FEWEST_ROWS), 2, REPEATS))
    allowed = max(FEWEST_ROWS, most_predictions // max(1, columns * repeats))
    return min(rows, MOST_ROWS, allowed), repeats


def _shuffled(
    predict: Callable[[Columns], Predictions], sample: Columns, name: str, shuffles: list[NDArray[np.int64]]
) -> list[Predictions]:
    """Return the answers with one column shuffled, all shuffles in one call of the model."""
    repeats = len(shuffles)
    stacked = {other: np.concatenate([values] * repeats) for other, values in sample.items()}
    stacked[name] = np.concatenate([sample[name][shuffle] for shuffle in shuffles])
    answers = predict(stacked)
    parts = np.split(answers.array, repeats)
    return [Predictions(values=part) if answers.probabilities is None else Predictions(part) for part in parts]


def _over_repeats(drops: NDArray[np.float64]) -> Estimate:
    """Return the mean drop with Student's interval."""
    mean = float(drops.mean())
    reach = float(student.ppf(0.975, len(drops) - 1) * drops.std(ddof=1) / np.sqrt(len(drops)))
    return Estimate(value=mean, low=mean - reach, high=mean + reach)
