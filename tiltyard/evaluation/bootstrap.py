"""The bootstrap over units, with the BCa interval, for metrics that are functions of sums."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from tiltyard.evaluation.jackknife import Jackknife
from tiltyard.evaluation.terms import Floats
from tiltyard.evaluation.units import Units

RESAMPLES = 2000
MOST_UNITS = 10_000
"""More units are joined at random into this many, so that the cost is bounded."""
_CELLS_AT_ONCE = 4_000_000


def resampled_sums(rows: Floats, units: Units, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return the sums over resamples of the units, drawn with replacement (Efron 1979).

    Args:
        rows: What each row adds to each sum, shape (n, m).
        units: Which rows belong together.
        seed: Seed of the resampling; the same seed and number of units draw the same resamples.
        resamples: Number of resamples B.

    Returns:
        Shape (B, m).
    """
    joined = units.merged(MOST_UNITS, seed)
    parts, count = joined.total(rows), joined.count
    rng = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_ONCE // max(count, 1))
    blocks = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(0, count, size=(size, count), dtype=np.int64)
        drawn += np.arange(size)[:, None] * count
        weights = np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count)
        blocks.append(weights.astype(np.float64) @ parts)
    return np.concatenate(blocks)


@dataclass(frozen=True)
class Bca:
    """The bias-corrected and accelerated bootstrap distribution of a statistic (Efron 1987, JASA 82).

    Attributes:
        draws: The statistic on the resamples, sorted, finite.
        bias: Bias correction z0.
        acceleration: Constant a.
    """

    draws: Floats
    bias: float
    acceleration: float

    @classmethod
    def of(cls, draws: Floats, jackknife: Jackknife) -> "Bca":
        """Return the distribution from the statistic on resamples and its jackknife."""
        kept = np.sort(draws[np.isfinite(draws)])
        return cls(kept, float(norm.ppf(_share_below(kept, jackknife.value))), jackknife.acceleration)

    def quantile(self, level: float) -> float:
        """Return the end of the one-sided interval at a level, such as 0.025 or 0.975."""
        shifted = self.bias + float(norm.ppf(level))
        corrected = norm.cdf(self.bias + shifted / (1.0 - self.acceleration * shifted))
        return float(np.quantile(self.draws, corrected))

    def level_of(self, value: float) -> float:
        """Return the level whose quantile is `value`: the one-sided p-value of a true value of at most `value`."""
        shifted = float(norm.ppf(_share_below(self.draws, value))) - self.bias
        return float(norm.cdf(shifted / (1.0 + self.acceleration * shifted) - self.bias))


def _share_below(draws: Floats, value: float) -> float:
    """Return the share of draws below a value, ties counting half, kept off 0 and 1 by half a draw."""
    share = (np.sum(draws < value) + 0.5 * np.sum(draws == value)) / len(draws)
    return float(np.clip(share, 0.5 / len(draws), 1.0 - 0.5 / len(draws)))
