"""Broken data: a window that says something about the feed, not about the world.

Drift is what customers do; broken data is what a pipeline does. The rules here look for the second alone, with limits
that ordinary drift (a mean that moves by a standard deviation, a spread of 1.25, missing rates of 5 %) stays far below,
for whoever calls drift broken data forbids the retraining that it needs. Each finding names a cause to look for.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.contract import Contract, Kind
from tiltyard.monitoring.sample import FEATURE, LEVELLED, NUMERIC, ColumnSample, Sample, spoken
from tiltyard.monitoring.units import find_conversion
from tiltyard.project.section import Section

Trouble = Literal["empty", "null_filled", "duplicated", "stuck", "shifted_unit", "wrong_schema", "traffic"]

FEWEST_ROWS = 100
"""Sampled rows below which only traffic and missing values are judged."""

_FEWEST_FOR_MISSING = 20

_GONE = 0.5
"""Share of the values that used to be there and are missing now."""

_EMPTY_ROWS = 0.05
"""Share of rows without a single value, beyond the reference's."""

_STUCK = 0.5
"""Share of rows with one and the same value, in a column where no value was common."""

_RARE = 0.02
"""Share of rows that the most common value of a continuous column has at most."""

_CONSTANT = 0.98
"""Share of rows with one value in a column that varied in every window before."""

_VARIED = 0.5
"""Share of rows with the most common value, at most, in a window in which a column varied."""

USUAL_WINDOWS = 4
"""Accepted windows from which it is known whether a column of few values ever stands still."""

_REPEATED = 0.2
"""Share of rows that repeat another, of those that would not do so in the reference."""

_UNKNOWN = 0.8
"""Share of values that are no level of the contract."""

_FEW_LEVELS = 4
"""Known levels up to which new ones may well be the next months or seasons."""

_QUIET = 0.1
"""Share of the usual traffic below which hardly anything arrives."""

_USUAL_ROWS = 100
"""Usual rows of a window from which its traffic can be judged."""


class QualityFinding(Section):
    """One way in which the data of a window is broken.

    Attributes:
        kind: `empty`: no rows. `traffic`: far fewer than usual. `null_filled`: values that used to be there are
            missing. `duplicated`: the same rows again and again. `stuck`: one value where there were many.
            `shifted_unit`: values in another unit. `wrong_schema`: columns are absent, of another kind, or hold levels
            that nobody knows.
        columns: Which columns, named as in the prediction log; empty when it is about whole rows.
        share: How much of the window is concerned, between 0 and 1.
        sentence: What is wrong, with the figures.
    """

    kind: Trouble
    columns: tuple[str, ...] = ()
    share: float
    sentence: str


class _Pair(NamedTuple):
    """One feature, before and now."""

    name: str
    before: ColumnSample
    now: ColumnSample


class _Two(NamedTuple):
    """A reference and a window, and their features."""

    before: Sample
    now: Sample
    pairs: tuple[_Pair, ...]


def check_quality(
    current: Sample,
    reference: Sample,
    contract: Contract,
    *,
    usual_rows: Sequence[int] = (),
    usual: Sequence[Sample] = (),
    ignore: Collection[str] = (),
    part: bool = False,
) -> tuple[QualityFinding, ...]:
    """Look for broken data in a window.

    Only features are looked at. From `FEWEST_ROWS` sampled rows on everything is judged; every rule is meant to find
    its trouble at 500.

    Args:
        current: The window.
        reference: Rows that are known to be good.
        contract: What every column is.
        usual_rows: Rows of the windows before, of the same length; without them only an empty window is named.
        usual: Samples of accepted windows, oldest first; a unit is held to the last of them too. With four or more, a
            column of few values that is constant now and varied in all of them is stuck; without them such a column,
            as a month or a daily rate, may well stand still.
        ignore: Columns left out, by their names in the contract.
        part: Whether it is a part of a window: one value for an hour, and the same rows again within one, may well be.

    Returns:
        What was found, whatever concerns whole rows first.
    """
    quiet = _traffic(current.rows, usual_rows)
    if quiet is not None or not current.rows:
        return () if quiet is None else (quiet,)
    schema = tuple(_schema(current, reference, contract, ignore))
    named = {column for finding in schema for column in finding.columns}
    shared = [
        _Pair(name, reference.columns[name], current.columns[name])
        for name in (FEATURE + column.name for column in contract.features if column.name not in ignore)
        if name in reference.columns and name in current.columns and name not in named
    ]
    two = _Two(reference, current, tuple(pair for pair in shared if pair.before.kind is pair.now.kind))
    missing = _null_filled(two)
    gone = {column for finding in missing for column in finding.columns}
    two = two._replace(pairs=tuple(pair for pair in two.pairs if pair.name not in gone))
    found = [*schema, *missing]
    if current.sampled >= FEWEST_ROWS and two.pairs:
        found += [] if part else _repeated(two)
        found += [*_unknown(two), *_units(two, usual[-1:])]
        found += [] if part else _stuck(two, usual)
    return tuple(found)


