"""Assignment: every row of a table gets its part, by the split method in force.

What stays together: the rows of a group where there is a group column, else the rows whose features are all equal.
Where the cut is given, what straddles it is excluded: by time the later rows are, by a column the training rows, so
that the given test rows stay as they are. In a table with a group column, or split by time, equal features in another
group or at a later time are excluded as copies too, unless that would cost more than half of a part: then repetition
is in the nature of the table, and a note says so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.allotment import Integers, allot, allot_in_order, straddling
from tiltyard.data.parts import Part
from tiltyard.data.row_keys import Hashes

Parts = NDArray[np.int8]

JUDGE_FIRST = (Part.TEST, Part.CALIBRATION, Part.VALIDATION, Part.TRAIN)
EARLIER_FIRST = (Part.TRAIN, Part.VALIDATION, Part.CALIBRATION, Part.TEST)
NATURAL = 0.5
"""Copies that would cost more than this share of a part are no copies but the nature of the table."""


@dataclass(frozen=True)
class Shares:
    """Shares of the rows; the rest trains.

    Attributes:
        test: Share that judges.
        validation: Share that chooses.
        calibration: Share that calibrates; 0 when calibration is not wanted.
    """

    test: float
    validation: float
    calibration: float


@dataclass(frozen=True)
class Layout:
    """What a split needs to know of n rows.

    Attributes:
        usable: Rows that may be used at all, bool, shape (n,).
        blocks: Rows of equal value stay together: the group, or the copies where there is none; uint64, shape (n,).
        copies: Hash of the features, uint64, shape (n,).
        grouped: Whether a group column makes the blocks.
        strata: Class of the target, int64 ≥ 0, shape (n,); all 0 where strata are not wanted.
        order: Time rank, int64, shape (n,); all 0 where time does not matter.
    """

    usable: NDArray[np.bool_]
    blocks: Hashes
    copies: Hashes
    grouped: bool
    strata: Integers
    order: Integers


def assign_shuffled(layout: Layout, shares: Shares, key: str) -> tuple[Parts, tuple[str, ...]]:
    """Deal blocks by hash, exactly within every stratum.

    Returns:
        Parts, int8, shape (n,); notes on what was excluded.
    """
    parts = _dealt(layout, np.flatnonzero(layout.usable), shares, key)
    return _without_copies(parts, layout, JUDGE_FIRST) if layout.grouped else (parts, ())


def assign_by_time(layout: Layout, shares: Shares) -> tuple[Parts, tuple[str, ...]]:
    """Cut the time: the earliest rows train, the latest judge; rows of the same time stay together.

    Returns:
        Parts, int8, shape (n,); notes on what was excluded.
    """
    rows = np.flatnonzero(layout.usable)
    train = 1 - shares.test - shares.validation - shares.calibration
    stretch = allot_in_order(layout.order[rows], [train, shares.validation, shares.calibration])
    parts = _excluded(len(layout.usable))
    parts[rows] = np.array(EARLIER_FIRST, dtype=np.int8)[stretch]
    if not layout.grouped:
        return _without_copies(parts, layout, EARLIER_FIRST)
    parts, notes = _without_groups(parts, layout.blocks, EARLIER_FIRST)
    parts, more = _without_copies(parts, layout, EARLIER_FIRST)
    return parts, (*notes, *more)


def assign_given(layout: Layout, given: Parts, shares: Shares, key: str) -> tuple[Parts, tuple[str, ...]]:
    """Take the parts as given; validation and calibration rows that are wanted but not given come out of training.

    Args:
        layout: The rows.
        given: Parts from the table, int8, shape (n,).
        shares: Shares of all rows; those of validation and calibration are taken relative to what does not judge.
        key: Different keys give unrelated allotments.

    Returns:
        Parts, int8, shape (n,); notes on what was excluded.
    """
    parts = np.where(layout.usable, given, Part.EXCLUDED).astype(np.int8)
    parts, notes = _without_groups(parts, layout.blocks, JUDGE_FIRST)
    if layout.grouped:
        parts, more = _without_copies(parts, layout, JUDGE_FIRST)
        notes = (*notes, *more)
    missing = Shares(
        test=0.0,
        validation=0.0 if (parts == Part.VALIDATION).any() else shares.validation / (1 - shares.test),
        calibration=0.0 if (parts == Part.CALIBRATION).any() else shares.calibration / (1 - shares.test),
    )
    train = np.flatnonzero(parts == Part.TRAIN)
    parts[train] = _dealt(layout, train, missing, key)[train]
    return parts, notes


def _dealt(layout: Layout, rows: Integers, shares: Shares, key: str) -> Parts:
    """Deal some rows by hash; the others are in no part.

    Where a few large blocks would leave a part empty, they are dealt without regard to strata.
    """
    held_out = [shares.test, shares.validation, shares.calibration]
    share = allot(layout.blocks[rows], layout.strata[rows], held_out, key)
    if any(wanted and not (share == i).any() for i, wanted in enumerate(held_out)):
        share = allot(layout.blocks[rows], np.zeros_like(rows), held_out, key, fill=True)
    parts = _excluded(len(layout.usable))
    parts[rows] = np.array([Part.TEST, Part.VALIDATION, Part.CALIBRATION, Part.TRAIN], dtype=np.int8)[share]
    return parts


def _excluded(count: int) -> Parts:
    """Return parts of rows that are in none."""
    return np.full(count, Part.EXCLUDED, dtype=np.int8)


def _without_groups(parts: Parts, blocks: Hashes, precedence: tuple[Part, ...]) -> tuple[Parts, tuple[str, ...]]:
    """Exclude rows whose block also stands in a part of higher precedence, at any cost."""
    out = straddling(parts, blocks, precedence)
    if not out.any():
        return parts, ()
    note = f"{out.sum()} rows are left out because their group or copy stands in another part"
    return np.where(out, np.int8(Part.EXCLUDED), parts), (note,)


def _without_copies(parts: Parts, layout: Layout, precedence: tuple[Part, ...]) -> tuple[Parts, tuple[str, ...]]:
    """Exclude copies of rows in a part of higher precedence, unless repetition is the nature of the table."""
    out = straddling(parts, layout.copies, precedence)
    if not out.any():
        return parts, ()
    lost = max(out[parts == part].mean() for part in precedence if (parts == part).any())
    if lost > NATURAL:
        return parts, (f"{out.sum()} rows repeat the features of rows in another part, too many to be copies: kept",)
    note = f"{out.sum()} rows are left out because they repeat the features of rows in another part"
    return np.where(out, np.int8(Part.EXCLUDED), parts), (note,)
