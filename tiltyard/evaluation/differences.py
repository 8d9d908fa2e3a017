"""The uncertain difference of two models on the same rows: Student's, McNemar's, DeLong's and the bootstrap's.

Each has a value (positive when the challenger is better), a standard error, quantiles for intervals of any level and
two one-sided p-values: of a lead by luck, of a lag by luck.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm
from scipy.stats import t as student

from tiltyard.evaluation.bootstrap import Bca
from tiltyard.evaluation.intervals import Judged
from tiltyard.evaluation.ranking import placements
from tiltyard.evaluation.terms import Floats, Labels

EXACT_BELOW = 25


@dataclass(frozen=True)
class StudentDifference:
    """A difference whose error is normal or Student's t.

    Attributes:
        method: The test, in words.
        value: The difference.
        standard_error: Its standard error; zero when the models answer alike.
        freedom: Degrees of freedom; infinite for the normal distribution.
    """

    method: str
    value: float
    standard_error: float
    freedom: float = np.inf

    def quantile(self, level: float) -> float:
        """Return the end of the one-sided interval at a level."""
        return self.value + float(student.ppf(level, self.freedom)) * self.standard_error

    @property
    def p_values(self) -> tuple[float, float]:
        """One-sided p-values; models that answer alike are no evidence either way."""
        if self.standard_error == 0:
            return float(self.value <= 0), float(self.value >= 0)
        ratio = self.value / self.standard_error
        return float(student.sf(ratio, self.freedom)), float(student.cdf(ratio, self.freedom))


@dataclass(frozen=True)
class McNemar:
    """The difference of two accuracies on the same rows.

    Attributes:
        gained: Rows that only the challenger has right.
        lost: Rows that only the champion has right.
        rows: All rows.
    """

    gained: int
    lost: int
    rows: int

    @property
    def method(self) -> str:
        """The test, in words."""
        return "McNemar, exact" if self.gained + self.lost < EXACT_BELOW else "McNemar, mid-p"

    @property
    def value(self) -> float:
        """The difference of the accuracies."""
        return (self.gained - self.lost) / self.rows

    @property
    def standard_error(self) -> float:
        """Standard error after adding one row to either discordant cell (Bonett & Price 2012); never zero."""
        gained, lost = (self.gained + 1) / (self.rows + 2), (self.lost + 1) / (self.rows + 2)
        return float(np.sqrt((gained + lost - (gained - lost) ** 2) / (self.rows + 2)))

    def quantile(self, level: float) -> float:
        """Return the end of the one-sided interval of Bonett & Price (2012), within -1 and 1."""
        centre = (self.gained - self.lost) / (self.rows + 2)
        return float(np.clip(centre + norm.ppf(level) * self.standard_error, -1.0, 1.0))

    @property
    def p_values(self) -> tuple[float, float]:
        """One-sided p-values from the binomial distribution of the discordant rows."""
        return self._tail(self.gained), self._tail(self.lost)

    def _tail(self, wins: int) -> float:
        """Return P(X >= wins) for even odds, half of P(X = wins) taken off for mid-p."""
        discordant = self.gained + self.lost
        tail = float(binom.sf(wins - 1, discordant, 0.5))
        return tail if discordant < EXACT_BELOW else tail - 0.5 * float(binom.pmf(wins, discordant, 0.5))


@dataclass(frozen=True)
class BootstrapDifference:
    """A difference by the paired BCa bootstrap.

    Attributes:
        method: The test, in words.
        value: The difference.
        standard_error: Standard deviation over the resamples.
        bca: The bootstrap distribution.
    """

    method: str
    value: float
    standard_error: float
    bca: Bca

    def quantile(self, level: float) -> float:
        """Return the end of the one-sided interval at a level."""
        return self.bca.quantile(level)

    @property
    def p_values(self) -> tuple[float, float]:
        """One-sided p-values: the levels at which the interval just reaches zero."""
        level = self.bca.level_of(0.0)
        return level, 1.0 - level


Difference = StudentDifference | McNemar | BootstrapDifference


def mcnemar(y: Labels, challenger: Judged, champion: Judged) -> McNemar:
    """Return the paired difference of two accuracies."""
    right = challenger.predictions.labels(challenger.threshold) == y
    before = champion.predictions.labels(champion.threshold) == y
    return McNemar(int((right & ~before).sum()), int((before & ~right).sum()), len(y))


def delong(positive: NDArray[np.bool_], challenger: Floats, champion: Floats) -> StudentDifference:
    """Return the paired difference of two AUCs (DeLong et al. 1988, by the algorithm of Sun & Xu 2014).

    Args:
        positive: Which rows are positive, shape (n,); at least two of either class.
        challenger: Its scores, shape (n,).
        champion: Its scores.
    """
    lead = placements(positive, challenger) - placements(positive, champion)
    sides = (lead[positive], lead[~positive])
    variance = sum(float(side.var(ddof=1)) / len(side) for side in sides)
    return StudentDifference("DeLong", float(sides[0].mean()), float(np.sqrt(variance)))