def _traffic(rows: int, usual_rows: Sequence[int]) -> QualityFinding | None:
    """Say that nothing or hardly anything arrives; a project that never had traffic lacks none."""
    usual = float(np.median(usual_rows)) if usual_rows else None
    if not rows and (usual is None or usual >= _USUAL_ROWS / 10):
        wont = "" if usual is None else f", where {usual:,.0f} rows are usual"
        return QualityFinding(kind="empty", share=1.0, sentence=f"The window is empty{wont}: nothing was asked.")
    if usual is None or usual < _USUAL_ROWS or rows >= min(_QUIET * usual, 0.5 * min(usual_rows)):
        return None
    sentence = f"Hardly any traffic: {rows:,} rows, where {usual:,.0f} are usual."
    return QualityFinding(kind="traffic", share=1 - rows / usual, sentence=sentence)


def _schema(
    current: Sample, reference: Sample, contract: Contract, ignore: Collection[str]
) -> Iterator[QualityFinding]:
    """Name the columns that do not arrive, and those that arrive as something else."""
    kinds = {FEATURE + column.name: column.kind for column in contract.features if column.name not in ignore}
    absent = [name for name in kinds if name in reference.columns and name not in current.columns]
    if absent:
        sentence = f"{_listed(absent)} {_do(absent, 'does', 'do')} not arrive at all."
        yield _about("wrong_schema", absent, 1.0, sentence)
    for name, kind in kinds.items():
        column = current.columns.get(name)
        if column is not None and column.kind is not kind:
            sentence = f"{spoken(name)} arrives as {column.kind.value} and should be {kind.value}."
            yield _about("wrong_schema", [name], 1.0, sentence)


def _null_filled(two: _Two) -> list[QualityFinding]:
    """Name the columns whose values are gone, and rows that have none at all."""
    if two.now.rows < _FEWEST_FOR_MISSING or not two.before.rows:
        return []
    gone = {
        pair.name: pair.now.missing / two.now.rows
        for pair in two.pairs
        if _beyond(pair.now.missing / two.now.rows, pair.before.missing / two.before.rows) >= _GONE
    }
    if gone:
        names, most = list(gone), max(gone.values())
        usually = max(p.before.missing for p in two.pairs if p.name in gone) / two.before.rows
        sentence = (
            f"{_listed(names)} {_do(names, 'is', 'are')} null-filled: {most:.0%} missing, where at most "
            f"{usually:.0%} {'was' if len(names) == 1 else 'were'}."
        )
        return [_about("null_filled", names, most, sentence)]
    now, before = _rows_without(two.now, two.pairs), _rows_without(two.before, two.pairs)
    if len(two.pairs) > 1 and two.now.sampled >= FEWEST_ROWS and _beyond(now, before) >= _EMPTY_ROWS:
        sentence = f"{now:.0%} of the rows hold no value at all, where {before:.0%} did."
        return [QualityFinding(kind="null_filled", share=now, sentence=sentence)]
    return []


def _rows_without(sample: Sample, pairs: Sequence[_Pair]) -> float:
    """Return the share of sampled rows in which every feature is missing."""
    if not sample.sampled or not pairs:
        return 0.0
    empty = np.ones(sample.sampled, dtype=np.bool_)
    for pair in pairs:
        empty &= pd.isna(sample.columns[pair.name].values)
    return float(empty.mean())


def _repeated(two: _Two) -> Iterator[QualityFinding]:
    """Say that rows come again and again, more often than in as many rows of the reference."""
    names = [pair.name for pair in two.pairs]
    rows = min(two.now.sampled, two.before.sampled)
    if rows < FEWEST_ROWS:
        return
    now, before = _repeats(two.now, names, rows), _repeats(two.before, names, rows)
    if _beyond(now, before) < _REPEATED + before:
        return
    sentence = f"{now:.0%} of the rows repeat another row, where {before:.0%} did: the same rows come again and again."
    yield QualityFinding(kind="duplicated", share=now, sentence=sentence)


def _repeats(sample: Sample, names: Sequence[str], rows: int) -> float:
    """Return the share of rows that an earlier one equals, among `rows` drawn with a fixed seed."""
    drawn = np.random.default_rng(0).permutation(sample.sampled)[:rows]
    frame = pd.DataFrame({name: sample.columns[name].values[drawn] for name in names}, copy=False)
    return float(frame.duplicated().mean())


def _unknown(two: _Two) -> Iterator[QualityFinding]:
    """Name the categories whose levels are mostly new: other spellings, or another column's values.

    A month or a season brings new levels too, one or two at a time; another spelling brings as many as there were, and
    where these are few, they look like those that are known.
    """
    found: dict[str, float] = {}
    for pair in two.pairs:
        known, there = {str(level) for level in _levels(pair.before)}, two.now.rows - pair.now.missing
        if pair.now.kind is not Kind.CATEGORY or not there or two.before.rows == 0:
            continue
        share = pair.now.new / there
        unknown = {str(level) for level in _levels(pair.now)} - known
        before = pair.before.new / max(1, two.before.rows - pair.before.missing)
        if _beyond(share, before) >= _UNKNOWN and _spelled_otherwise(unknown, known):
            found[pair.name] = share
    if found:
        names, most = list(found), max(found.values())
        sentence = f"{_listed(names)}: {most:.0%} of the values are no level that the contract knows."
        yield _about("wrong_schema", names, most, sentence)


