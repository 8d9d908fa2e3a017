"""Allotment: which rows fall into which share, with blocks of rows that stay together. Pure functions on arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.row_keys import Hashes, keyed

Integers = NDArray[np.int64]


def allot(blocks: Hashes, strata: Integers, shares: Sequence[float], key: str, *, fill: bool = False) -> Integers:
    """Deal blocks of rows into shares at random, exactly within every stratum.

    Blocks are ranked by a keyed hash of their content and cut by cumulated rows, so that rows appended later hardly
    move the old ones: the cut shifts only by its sampling error. A block that lies across a cut goes where its middle
    lies. A block counts for the stratum that most of its rows belong to.

    Args:
        blocks: uint64, shape (n,); rows of equal value stay together.
        strata: int64 ≥ 0, shape (n,); every stratum is cut by itself.
        shares: All shares but the last, each of [0, 1); the last share takes the rest, at least one block of
            every stratum.
        key: Different keys give unrelated allotments.
        fill: Give every share above 0 a block of every stratum, where it has enough blocks.

    Returns:
        int64, shape (n,): 0 … len(shares).
    """
    if len(blocks) == 0:
        return np.zeros(0, dtype=np.int64)
    unique, inverse, weights = np.unique(blocks, return_inverse=True, return_counts=True)
    stratum = _majority(inverse, strata, len(unique))
    order = np.lexsort((unique, keyed(unique, key), stratum))
    answer = np.empty(len(unique), dtype=np.int64)
    starts = np.flatnonzero(np.diff(stratum[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        answer[members] = cut(weights[members], shares, fill=fill)
    return answer[inverse]


def allot_in_order(ranks: Integers, shares: Sequence[float]) -> Integers:
    """Cut an order, such as time, into consecutive shares; rows of equal rank stay together.

    Every share above 0 gets rows where there are enough ranks.

    Args:
        ranks: int64, shape (n,); lower comes first.
        shares: All shares but the last, in order; the last takes the rest.

    Returns:
        int64, shape (n,): 0 … len(shares).
    """
    if len(ranks) == 0:
        return np.zeros(0, dtype=np.int64)
    _, inverse, weights = np.unique(ranks, return_inverse=True, return_counts=True)
    return cut(weights, shares, fill=True)[inverse]


def cut(weights: Integers, shares: Sequence[float], *, fill: bool = False) -> Integers:
    """Cut a sequence of blocks by cumulated weight; each block goes where its middle lies.

    With weights of one, share i gets exactly the rounded number of blocks, and the last share at least one.

    Args:
        weights: Rows per block, int64, shape (b,).
        shares: All shares but the last.
        fill: Give every share above 0 a block, where there are enough.

    Returns:
        int64, shape (b,): 0 … len(shares).

    Example:
        >>> cut(np.array([1, 1, 1, 1]), [0.5]).tolist()
        [0, 0, 1, 1]
    """
    total = int(weights.sum())
    bounds = np.minimum(np.rint(np.cumsum(shares) * total), total - weights[-1])
    middles = np.cumsum(weights) - weights / 2
    ends = np.searchsorted(middles, bounds, side="left").astype(np.int64)
    if fill:
        ends = _filled(ends, [share > 0 for share in shares], len(weights))
    return np.searchsorted(ends, np.arange(len(weights)), side="right").astype(np.int64)


def _filled(ends: Integers, wanted: Sequence[bool], count: int) -> Integers:
    """Move the ends of shares so that each wanted one, and the last, has a block; unchanged if there are too few."""
    if count < sum(wanted) + 1:
        return ends
    moved = [int(end) for end in ends]
    for i, is_wanted in enumerate(wanted):
        moved[i] = max(moved[i], (moved[i - 1] if i else 0) + is_wanted)
    limit = count - 1  # the last share keeps a block
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - wanted[i]
    return np.array(moved, dtype=np.int64)


def straddling(parts: NDArray[np.int8], blocks: Hashes, precedence: Sequence[int]) -> NDArray[np.bool_]:
    """Find the rows that must go so that no block stands in two parts.

    Args:
        parts: int8, shape (n,); negative is in no part.
        blocks: uint64, shape (n,).
        precedence: Parts, the one that keeps its rows first.

    Returns:
        bool, shape (n,): True where a row's block also stands in a part of higher precedence.
    """
    rank = np.full(max(precedence) + 1, len(precedence))
    rank[list(precedence)] = np.arange(len(precedence))
    inside = np.flatnonzero(parts >= 0)
    unique, inverse = np.unique(blocks[inside], return_inverse=True)
    best = np.full(len(unique), len(precedence))
    own = rank[parts[inside]]
    np.minimum.at(best, inverse, own)
    answer = np.zeros(len(parts), dtype=np.bool_)
    answer[inside] = own > best[inverse]
    return answer


def _majority(blocks: Integers, strata: Integers, count: int) -> Integers:
    """Return the most frequent stratum of every block (the lowest of equals), int64, shape (count,)."""
    width = int(strata.max()) + 1
    pairs, sizes = np.unique(blocks * width + strata, return_counts=True)
    block, stratum = np.divmod(pairs, width)
    order = np.lexsort((stratum, -sizes, block))
    answer = np.empty(count, dtype=np.int64)
    answer[block[order][::-1]] = stratum[order][::-1]  # the first of each block is written last
    return answer
