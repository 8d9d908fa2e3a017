"""Independent units: the rows, or the clusters of rows that belong together, or blocks of neighbouring times.

Rows of one customer or of one hour are not independent evidence. Everything uncertain in this room is computed over
units, and is then right for clusters too (Obuchowski 1997; Cameron & Miller 2015).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiltyard.evaluation.terms import Floats


@dataclass(frozen=True)
class Units:
    """Which unit every row is of.

    Attributes:
        codes: Unit of each row, 0…count-1, shape (n,).
        count: Number of units.
        clustered: Whether some unit has several rows.
    """

    codes: NDArray[np.int64]
    count: int
    clustered: bool

    @classmethod
    def of(cls, rows: int, groups: NDArray[np.int64] | None = None) -> "Units":
        """Return one unit per row, or per distinct group.

        Args:
            rows: Number of rows n.
            groups: Group of each row, any integers, shape (n,).
        """
        if groups is None:
            return cls(np.arange(rows), rows, clustered=False)
        distinct, codes = np.unique(groups, return_inverse=True)
        return cls(codes.astype(np.int64), len(distinct), clustered=len(distinct) < rows)

    def total(self, values: Floats) -> Floats:
        """Return the sum of `values`, shape (n,) or (n, m), over the rows of each unit."""
        if not self.clustered and np.array_equal(self.codes, np.arange(len(self.codes))):
            return values
        if values.ndim == 1:
            return np.bincount(self.codes, weights=values, minlength=self.count).astype(np.float64)
        return np.column_stack([self.total(column) for column in values.T])

    def merged(self, most: int, seed: int) -> "Units":
        """Return at most `most` units, by joining units at random.

        Independent units stay independent when joined at random, so a resample of the joined ones is still valid;
        its cost no longer grows with the table.
        """
        if self.count <= most:
            return self
        block = np.random.default_rng(seed).permutation(self.count) % most
        return Units(block[self.codes], most, clustered=True)


def time_blocks(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return blocks of neighbouring rows in time, for use as groups.

    Blocks hold about n^(1/3) rows, the rate of Hall, Horowitz & Jing (1995) for dependent data; rows of one time
    stay together.

    Args:
        times: Time of each row, shape (n,); missing times make one block.

    Returns:
        Block of each row, shape (n,).
    """
    if not len(times):
        return np.zeros(0, dtype=np.int64)
    distinct, codes, counts = np.unique(times, return_inverse=True, return_counts=True)
    length = max(1, round(len(times) ** (1 / 3)))
    before = np.cumsum(counts) - counts
    blocks = before // length
    if np.isnat(distinct[-1]):
        blocks[-1] = blocks[-1] + 1
    return np.asarray(blocks[codes], dtype=np.int64)
