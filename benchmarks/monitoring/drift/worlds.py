"""Tables in which the truth about drift is known: a reference, and windows in which nothing or one thing has changed.

Behind every column stands a normal variable; columns of two in three rows go together a little. Thirteen columns of
twenty are numbers (normal, skewed, rounded), the others categories of three to eight levels; every fourth column lacks
5 % of its values.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tiltyard.data.contract import Kind
from tiltyard.monitoring.reference import FEWEST_ROWS as FEWEST_REFERENCE_ROWS
from tiltyard.monitoring.reference import MOST_CELLS, MOST_ROWS
from tiltyard.monitoring.sample import ColumnSample, Sample
from tiltyard.monitoring.windows import SAMPLED_ROWS

MISSING = 0.05
_BIN = 0.5
_LOADING = 0.3


@dataclass(frozen=True)
class Change:
    """What is otherwise than in the reference.

    Attributes:
        shift: Added to the mean of the first numeric column, in standard deviations.
        scale: Factor of the standard deviation of the first three numeric columns.
        mix: Share of rows that goes from the most frequent level of the first category to its rarest.
        new: Share of rows with a level that the contract does not know, in the first category.
        missing: Share of values lost by the first three numeric columns.
        correlation: Rank correlation that the first two numeric columns have more, nearly.
        wobble: Standard deviation of what every column moves by, drawn anew for each window.
        uneven: Whether columns wobble by 0 to twice as much, instead of all alike.
    """

    shift: float = 0.0
    scale: float = 1.0
    mix: float = 0.0
    new: float = 0.0
    missing: float = 0.0
    correlation: float = 0.0
    wobble: float = 0.0
    uneven: bool = False


NOTHING = Change()


@dataclass(frozen=True)
class World:
    """How large tables are.

    Attributes:
        columns: How many.
        rows: Of a window.
        reference_rows: Of the reference; as many as are kept of a version when None.
    """

    columns: int = 20
    rows: int = 5_000
    reference_rows: int | None = None

    @property
    def numbers(self) -> int:
        """Columns that are numbers."""
        return round(self.columns * 13 / 20)

    def reference(self, rng: np.random.Generator) -> Sample:
        """Draw a reference."""
        kept = min(MOST_ROWS, max(FEWEST_REFERENCE_ROWS, MOST_CELLS // self.columns))
        return replace(self, rows=self.reference_rows or kept).window(rng)

    def window(self, rng: np.random.Generator, change: Change = NOTHING) -> Sample:
        """Draw a window.

        Args:
            rng: Where it comes from.
            change: What is otherwise than in the reference.
        """
        sampled = min(self.rows, SAMPLED_ROWS)
        behind = self._behind(rng, sampled, change)
        columns: dict[str, ColumnSample] = {}
        for place, values in enumerate(behind):
            missing = (MISSING if place % 4 == 3 else 0.0) + (change.missing if place < 3 else 0.0)
            if place < self.numbers:
                columns[f"feature_number{place}"] = self._number(rng, place, values, missing)
            else:
                first = place == self.numbers
                columns[f"feature_category{place}"] = self._category(rng, place, values, change if first else NOTHING)
        return Sample(self.rows, sampled, columns)

    def _behind(self, rng: np.random.Generator, rows: int, change: Change) -> NDArray[np.float64]:
        values = rng.standard_normal((self.columns, rows))
        values[4:] = _LOADING * rng.standard_normal(rows) + np.sqrt(1 - _LOADING**2) * values[4:]
        if change.correlation:
            rest = np.sqrt(1 - change.correlation**2)
            values[1] = change.correlation * values[0] + rest * values[1]
        values[:3] *= change.scale
        values[0] += change.shift
        if change.wobble:
            each = 2 * np.arange(self.columns) / (self.columns - 1) if change.uneven else np.ones(self.columns)
            values += (change.wobble * each * rng.standard_normal(self.columns))[:, None]
        return values

    def _lost(self, rng: np.random.Generator, sampled: int, share: float) -> tuple[NDArray[np.bool_], int]:
        """Return which sampled values are missing, and how many are among all rows."""
        gone = rng.random(sampled) < share
        return gone, int(gone.sum() + rng.binomial(self.rows - sampled, share))

    def _number(
        self, rng: np.random.Generator, place: int, behind: NDArray[np.float64], missing: float
    ) -> ColumnSample:
        values = (behind, np.exp(behind), np.round(behind / _BIN))[0 if place < 3 else place % 3]
        if not missing:
            return ColumnSample(Kind.NUMBER, values.copy())
        gone, count = self._lost(rng, len(values), missing)
        return ColumnSample(Kind.NUMBER, np.where(gone, np.nan, values), count)

    def _category(
        self, rng: np.random.Generator, place: int, behind: NDArray[np.float64], change: Change
    ) -> ColumnSample:
        levels = 3 + place % 6
        shares = 1.0 / np.arange(1, levels + 1)
        bounds = norm.ppf(np.cumsum(shares / shares.sum())[:-1])
        codes = np.searchsorted(bounds, behind)
        if change.mix:
            codes[(codes == 0) & (rng.random(len(codes)) < change.mix * shares.sum())] = levels - 1
        new = 0
        if change.new:
            fresh, new = self._lost(rng, len(codes), change.new)
            codes[fresh] = levels
        names: NDArray[Any] = np.array([f"level {code}" for code in range(levels + 1)], dtype=object)
        return ColumnSample(Kind.CATEGORY, names[codes], new=new)


CHANGES: tuple[tuple[str, Change], ...] = (
    ("mean +0.1 sd in 1 column", Change(shift=0.1)),
    ("mean +0.25 sd in 1 column", Change(shift=0.25)),
    ("scale x 1.25 in 3 columns", Change(scale=1.25)),
    ("category mix 5 %", Change(mix=0.05)),
    ("new level 2 %", Change(new=0.02)),
    ("missing +5 % in 3 columns", Change(missing=0.05)),
    ("correlation only", Change(correlation=0.3)),
)
"""What can be found, with its name."""
