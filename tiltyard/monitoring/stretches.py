"""Data that is broken in a part of a window: half a day without values is a broken feed, and not a week's drift.

A window is looked at stretch by stretch, rows in the order in which they were asked for. What comes back every night or
every weekend is no break: it is in the reference too, in about as large a share.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.contract import Contract, Kind
from tiltyard.monitoring.quality import QualityFinding, check_quality
from tiltyard.monitoring.sample import FEATURE, ColumnSample, Sample
from tiltyard.monitoring.summary import moment

FEWEST_ROWS = 150
"""Sampled rows of a stretch."""

MOST_STRETCHES = 12

_NEARLY_ALL = (0.5, 99.5)
_MOST = 0.5


def check_stretches(
    current: Sample,
    times: NDArray[np.datetime64],
    reference: Sample,
    contract: Contract,
    *,
    ignore: Collection[str] = (),
) -> tuple[QualityFinding, ...]:
    """Look for broken data in parts of a window.

    Args:
        current: The window.
        times: When each sampled row was asked for, UTC, shape (sampled,).
        reference: Rows that are known to be good.
        contract: What every column is.
        ignore: Columns left out, by their names in the contract.

    Returns:
        One finding for each way and columns, from its first stretch to its last; none for a window of few rows.
    """
    count = min(MOST_STRETCHES, current.sampled // FEWEST_ROWS)
    if count < 2:
        return ()
    found: dict[tuple[str, tuple[str, ...]], list[tuple[NDArray[np.int64], QualityFinding]]] = {}
    for rows in np.array_split(np.argsort(times, kind="stable"), count):
        for finding in _breaks(_part(current, rows, contract), reference, contract, ignore, 1 / count):
            found.setdefault((finding.kind, finding.columns), []).append((rows, finding))
    return tuple(_told(stretches, times) for stretches in found.values())


def _breaks(
    part: Sample, reference: Sample, contract: Contract, ignore: Collection[str], share: float
) -> Iterator[QualityFinding]:
    """Yield what is broken in a stretch and is not so in as large a share of the reference."""
    for finding in check_quality(part, reference, contract, ignore=ignore, part=True):
        usual = any(
            _comes_back(finding, reference.columns[name], part.columns[name], reference.rows, share)
            for name in finding.columns
            if name in reference.columns and name in part.columns
        )
        if finding.columns and not usual:
            yield finding


def _comes_back(finding: QualityFinding, before: ColumnSample, now: ColumnSample, rows: int, share: float) -> bool:
    """Return whether the reference has as much of what a stretch shows as one that comes back would leave there."""
    if finding.kind == "null_filled":
        return before.missing / max(rows, 1) >= share / 2
    if finding.kind != "shifted_unit":
        return False
    low, high = np.nanpercentile(before.values, _NEARLY_ALL)
    return float(np.mean((now.values >= low) & (now.values <= high))) >= _MOST


def _part(sample: Sample, rows: NDArray[np.int64], contract: Contract) -> Sample:
    """Return some of the sampled rows as a sample of their own."""
    levels = {f"{FEATURE}{column.name}": frozenset(column.levels) for column in contract.features}
    columns = {name: _taken(column, rows, levels.get(name, frozenset())) for name, column in sample.columns.items()}
    return Sample(rows=len(rows), sampled=len(rows), columns=columns)


def _taken(column: ColumnSample, rows: NDArray[np.int64], levels: frozenset[Any]) -> ColumnSample:
    values = column.values[rows]
    there = values[~pd.isna(values)]
    new = int((~pd.Series(there).isin(levels)).sum()) if levels and column.kind is Kind.CATEGORY else 0
    return ColumnSample(column.kind, values, missing=len(values) - len(there), new=new)


def _told(
    stretches: Sequence[tuple[NDArray[np.int64], QualityFinding]], times: NDArray[np.datetime64]
) -> QualityFinding:
    """Return what was found in several stretches as one finding."""
    rows = np.concatenate([rows for rows, _ in stretches])
    worst = max((finding for _, finding in stretches), key=lambda finding: finding.share)
    first, last = (_moment(edge) for edge in (times[rows].min(), times[rows].max()))
    return worst.model_copy(
        update={
            "share": worst.share * len(rows) / len(times),
            "sentence": f"From {moment(first)} to {moment(last)}: {worst.sentence}",
        }
    )


def _moment(time: np.datetime64) -> datetime:
    return pd.Timestamp(time).to_pydatetime().replace(tzinfo=UTC)
