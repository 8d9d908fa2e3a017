"""A uniformly random sample of bounded size from a stream of rows, the same in whatever order and parts they come."""

import numpy as np
import pyarrow as pa

from tiltyard.data.row_keys import Hashes, keyed, text_hashes

__all__ = ["Lottery", "text_hashes"]


class Lottery:
    """Keeps the rows whose ids have the smallest hashes.

    The k smallest of n random ranks are a uniform sample without replacement, and hashes give a row the same rank
    wherever it stands: a bottom-k sketch (Cohen & Kaplan 2007, "Summarizing data using bottom-k sketches"). Memory is
    that of at most three times the rows drawn.

    Args:
        most: Rows drawn at most.
        seed: Seed of the draw.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most = most
        self._key = f"sample {seed}"
        self._limit = np.uint64(np.iinfo(np.uint64).max)
        self._kept: list[pa.RecordBatch] = []
        self._ranks: list[Hashes] = []
        self._waiting = 0

    def add(self, batch: pa.RecordBatch, ids: pa.StringArray) -> None:
        """Let rows take part.

        Args:
            batch: The rows; all batches have the same schema.
            ids: Id of each row, no other row's.
        """
        ranks = keyed(text_hashes(ids), self._key)
        chosen = np.flatnonzero(ranks <= self._limit)
        if len(chosen) > self._most:
            chosen = chosen[np.argpartition(ranks[chosen], self._most - 1)[: self._most]]
        if len(chosen) == 0:
            return
        self._kept.append(batch.take(pa.array(chosen)))
        self._ranks.append(ranks[chosen])
        self._waiting += len(chosen)
        if self._waiting >= 2 * self._most:
            self._cut()

    def drawn(self) -> pa.RecordBatch | None:
        """Return the rows drawn, in an order that is as random as they are; None when no row took part."""
        if not self._kept:
            return None
        self._cut()
        return self._kept[0]

    def _cut(self) -> None:
        """Give up the rows that can no longer be among those drawn."""
        ranks = np.concatenate(self._ranks)
        order = np.argsort(ranks, kind="stable")[: self._most]
        table = pa.Table.from_batches(self._kept).take(pa.array(order)).combine_chunks()
        self._kept, self._ranks, self._waiting = table.to_batches(), [ranks[order]], len(order)
        if len(order) == self._most:
            self._limit = ranks[order[-1]]
