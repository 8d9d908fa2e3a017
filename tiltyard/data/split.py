"""The split: which rows train, validate, calibrate and judge; groups and copies never straddle it.

Rows are dealt by a keyed hash of their content, exactly within every class, so that the same table, seed and shares
give the same split, and rows appended later hardly move the old ones. `tiltyard.data.assignment` says what stays
together and what is excluded.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tiltyard.data.allotment import Integers
from tiltyard.data.assignment import Layout, Parts, Shares, assign_by_time, assign_given, assign_shuffled
from tiltyard.data.contract import ORDERED, Column, Contract
from tiltyard.data.folds import Fold, forward_folds, shuffled_folds
from tiltyard.data.history import Recent, recent
from tiltyard.data.parts import Part, read_parts
from tiltyard.data.row_keys import Hashes, column_hashes, row_hashes, row_keys
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.model import Project
from tiltyard.project.section import Section

CALIBRATION_SHARE = 0.1
"""Share of rows that calibrate when calibration is wanted and no share is given."""

_MORE_ROWS = "Give more rows; copies of a row, and rows of one group, always stay together."
_ARRAYS = ("parts", "keys", "groups", "order")
_METHOD_WORDS = {
    "stratified": "class, by a hash of the rows",
    "random": "a hash of the rows",
    "group": "group, by a hash of the groups",
    "time": "time, the latest rows judging",
    "column": "a given column",
}


class SplitSummary(Section):
    """A split in figures and words.

    Attributes:
        method: `stratified`, `random`, `time`, `group` or `column`.
        train: Rows that train.
        validation: Rows that choose threshold and trial.
        calibration: Rows that calibrate.
        test: Rows that judge.
        excluded: Rows in no part.
        sentence: All of it in words, with what was excluded and why.
    """

    method: str
    train: int
    validation: int
    calibration: int
    test: int
    excluded: int
    sentence: str


@dataclass(frozen=True)
class Split:
    """The part of each of n rows.

    Attributes:
        parts: Values of `Part`, int8, shape (n,).
        keys: Content hash of features and target, uint64, shape (n,): the identity under which a model remembers
            the rows it has seen.
        groups: Rows of equal value belong together (a group of the group column, else copies), int64 ≥ 0,
            shape (n,); clusters for intervals and tests.
        order: Time rank of each row, int64, shape (n,); all 0 unless the split is by time.
        method: How it was made.
        notes: What was excluded and why, a clause each.
    """

    parts: Parts
    keys: Hashes
    groups: Integers
    order: Integers
    method: str
    notes: tuple[str, ...] = ()

    def rows(self, *parts: Part) -> Integers:
        """Return the row numbers in any of some parts, int64, ascending."""
        return np.flatnonzero(np.isin(self.parts, [int(part) for part in parts])).astype(np.int64)

    def folds(self, y: NDArray[np.generic], project: Project, *, count: int | None = None) -> list[Fold]:
        """Return cross-validation folds over the rows that train and validate.

        Stratified by class, forward in time when the split is by time, groups and copies together. One fold means:
        train on the training rows, score on the validation rows; so it is too when time leaves no fold with rows.

        Args:
            y: Target of all n rows, shape (n,): class codes, or numbers for regression.
            project: Says the task, the number of folds and the seed.
            count: Number of folds instead of the project's.

        Returns:
            Pairs of row numbers: to train on, to score on.
        """
        count = project.search.folds if count is None else count
        single = [(self.rows(Part.TRAIN), self.rows(Part.VALIDATION))]
        if count == 1:
            return single
        rows = self.rows(Part.TRAIN, Part.VALIDATION)
        if self.method == "time":
            return forward_folds(rows, self.groups[rows], self.order[rows], count) or single
        classes = project.task.kind.is_classification
        strata = y[rows].astype(np.int64) if classes else np.zeros(len(rows), dtype=np.int64)
        return shuffled_folds(rows, self.groups[rows], strata, count, f"folds {project.split.seed}")

    def summary(self) -> SplitSummary:
        """Return the split in figures and words."""
        counts = {part: int((self.parts == part).sum()) for part in Part}
        total = max(len(self.parts), 1)
        named = [part for part in (Part.TRAIN, Part.VALIDATION, Part.CALIBRATION, Part.TEST) if counts[part]]
        shares = ", ".join(f"{counts[part]} {part.name.lower()} ({counts[part] / total:.0%})" for part in named)
        words = [f"Split by {_METHOD_WORDS[self.method]}: {shares}", *self.notes]
        return SplitSummary(
            method=self.method,
            **{part.name.lower(): count for part, count in counts.items()},
            sentence="; ".join(words) + ".",
        )

    def save(self, path: Path) -> None:
        """Write the split as a Parquet file."""
        table = pa.table({name: getattr(self, name) for name in _ARRAYS})
        facts = json.dumps({"method": self.method, "notes": self.notes})
        pq.write_table(table.replace_schema_metadata({"tiltyard.split": facts}), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            DataError: The file is missing or holds no split.
        """
        try:
            table = pq.read_table(path)
            facts = json.loads(table.schema.metadata[b"tiltyard.split"])
            arrays = {name: table[name].to_numpy() for name in _ARRAYS}
        except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise DataError(f"this is no split: {error}", where=str(path), cure="Run the training again.") from error
        return cls(**arrays, method=facts["method"], notes=tuple(facts["notes"]))