def _spelled_otherwise(unknown: Collection[str], known: Collection[str]) -> bool:
    """Return whether unknown levels stand for the known ones, and are not simply further ones."""
    if len(unknown) < max(2, 0.75 * len(known)):
        return False
    if len(known) > _FEW_LEVELS:
        return True
    if all(level.isdecimal() for level in unknown) and not any(level.isdecimal() for level in known):
        return True
    ours, theirs = ({_letters(level) for level in levels} for levels in (known, unknown))
    return all(
        any(one and other and (one.startswith(other) or other.startswith(one)) for one in ours) for other in theirs
    )


def _letters(level: str) -> str:
    return "".join(letter for letter in level.casefold() if letter.isalnum())


def _levels(column: ColumnSample) -> NDArray[Any]:
    return column.values[~pd.isna(column.values)]


def _units(two: _Two, recent: Sequence[Sample]) -> Iterator[QualityFinding]:
    """Name the numbers that were converted into another unit, one finding for each conversion.

    The window before is asked too: it knows the season, which the reference may not.
    """
    found: dict[str, list[str]] = {}
    for pair in two.pairs:
        if pair.now.kind in NUMERIC and len(now := _levels(pair.now)) >= FEWEST_ROWS:
            earlier = [pair.before, *(sample.columns[pair.name] for sample in recent if pair.name in sample.columns)]
            conversions = (find_conversion(_levels(before), now) for before in earlier)
            conversion = next((conversion for conversion in conversions if conversion is not None), None)
            if conversion is not None:
                found.setdefault(conversion.words, []).append(pair.name)
    for words, names in found.items():
        sentence = f"{_listed(names)} {_do(names, 'is', 'are')} in another unit: the values are {words}."
        yield _about("shifted_unit", names, 1.0, sentence)


def _stuck(two: _Two, usual: Sequence[Sample]) -> Iterator[QualityFinding]:
    """Name the columns that stand still and did not."""
    found = {pair.name: share for pair in two.pairs if (share := _standing_still(pair, usual)) is not None}
    if found:
        names, most = list(found), max(found.values())
        sentence = f"{_listed(names)} {_do(names, 'is', 'are')} stuck: one value in {most:.0%} of the rows."
        yield _about("stuck", names, most, sentence)


def _standing_still(pair: _Pair, usual: Sequence[Sample]) -> float | None:
    """Return the share of a column's most common value when that stands where there were many; None otherwise."""
    now, before = _levels(pair.now), _levels(pair.before)
    if len(now) < FEWEST_ROWS or len(before) < FEWEST_ROWS:
        return None
    value, share = _most_common(now)
    if pair.now.kind is Kind.TIME and pd.Timestamp(value).second == 0:
        return None  # a day, or an hour: its rows may well all be of it
    continuous = pair.now.kind not in LEVELLED and _most_common(before)[1] <= _RARE and _variety(before) >= _STUCK
    if continuous and share >= _STUCK:
        return share
    earlier = [_levels(sample.columns[pair.name]) for sample in usual if pair.name in sample.columns]
    varied = [_most_common(values)[1] <= _VARIED for values in earlier if len(values) >= FEWEST_ROWS]
    return share if len(varied) >= USUAL_WINDOWS and all(varied) and share >= _CONSTANT else None


def _most_common(values: NDArray[Any]) -> tuple[Any, float]:
    """Return the most common value and its share."""
    counts = pd.Series(values).value_counts(sort=True)
    return counts.index[0], float(counts.iloc[0]) / len(values)


def _variety(values: NDArray[Any]) -> float:
    """Return the share of different values in (at most) the first hundred."""
    few = values[:FEWEST_ROWS]
    return len(pd.unique(few)) / len(few)


def _beyond(now: float, before: float) -> float:
    """Return how much of what was not concerned before is concerned now."""
    return (now - before) / (1 - before) if before < 1 else 0.0


def _about(kind: Trouble, columns: Sequence[str], share: float, sentence: str) -> QualityFinding:
    return QualityFinding(kind=kind, columns=tuple(columns), share=min(1.0, share), sentence=sentence)


def _listed(columns: Sequence[str]) -> str:
    """Name up to three columns, and count the others."""
    named = [spoken(column) for column in columns[:3]]
    more = len(columns) - len(named)
    if more:
        return f"{', '.join(named)} and {more} more"
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _do(columns: Sequence[str], one: str, many: str) -> str:
    return one if len(columns) == 1 else many


TROUBLES: Mapping[Trouble, str] = {
    "empty": "no traffic",
    "traffic": "hardly any traffic",
    "null_filled": "values are missing that used to be there",
    "duplicated": "the same rows come again and again",
    "stuck": "values stand still",
    "shifted_unit": "values are in another unit",
    "wrong_schema": "columns are absent, of another kind, or hold levels that nobody knows",
}
"""Every kind in words."""
