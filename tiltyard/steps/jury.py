"""The rows that judge, and two models before them: the same for a training run and for one that is replayed."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.contract import Contract
from tiltyard.data.parts import Part
from tiltyard.data.split import Split
from tiltyard.evaluation.paired import Contest, contest
from tiltyard.evaluation.slices import compare_slices, deciding_columns, slices_of
from tiltyard.evaluation.terms import Labels
from tiltyard.project.model import Project

_BLOCKS = 50
"""Test rows of a time split are compared in this many blocks of consecutive rows, which may depend on each other."""


class Asked(Protocol):
    """Whatever knows the project and the contract in use, such as a training run."""

    @property
    def project(self) -> Project:
        """The project."""

    @property
    def contract(self) -> Contract:
        """The contract as the project uses it."""


@dataclass(frozen=True)
class Jury:
    """The rows that judge, n of them.

    Attributes:
        frame: As a typed frame.
        columns: Features as arrays.
        y: True class codes (int64) or values (float64), shape (n,).
        groups: Cluster of each row, int64, shape (n,); None when rows are independent.
    """

    frame: pd.DataFrame
    columns: dict[str, NDArray[np.generic]]
    y: Labels
    groups: NDArray[np.int64] | None

    def take(self, rows: NDArray[np.int64]) -> "Jury":
        """Return the jury of some of the rows."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        groups = None if self.groups is None else self.groups[rows]
        return Jury(self.frame.iloc[rows].reset_index(drop=True), columns, self.y[rows], groups)


def jury_of(asked: Asked, split: Split, frame: pd.DataFrame) -> Jury:
    """Return the test rows of a split.

    Args:
        asked: Project and contract.
        split: The split.
        frame: The typed table that was split.
    """
    rows = split.rows(Part.TEST)
    test = frame.iloc[rows].reset_index(drop=True)
    return Jury(
        frame=test,
        columns=feature_columns(test, asked.contract),
        y=target_array(test, asked.contract),
        groups=_clusters(asked, split, rows),
    )


def compare_answers(
    asked: Asked, jury: Jury, ours: Predictions, theirs: Predictions, thresholds: tuple[float, float]
) -> dict[str, object]:
    """Return the comparison by the gate's metric, as a whole and by slices, and by the guards.

    Args:
        asked: Project and contract.
        jury: Rows that neither model was trained on.
        ours: What the challenger answers to them.
        theirs: What the champion answers, classes in the same order.
        thresholds: Decision thresholds of the two.

    Returns:
        `comparison`, `slices` and `guards` of `tiltyard.evaluation.records.Evidence`.
    """
    gates = asked.project.gates

    def duel(metric: str) -> Contest:
        return contest(
            metric,
            jury.y,
            ours,
            theirs,
            thresholds=thresholds,
            groups=jury.groups,
            alpha=gates.alpha,
            seed=asked.project.search.seed,
        )

    primary = duel(asked.project.gate_metric)
    names = deciding_columns(asked.contract, gates.slices)
    guards = [duel(metric).decide() for metric in _guards(asked)]
    return {
        "comparison": primary.decide(),
        "slices": compare_slices(primary, slices_of(jury.columns, asked.contract, names), fewest=gates.min_slice_rows),
        "guards": tuple(guard for guard in guards if guard is not None),
    }


def _guards(asked: Asked) -> tuple[str, ...]:
    """Return the metrics that must not show a loss: calibration, where another metric of a classifier decides."""
    proper, project = {"brier", "log_loss"}, asked.project
    return ("brier",) if asked.contract.task.is_classification and project.gate_metric not in proper else ()


def _clusters(asked: Asked, split: Split, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the cluster of each test row: its group or its copies, else its block of time; None when all differ."""
    if asked.project.data.group is None and split.order.any():
        ranks = np.argsort(np.argsort(split.order[rows], kind="stable"), kind="stable")
        return np.asarray(ranks * min(_BLOCKS, len(rows)) // len(rows), dtype=np.int64)
    groups = split.groups[rows]
    return groups if len(np.unique(groups)) < len(groups) else None
