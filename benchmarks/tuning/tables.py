"""The tables of the benchmark, as every contender gets them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tiltyard.bundle.encoder import Encoder, Feature
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.project.metrics import Task


@dataclass(frozen=True)
class Table:
    """How a table is read.

    Attributes:
        files: Names in the data folder, one below the other; none for what scikit-learn brings along.
        target: Column to predict.
        task: What kind of answer.
        metric: What decides.
        missing: Further markers of a missing value.
        separator: Column separator.
        drop: Columns that leak or only name the row.
    """

    files: tuple[str, ...]
    target: str
    task: Task
    metric: str
    missing: tuple[str, ...] = ()
    separator: str = ","
    drop: tuple[str, ...] = ()


TABLES: dict[str, Table] = {
    "adult": Table(("adult_train.csv.gz", "adult_test.csv.gz"), "income", Task.BINARY, "roc_auc", ("?",)),
    "telco_churn": Table(("telco_churn.csv.gz",), "Churn", Task.BINARY, "roc_auc", (" ",), drop=("customerID",)),
    "digits": Table((), "target", Task.MULTICLASS, "accuracy"),
    "california_housing": Table(("california_housing.csv.gz",), "median_house_value", Task.REGRESSION, "rmse"),
    "bank": Table(("bank_full.csv.gz",), "y", Task.BINARY, "roc_auc", separator=";", drop=("duration",)),
    "wine_quality": Table(("wine_quality.csv.gz",), "quality", Task.REGRESSION, "rmse"),
    "bike_sharing": Table(
        ("bike_sharing_hourly.csv.gz",),
        "cnt",
        Task.REGRESSION,
        "rmse",
        drop=("casual", "registered", "instant", "dteday"),
    ),
    "electricity": Table(("electricity.csv.gz",), "class", Task.BINARY, "roc_auc", drop=("timestamp", "date")),
    "titanic": Table(
        ("titanic.csv",), "Survived", Task.BINARY, "roc_auc", drop=("PassengerId", "Name", "Ticket", "Cabin")
    ),
}


@dataclass(frozen=True)
class Duel:
    """One table, split.

    Attributes:
        table: How it was read.
        frame: Features as pandas columns, strings as `category`.
        matrix: The same, encoded; float32, shape (n, f).
        features: Columns of the matrix.
        y: Class codes or values.
        classes: Number of classes; 0 for regression.
        train: Rows to search on.
        test: Rows that judge.
    """

    table: Table
    frame: pd.DataFrame
    matrix: NDArray[np.float32]
    features: tuple[Feature, ...]
    y: NDArray[Any]
    classes: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def load(name: str, folder: Path, seed: int) -> Duel:
    """Read a table and split it 75/25, stratified for classes.

    Args:
        name: Key of `TABLES`.
        folder: Where the files are.
        seed: Seed of the split.
    """
    table = TABLES[name]
    frame = _read(table, folder)
    target = frame.pop(table.target)
    frame = frame.drop(columns=list(table.drop))
    levels = {
        str(column): tuple(map(str, frame[column].value_counts().index)) for column in frame.select_dtypes("object")
    }
    encoder = Encoder.of(_contract(table, frame, levels))
    columns = {str(column): _values(frame[column], column in levels) for column in frame}
    classes = target.value_counts().index if table.task.is_classification else ()
    y = (
        target.to_numpy(np.float64)
        if not len(classes)
        else target.map(dict(zip(classes, range(len(classes)), strict=True)))
    )
    answers = np.asarray(y, dtype=np.int64 if len(classes) else np.float64)
    train, test = train_test_split(
        np.arange(len(answers)), test_size=0.25, random_state=seed, stratify=answers if len(classes) else None
    )
    frame = frame.astype(dict.fromkeys(levels, "category"))
    return Duel(table, frame, encoder.encode(columns), encoder.features, answers, len(classes), train, test)


def _read(table: Table, folder: Path) -> pd.DataFrame:
    if not table.files:
        data, target = load_digits(return_X_y=True, as_frame=True)
        return pd.DataFrame(pd.concat([data, target], axis=1))
    parts = [pd.read_csv(folder / file, sep=table.separator, na_values=list(table.missing)) for file in table.files]
    return pd.concat(parts, ignore_index=True)


def _contract(table: Table, frame: pd.DataFrame, levels: dict[str, tuple[str, ...]]) -> Contract:
    features = [
        Column(name=name, kind=Kind.CATEGORY, levels=levels[name], nullable=True)
        if name in levels
        else Column(name=name, kind=Kind.NUMBER, nullable=True)
        for name in map(str, frame)
    ]
    return Contract(
        task=table.task, columns=(*features, Column(name=table.target, kind=Kind.CATEGORY, role=Role.TARGET))
    )


def _values(column: pd.Series, is_category: bool) -> NDArray[Any]:
    if not is_category:
        return column.to_numpy(np.float64)
    return np.array([None if pd.isna(value) else str(value) for value in column], dtype=object)
