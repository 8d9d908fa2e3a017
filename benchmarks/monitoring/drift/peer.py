"""What Evidently's defaults say about the same samples."""

import os
import warnings
from typing import Any, NamedTuple

import pandas as pd

from tiltyard.monitoring.sample import NUMERIC, Sample

os.environ.setdefault("DO_NOT_TRACK", "1")


class Flags(NamedTuple):
    """What is flagged, as shares of the repetitions.

    Attributes:
        column: At least one column.
        table: The table: at least half of its columns.
    """

    column: float
    table: float


def evidently_flags(reference: Sample, current: Sample) -> Flags:
    """Return what `DataDriftPreset` flags, with all of its defaults.

    Args:
        reference: The reference.
        current: The window.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Evidently's own imports and divisions
        from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415  # slow, and only here
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        numbers = [name for name, column in reference.columns.items() if column.kind in NUMERIC]
        others = [name for name in reference.columns if name not in numbers]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=others)
        old, new = (Dataset.from_pandas(_frame(sample), data_definition=definition) for sample in (reference, current))
        metrics = Report([DataDriftPreset()]).run(new, old).dict()["metrics"]
    drifted: Any = next(metric["value"] for metric in metrics if "DriftedColumnsCount" in metric["metric_name"])
    return Flags(float(drifted["count"] > 0), float(drifted["share"] >= 0.5))


def _frame(sample: Sample) -> pd.DataFrame:
    return pd.DataFrame({name: column.values for name, column in sample.columns.items()})
