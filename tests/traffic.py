"""A champion that was asked: predictions and labels in the store, without a model server."""

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.steps.conftest import table, train, write_project
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.coercion import coerce_features, feature_columns
from tiltyard.data.contract import Kind
from tiltyard.predictions.columns import feedback_table, prediction_table
from tiltyard.predictions.parts import FEEDBACK, PREDICTIONS, object_key
from tiltyard.predictions.record import Entry, Feedback, Record, schema_of
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.registry import models
from tiltyard.registry.records import ModelRef
from tiltyard.steps.place import Place, open_place

MODEL = "churn"
_AT_ONCE = 50


def trained_project(folder: Path, rows: int = 3000) -> Path:
    """Train a linear champion on as many rows as a check wants, in a home of its own; returns the project file."""
    file = write_project(folder, "linear")
    table(rows).to_csv(folder / "data.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TILTYARD_HOME", "TILTYARD_STORE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        train(file)
    return file


def copy_of(file: Path, folder: Path, **sections: object) -> Place:
    """Copy a trained project, with its ledger and models where they were, and other keys in its file.

    What is stored from now on is the copy's own.
    """
    home = file.parent / ".tiltyard"
    shutil.copytree(home / "store", folder / "store")
    for name in ("contract.yaml", "data.csv"):
        shutil.copy(file.parent / name, folder / name)
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | sections
    (folder / "tiltyard.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    os.environ["TILTYARD_STORE"], os.environ["TILTYARD_HOME"] = str(folder / "store"), str(home)
    return open_place(folder)


class Traffic:
    """What a version is asked, and what turned out to be true.

    Args:
        place: The project.
        version: The version that answers.
    """

    def __init__(self, place: Place, version: int = 1) -> None:
        self._place, self._version = place, version
        ref = ModelRef(name=MODEL, version=version)
        bundle = models.download_bundle(place.registry, ref, place.workplace.home / "traffic" / f"v{version}")
        self._runtime = Runtime.load(bundle)

    def ask(self, frame: pd.DataFrame, start: datetime, end: datetime, *, name: str = "r") -> list[str]:
        """Answer the rows of a raw table, evenly over a span of time; returns the ids of the predictions."""
        contract = self._runtime.contract
        typed = coerce_features(frame.reset_index(drop=True), contract, where="traffic")
        columns = feature_columns(typed, contract)
        answers = self._runtime.predict(columns)
        assert answers.probabilities is not None
        cells = list(zip(*(_cells(columns[one.name], one.kind) for one in contract.features), strict=True))
        codes, ids = answers.labels(self._runtime.threshold), []
        days: dict[str, list[Record]] = {}
        for first in range(0, len(frame), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            moment = start + (end - start) * (first / len(frame))
            made = Record(
                id=f"{name}{start:%d%H}x{first:06d}",
                time=moment.timestamp(),
                model=MODEL,
                version=self._version,
                slot="champion",
                rows=cells[rows],
                answers=[int(code) for code in codes[rows]],
                seconds=0.001,
                probabilities=answers.probabilities[rows].tolist(),
            )
            days.setdefault(f"{moment:%Y-%m-%d}", []).append(made)
            ids += [f"{made.id}-{row}" for row in range(len(made.rows))]
        schema = schema_of(MODEL, self._version, contract)
        for day, records in days.items():
            key = object_key(PREDICTIONS, MODEL, day, f"v{self._version}-{name}{start:%d%H}")
            self._place.store.write(key, parquet_bytes(prediction_table(records, schema)))
        return ids

    def tell(self, ids: list[str], labels: list[Any], known: datetime, *, name: str = "l") -> None:
        """Store what was true of predictions."""
        entries = tuple(Entry(id_, label, known.timestamp()) for id_, label in zip(ids, labels, strict=True))
        told = Feedback(entries, MODEL, Kind.CATEGORY.value, known.timestamp())
        key = object_key(FEEDBACK, MODEL, f"{known:%Y-%m-%d}", f"{Kind.CATEGORY.value}-{name}")
        self._place.store.write(key, parquet_bytes(feedback_table([told])))


def _cells(values: Any, kind: Kind) -> list[Any]:
    """Return a typed column as the log has it."""
    if kind is Kind.TIME:
        return [None if np.isnat(value) else str(value) for value in values]
    if kind in {Kind.CATEGORY, Kind.TEXT}:
        return list(values)
    numbers = [None if np.isnan(value) else float(value) for value in values]
    return [None if one is None else int(one) for one in numbers] if kind is Kind.INTEGER else list(numbers)
