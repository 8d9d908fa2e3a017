"""Cross-validation folds inside the rows that train and validate."""

import numpy as np

from tiltyard.data.allotment import Integers, allot, allot_in_order

Fold = tuple[Integers, Integers]
"""Row numbers to train on, row numbers to score on."""


def shuffled_folds(rows: Integers, blocks: Integers, strata: Integers, count: int, key: str) -> list[Fold]:
    """Deal rows into folds, exactly within every stratum; blocks never straddle a fold.

    Args:
        rows: Row numbers, int64, shape (m,).
        blocks: Block of each of them, int64, shape (m,).
        strata: Stratum of each of them, int64, shape (m,).
        count: Number of folds, at least 2.
        key: Different keys give unrelated folds.

    Returns:
        Folds that have rows on both sides, row numbers ascending.
    """
    fold = allot(blocks.astype(np.uint64), strata, [1 / count] * (count - 1), key)
    folds = [(rows[fold != i], rows[fold == i]) for i in range(count)]
    return [(train, score) for train, score in folds if len(train) and len(score)]


def forward_folds(rows: Integers, blocks: Integers, order: Integers, count: int) -> list[Fold]:
    """Chain folds forward in time: train on everything before a stretch, score on the stretch.

    The time is cut into `count + 1` stretches of about equal rows; the first only trains. Rows of a block that has
    already been trained on are not scored.

    Args:
        rows: Row numbers, int64, shape (m,).
        blocks: Block of each of them, int64, shape (m,).
        order: Time rank of each of them, int64, shape (m,).
        count: Number of folds, at least 2.

    Returns:
        Folds that have rows on both sides, row numbers ascending.
    """
    stretch = allot_in_order(order, [1 / (count + 1)] * count)
    folds = []
    for i in range(1, count + 1):
        before = stretch < i
        score = (stretch == i) & ~np.isin(blocks, blocks[before])
        if before.any() and score.any():
            folds.append((rows[before], rows[score]))
    return folds
