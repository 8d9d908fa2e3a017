"""The prediction problem of a typed and split table: the same for a training run and for one that is replayed."""

from pathlib import Path

import pandas as pd

from tiltyard.bundle.encoder import Encoder
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.parts import Part
from tiltyard.data.split import Split
from tiltyard.project.metrics import Task
from tiltyard.steps.jury import Asked
from tiltyard.training.fit import FitRows
from tiltyard.training.problem import Problem


def make_problem(asked: Asked, frame: pd.DataFrame, split: Split, code_folder: Path | None) -> Problem:
    """Return the prediction problem of a typed table.

    Args:
        asked: Project and contract in use.
        frame: The typed table.
        split: Its split.
        code_folder: Folder that the project's own estimators are imported from; None when there are none.
    """
    y, encoder, settings = target_array(frame, asked.contract), Encoder.of(asked.contract), asked.project.search
    return Problem(
        task=asked.contract.task,
        matrix=encoder.encode(feature_columns(frame, asked.contract)),
        y=y,
        features=encoder.features,
        classes=0 if asked.contract.task is Task.REGRESSION else len(asked.contract.classes),
        folds=tuple(split.folds(y, asked.project)),
        metric=asked.project.search_metric,
        class_weight=settings.class_weight,
        seed=settings.seed,
        code_folder=code_folder,
    )


def fit_rows(split: Split) -> FitRows:
    """Return which rows of a split the final fit uses for what."""
    return FitRows(
        train=split.rows(Part.TRAIN),
        validation=split.rows(Part.VALIDATION),
        calibration=split.rows(Part.CALIBRATION),
    )
