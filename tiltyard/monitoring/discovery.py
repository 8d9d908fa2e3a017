"""Many tests at once, of columns that matter more and less: weights, and the correction for their number."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.sample import is_answer

UNIMPORTANT = 0.1
"""Weight below which a column carries next to nothing of the score: only a large change of it is worth a warning."""

_LEAST = 1e-9


def weigh(columns: Sequence[str], importance: Mapping[str, float]) -> dict[str, float]:
    """Return a weight for each column: features have the mean 1, answers the largest weight of any.

    Args:
        columns: Names as in the prediction log.
        importance: By name of a feature, at least 0; those without one weigh as much as the others do on average.
            What is negative counts as 0.

    Example:
        >>> weigh(["feature_a", "feature_b", "prediction"], {"feature_a": 3.0, "feature_b": 1.0})
        {'feature_a': 1.5, 'feature_b': 0.5, 'prediction': 1.5}
    """
    features = [column for column in columns if not is_answer(column)]
    given = [max(0.0, importance[column]) for column in features if column in importance]
    ordinary = float(np.mean(given)) if given and sum(given) > 0 else 1.0
    raw = {column: max(0.0, importance.get(column, ordinary)) for column in features}
    mean = float(np.mean(list(raw.values()))) if raw else 1.0
    weights = {column: weight / mean if mean > 0 else 1.0 for column, weight in raw.items()}
    largest = max([1.0, *weights.values()])
    return {column: weights.get(column, largest) for column in columns}


def weight_of(comparison: Comparison, weights: Mapping[str, float]) -> float:
    """Return the weight of a comparison: a pair matters as much as its less important column."""
    weight = weights[comparison.column]
    return min(weight, weights[comparison.other]) if comparison.other else weight


def share_out(comparisons: Sequence[Comparison], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return what each test weighs: those of a column share what the column weighs, all of its pairs being one of them.

    So many pairs take little from the columns, and a column that is asked one thing has as good a chance as one that is
    asked five. Half of a weight is the same for all columns, so that none goes unseen.

    Args:
        comparisons: All those of a check.
        weights: By name of the column.

    Returns:
        Shape (comparisons,), above 0.
    """
    alone = Counter(each.column for each in comparisons if not each.other)
    paired = Counter(name for each in comparisons if each.other for name in (each.column, each.other))
    mean = float(np.mean([weights[name] for name in alone.keys() | paired.keys()])) if comparisons else 0.0
    parts = {
        name: (mean + weights[name]) / 2 / (alone[name] + (name in paired)) if mean > 0 else 1.0
        for name in alone.keys() | paired.keys()
    }

    def share(comparison: Comparison) -> float:
        if not comparison.other:
            return parts[comparison.column]
        return 2.0 * min(parts[name] / paired[name] for name in (comparison.column, comparison.other))

    return np.array([share(comparison) for comparison in comparisons])


def false_discovery_rates(p: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each test the least rate of false discoveries at which it is one.

    Benjamini and Hochberg (1995) with weights: p is divided by the weight, whose mean is made 1 (Genovese, Roeder and
    Wasserman 2006). A test without weight is none.

    Args:
        p: Shape (tests,), between 0 and 1.
        weights: Shape (tests,), at least 0.

    Returns:
        Shape (tests,), at most 1.

    Example:
        >>> false_discovery_rates(np.array([0.01, 0.04, 0.9]), np.ones(3)).round(3).tolist()
        [0.03, 0.06, 0.9]
    """
    count = len(p)
    if not count:
        return p
    mean = float(np.mean(weights))
    weighted = p / np.maximum(weights / mean if mean > 0 else np.ones(count), _LEAST)
    order = np.argsort(weighted, kind="stable")
    rates = weighted[order] * count / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(rates[::-1])[::-1])
    return adjusted