def make_split(frame: pd.DataFrame, contract: Contract, project: Project) -> Split:
    """Split a table as the project file says.

    Rows without a target, without a time when it is needed, or older than `data.history` are in no part: it is the
    split of a table without them. The split does not depend on the order of the rows.

    Args:
        frame: Typed frame of n rows.
        contract: Its contract.
        project: Says method, shares, seed, and the time, group and part columns.

    Returns:
        The split; training, validation and test have rows, and every class has some in training.

    Raises:
        ProjectError: The method needs a column that the project file does not name.
        DataError: A part stays empty, or a class has no row to train on.
    """
    method, young = project.split_method, recent(frame, contract, project)
    usable, notes = _usable(frame, contract, project, young)
    layout = _layout(frame, contract, project, usable)
    shares, key = _shares(project), f"split {project.split.seed}"
    if method == "time":
        parts, more = assign_by_time(layout, shares)
    elif method == "column":
        given = read_parts(frame[contract.column(_needed(project.split.column, "split.column", method)).name])
        parts, more = assign_given(layout, given, shares, key)
    else:
        parts, more = assign_shuffled(layout, shares, key)
    _require_rows(parts, shares, method, young)
    _require_classes(frame[contract.target.name], parts, project, young)
    groups = np.unique(layout.blocks, return_inverse=True)[1].astype(np.int64)
    return Split(parts, row_keys(frame, contract), groups, layout.order, method, (*notes, *more))


def _usable(
    frame: pd.DataFrame, contract: Contract, project: Project, young: Recent | None
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Tell which rows can be used, and say why the others cannot."""
    reasons = [("they have no target", frame[contract.target.name].isna().to_numpy())]
    if project.split_method == "time" or young is not None:
        name = contract.column(_needed(project.data.time, "data.time", project.split_method)).name
        reasons.append(("they have no time", frame[name].isna().to_numpy()))
    if young is not None:
        reasons.append((young.reason, ~young.rows))
    usable, notes = np.ones(len(frame), dtype=np.bool_), []
    for reason, out in reasons:
        count = int((usable & out).sum())
        notes += [f"{count:,} rows are left out because {reason}"] if count else []
        usable &= ~out
    return usable, tuple(notes)


def _layout(frame: pd.DataFrame, contract: Contract, project: Project, usable: NDArray[np.bool_]) -> Layout:
    """Collect what a split needs to know of the rows."""
    method, target = project.split_method, frame[contract.target.name]
    copies = row_hashes(frame, contract.features)
    blocks, group = copies, project.data.group
    if method == "group":
        group = _needed(group, "data.group", method)
    if group is not None:
        column = contract.column(group)
        named = frame[group].notna().to_numpy()
        blocks = np.where(named, column_hashes(frame[group], column.kind), copies)
    order = np.zeros(len(frame), dtype=np.int64)
    if method == "time":
        order = _time_ranks(frame, contract.column(_needed(project.data.time, "data.time", method)))
    by_class = project.task.kind.is_classification and method in ("stratified", "group", "column")
    strata = pd.factorize(target, sort=True, use_na_sentinel=False)[0] if by_class else np.zeros(len(frame))
    return Layout(usable, blocks, copies, group is not None, strata.astype(np.int64), order)


def _needed(column: str | None, key: str, method: str) -> str:
    """Return the column that a method needs, or say that the project file does not name it."""
    if column is None:
        raise ProjectError(f"the split method `{method}` needs a column", where=key, cure=f"Name it under `{key}`.")
    return column


def _time_ranks(frame: pd.DataFrame, column: Column) -> Integers:
    """Rank the rows by time, equal times equal; missing times rank 0."""
    if column.kind not in ORDERED:
        raise DataError(
            f"the time column `{column.name}` is a {column.kind}, which has no order in time",
            cure="Make its kind `time` in the contract (with `time_format`), or take another column as `data.time`.",
        )
    ranks = frame[column.name].rank(method="dense").fillna(0)
    return np.asarray(ranks, dtype=np.int64)


def _shares(project: Project) -> Shares:
    """Return the shares in force."""
    split = project.split
    wanted = project.search.calibration != "none" and split.calibration == 0
    return Shares(split.test, split.validation, CALIBRATION_SHARE if wanted else split.calibration)


def _require_rows(parts: Parts, shares: Shares, method: str, young: Recent | None) -> None:
    """Refuse a split whose needed parts are not all filled."""
    needed = [Part.TRAIN, Part.VALIDATION, Part.TEST] + ([Part.CALIBRATION] if shares.calibration else [])
    empty = [part.name.lower() for part in needed if not (parts == part).any()]
    if empty:
        cures = {
            "time": "Give more rows, or drop `data.group` if its groups last through all times.",
            "column": "Name some rows `test` in the part column, or take `split.column` away.",
        }
        raise DataError(
            f"the {method} split leaves no {' and no '.join(empty)} rows out of {len(parts)}",
            where="split",
            cure=young.cure if young else cures.get(method, _MORE_ROWS),
        )


def _require_classes(target: pd.Series, parts: Parts, project: Project, young: Recent | None) -> None:
    """Refuse a split that leaves a class out of training."""
    if not project.task.kind.is_classification:
        return
    trained = set(target[parts == Part.TRAIN].unique())
    lost = [value for value in target.dropna().unique() if value not in trained]
    if lost:
        cure = "Give more rows of it, leave it out of the table, or choose another `split.method`."
        raise DataError(
            f"class `{lost[0]}` of `{target.name}` has no row in the training part of the {project.split_method} split",
            where="split",
            cure=f"{cure} {young.cure}" if young else cure,
        )
