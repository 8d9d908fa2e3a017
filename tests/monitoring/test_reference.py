"""What a version is held against: kept with it, brought back as it was, bounded, and as the prediction log has it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions.lines import MODEL, WEEK, record
from tests.steps.conftest import contract, table
from tiltyard.bundle.model import Columns, Predictions
from tiltyard.data.coercion import coerce, feature_columns, target_array
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import DataError
from tiltyard.evaluation.records import Estimate, Scorecard
from tiltyard.monitoring import reference
from tiltyard.monitoring.reference import FACTS, ROWS, Reference, Rows, read_reference, write_reference
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.windows import read_window
from tiltyard.predictions.columns import prediction_table
from tiltyard.predictions.parts import PREDICTIONS, object_key
from tiltyard.predictions.record import schema_of
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.project.metrics import Task
from tiltyard.storage.folder import FolderStore

CONTRACT = contract()
REGRESSION = Contract(
    task=Task.REGRESSION,
    columns=(*CONTRACT.columns[:-1], Column(name="left", kind=Kind.NUMBER, role=Role.TARGET)),
)


def scorecard(task: Task, threshold: float = 0.4) -> Scorecard:
    score = Estimate(value=0.8, low=0.75, high=0.85)
    drops = tuple((name, Estimate(value=value, low=0, high=1)) for name, value in (("age", 0.2), ("city", -0.01)))
    return Scorecard(
        task=task, rows=100, primary="metric", metrics={"metric": score}, threshold=threshold, importance=drops
    )


def answer(columns: Columns) -> Predictions:
    chance = 1 / (1 + np.exp(-np.nan_to_num(columns["usage"])))
    return Predictions(probabilities=np.column_stack([1 - chance, chance]))


def value(columns: Columns) -> Predictions:
    return Predictions(values=columns["age"] * 2.0)


def typed(rows: int, seed: int = 1, task: Task = Task.BINARY) -> pd.DataFrame:
    """Return a typed table with missing values and new levels."""
    frame = table(rows, seed).astype({"debt": object, "city": object})
    frame.loc[::7, "debt"] = None
    frame.loc[::5, "city"] = None
    frame.loc[1::11, "city"] = "Olten"
    frame.loc[::3, "age"] = 99
    if task is Task.REGRESSION:
        frame["left"] = np.arange(rows) / 3
    return coerce(frame, CONTRACT if task is Task.BINARY else REGRESSION, where="a test")


def split(rows: int) -> Rows:
    return Rows(np.arange(rows // 3, rows), np.arange(rows // 3))


def written(folder: Path, rows: int = 60, task: Task = Task.BINARY, seed: int = 0) -> Reference:
    """Write a reference, and read it back."""
    about = CONTRACT if task is Task.BINARY else REGRESSION
    predict = answer if task is Task.BINARY else value
    files = write_reference(
        folder, typed(rows, task=task), about, split(rows), predict=predict, scorecard=scorecard(task), seed=seed
    )
    assert {place.partition("/")[0] for place in files} == {reference.REFERENCE}
    assert all(file.is_file() for file in files.values())
    return read_reference(folder, where="a test")


def values(sample: Sample) -> dict[str, list[str]]:
    return {name: list(map(repr, column.values.tolist())) for name, column in sample.columns.items()}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = written(tmp_path)
    frame = typed(60)
    test = frame.iloc[20:].reset_index(drop=True)
    columns = feature_columns(test, CONTRACT)
    answers = answer(columns)
    for name, wanted in columns.items():
        column = found.test.columns[f"feature_{name}"]
        assert column.values.dtype == wanted.dtype
        np.testing.assert_array_equal(column.values, wanted)
    np.testing.assert_array_equal(found.predictions.array, answers.array)
    np.testing.assert_array_equal(found.labels, target_array(test, CONTRACT))
    assert found.labels.dtype == np.int64
    chosen = [CONTRACT.classes[code] for code in answers.labels(0.4)]
    assert found.test.columns["prediction"].values.tolist() == chosen
    np.testing.assert_array_equal(found.training_labels, target_array(frame.iloc[:20], CONTRACT))
    assert list(found.training.columns) == [f"feature_{column.name}" for column in CONTRACT.features]
    assert (found.test.rows, found.test.sampled, found.training.rows) == (40, 40, 20)
    assert found.importance == {"feature_age": 0.2, "feature_city": 0.0}
    assert (found.facts.metric, found.facts.score.low, found.facts.threshold) == ("metric", 0.75, 0.4)
    assert found.facts.contract == CONTRACT.digest
    city = found.test.columns["feature_city"]
    assert (city.missing, city.new) == (int(test["city"].isna().sum()), int((test["city"] == "Olten").sum()))
    assert found.test.columns["feature_age"].outside == int((test["age"] == 99).sum())


def test_a_regression_has_values(tmp_path: Path) -> None:
    found = written(tmp_path, task=Task.REGRESSION)
    assert found.predictions.probabilities is None
    np.testing.assert_array_equal(found.predictions.array, typed(60)["age"][20:].to_numpy(np.float64) * 2)
    np.testing.assert_array_equal(found.labels, np.arange(20, 60) / 3)
    assert list(found.test.columns)[-1] == "prediction"


@settings(deadline=None, max_examples=10)
@given(rows=st.integers(6, 60), most=st.integers(1, 40), seed=st.integers(0, 5))
def test_it_is_bounded_and_the_same_each_time(
    rows: int, most: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "MOST_ROWS", most)
        one, again = (written(tmp_path_factory.mktemp("reference"), rows, seed=seed) for _ in range(2))
    assert one.test.sampled == min(most, rows - rows // 3)
    assert one.training.sampled == min(most, rows // 3)
    assert (one.test.rows, one.training.rows) == (rows - rows // 3, rows // 3)
    assert values(one.test) == values(again.test)
    ages = one.test.columns["feature_age"].values.tolist()
    assert set(ages) <= set(typed(rows)["age"][rows // 3 :].tolist())


def test_a_window_of_the_same_rows_is_the_reference(tmp_path: Path) -> None:
    found = written(tmp_path / "reference")
    frame = typed(60).iloc[20:]
    texts = frame[[column.name for column in CONTRACT.features]].astype({"seen": "string"})
    lines = [[None if pd.isna(cell) else cell for cell in row] for row in texts.astype(object).to_numpy().tolist()]
    answers = answer(feature_columns(frame, CONTRACT))
    made = record(
        "a", rows=lines, answers=answers.labels(0.4).tolist(), probabilities=answers.array.tolist(), version=3
    )
    store = FolderStore(tmp_path / "store")
    made_table = prediction_table([made], schema_of(MODEL, 3, CONTRACT))
    store.write(object_key(PREDICTIONS, MODEL, "2026-11-20", "v3-a"), parquet_bytes(made_table))
    window = read_window(store, MODEL, WEEK, CONTRACT).sample
    assert list(window.columns) == list(found.test.columns)
    for name, column in window.columns.items():
        other = found.test.columns[name]
        assert (column.kind, column.missing, column.new, column.outside) == (
            other.kind,
            other.missing,
            other.new,
            other.outside,
        )
        assert sorted(map(str, column.values.tolist())) == sorted(map(str, other.values.tolist())), name


@pytest.mark.parametrize(
    ("file", "content"), [(FACTS, b"{}"), (FACTS, b"no"), (ROWS, b"no table"), (ROWS, None), (FACTS, None)]
)
def test_what_is_damaged_is_named_with_a_cure(tmp_path: Path, file: str, content: bytes | None) -> None:
    written(tmp_path)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=r"^.*the reference cannot be read") as raised:
        read_reference(tmp_path, where="churn version 3")
    assert "tiltyard train" in str(raised.value)
    assert str(raised.value).startswith("churn version 3:")


def test_a_column_that_is_lost_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    pq.write_table(pq.read_table(tmp_path / ROWS).drop_columns("prediction"), tmp_path / ROWS)
    with pytest.raises(DataError, match="cannot be read"):
        read_reference(tmp_path, where="churn version 3")
