"""A window of the prediction log as a sample: counts over all rows, the same draw however the log is parted."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions.lines import CONTRACT, DEMAND, MODEL, NOON, WEEK, record
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import DataError, UsageError
from tiltyard.monitoring.lottery import Lottery, text_hashes
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.windows import read_window, window_of_last
from tiltyard.predictions.columns import prediction_table
from tiltyard.predictions.parts import PREDICTIONS, object_key
from tiltyard.predictions.reading import Window
from tiltyard.predictions.record import Record, schema_of
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.project.metrics import Task
from tiltyard.storage.base import Store
from tiltyard.storage.folder import FolderStore

DAY, HOUR, MICROSECOND = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
WATCHED = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="age", kind=Kind.NUMBER, nullable=True, minimum=18, maximum=90),
        *(column for column in CONTRACT.columns if column.name != "age"),
    ),
    classes=CONTRACT.classes,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return FolderStore(tmp_path / "store")


def put(store: Store, records: Sequence[Record], name: str, contract: Contract = WATCHED) -> None:
    """Write records as one object of their day."""
    day = f"{datetime.fromtimestamp(records[0].time, UTC):%Y-%m-%d}"
    table = prediction_table(records, schema_of(MODEL, records[0].version, contract))
    store.write(object_key(PREDICTIONS, MODEL, day, f"v{records[0].version}-{name}"), parquet_bytes(table))


def row(number: int, **changed: Any) -> Record:
    """Return one request: its age is its number."""
    content = {"rows": [[float(number), 3, True, "gold", "text", "2026-11-20T10:00:00"]]}
    return record(f"r{number:04d}", **content | changed)


def drawn(sample: Sample) -> list[float]:
    found: list[float] = sample.columns["feature_age"].values.tolist()
    return found


def test_counts_are_over_all_rows_and_values_are_of_the_same_rows(store: Store) -> None:
    rows = [
        [20.0, 1, True, "basic", "a", "2026-11-20T10:00:00"],
        [10.0, None, None, "silver", None, None],
        [None, 3, False, None, "c", "2026-11-20T11:00:00+01:00"],
        [95.5, 4, True, "bronze", "d", "2026-11-20T12:00:00"],
    ]
    chances = [[0.5, 0.5], [0.75, 0.25], [0.25, 0.75], [1.0, 0.0]]
    put(store, [record("a", rows=rows, answers=[1, 0, 1, 0], probabilities=chances)], "one")
    sample = read_window(store, MODEL, WEEK, WATCHED, versions=[3]).sample
    assert (sample.rows, sample.sampled) == (4, 4)
    counts = {name: (column.missing, column.new, column.outside) for name, column in sample.columns.items()}
    assert counts == {
        "feature_age": (1, 0, 2),
        "feature_visits": (1, 0, 0),
        "feature_member": (1, 0, 0),
        "feature_plan": (1, 2, 0),
        "feature_words": (1, 0, 0),
        "feature_seen": (1, 0, 0),
        "prediction": (0, 0, 0),
        "probability_no": (0, 0, 0),
        "probability_yes": (0, 0, 0),
    }
    kinds = {name: column.values.dtype.str for name, column in sample.columns.items()}
    assert (kinds["feature_visits"], kinds["feature_member"], kinds["feature_plan"]) == ("<f8", "<f8", "|O")
    assert (kinds["feature_seen"], kinds["prediction"]) == ("<M8[us]", "|O")
    values = [column.values.tolist() for column in sample.columns.values()]
    found = {str(line[0]): line for line in zip(*values, strict=True)}
    assert found["20.0"][1:] == (1.0, 1.0, "basic", "a", datetime(2026, 11, 20, 10), "yes", 0.5, 0.5)  # noqa: DTZ001
    assert found["nan"][1:] == (3.0, 0.0, None, "c", datetime(2026, 11, 20, 10), "yes", 0.25, 0.75)  # noqa: DTZ001
    assert found["10.0"][3:] == ("silver", None, None, "no", 0.75, 0.25)
    assert np.isnan(found["10.0"][1])


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 60),
    most=st.integers(1, 30),
    seed=st.integers(0, 3),
    chance=st.randoms(use_true_random=False),
)
def test_the_sample_does_not_depend_on_parts_order_or_repetition(
    rows: int, most: int, seed: int, chance: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    records = [row(number) for number in range(rows)]
    one, many = (FolderStore(tmp_path_factory.mktemp("store")) for _ in range(2))
    put(one, records, "all")
    again = [*records, *chance.sample(records, chance.randrange(rows + 1))]
    chance.shuffle(again)
    while again:
        cut = max(len(again) // 3, chance.randrange(1, len(again) + 1))
        part = list({made.id: made for made in again[:cut]}.values())
        again = again[cut:]
        put(many, part, f"part{len(again)}")
    samples = [
        read_window(store, MODEL, WEEK, WATCHED, versions=[3], most=most, seed=seed).sample for store in (one, many)
    ]
    assert [sample.rows for sample in samples] == [rows, rows]
    assert [sample.sampled for sample in samples] == [min(rows, most)] * 2
    assert drawn(samples[0]) == drawn(samples[1])


def test_every_row_is_drawn_as_often_as_another() -> None:
    ids = pa.array([f"9f{number:06x}-0" for number in range(500)])
    batch = pa.RecordBatch.from_arrays([pa.array(np.arange(500))], ["number"])
    hits = np.zeros(500)
    for seed in range(200):
        lottery = Lottery(50, seed)
        for start in range(0, 500, 125):
            lottery.add(batch.slice(start, 125), ids.slice(start, 125))
        found = lottery.drawn()
        assert found is not None
        hits[found.column(0).to_numpy()] += 1
    assert hits.sum() == 200 * 50
    spread = ((hits - 20) ** 2 / 18).sum()
    assert abs(spread - 500) < 5 * np.sqrt(2 * 500)


texts = st.lists(st.text(max_size=8), min_size=1, max_size=20)


@given(texts, st.integers(0, 19))
def test_hashes_of_texts_are_those_of_equal_texts(values: list[str], start: int) -> None:
    array = pa.array(values, pa.string())
    hashes = text_hashes(array)
    assert text_hashes(array.slice(start)).tolist() == hashes[start:].tolist()
    assert len(set(hashes.tolist())) == len(set(values))


def test_ids_and_times_are_those_of_the_sampled_rows(store: Store) -> None:
    put(store, [row(number, time=(NOON + number * HOUR).timestamp()) for number in range(30)], "a")
    found = read_window(store, MODEL, WEEK, WATCHED, most=10)
    ages = drawn(found.sample)
    assert len(set(ages)) == 10
    assert found.ids.tolist() == [f"r{age:04.0f}-0" for age in ages]
    noon = np.datetime64("2026-11-20T12:00:00", "us")
    assert found.times.tolist() == [(noon + np.timedelta64(int(age), "h")).item() for age in ages]
    assert {str(day) for day in found.days} <= {"2026-11-20", "2026-11-21"}
    assert found.window == WEEK


def test_another_version_is_another_window(store: Store) -> None:
    put(store, [row(number) for number in range(5)], "a")
    put(store, [row(number, version=4, slot="canary") for number in range(5, 8)], "b")
    put(store, [row(number, version=4) for number in range(8, 10)], "c")
    assert sorted(drawn(read_window(store, MODEL, WEEK, WATCHED, versions=[4]).sample)) == [5, 6, 7, 8, 9]
    assert sorted(drawn(read_window(store, MODEL, WEEK, WATCHED).sample)) == [0, 1, 2, 3, 4, 8, 9]
    assert read_window(store, MODEL, WEEK, WATCHED, versions=[3, 4]).sample.rows == 10


def test_a_column_that_a_version_has_not_is_missing_in_its_rows(store: Store) -> None:
    wider = WATCHED.model_copy(update={"columns": (*WATCHED.columns, Column(name="extra", kind=Kind.CATEGORY))})
    put(store, [row(number) for number in range(5)], "a")
    column = read_window(store, MODEL, WEEK, wider).sample.columns["feature_extra"]
    assert (column.missing, column.values.tolist()) == (5, [None] * 5)


def test_a_column_of_another_kind_is_named(store: Store) -> None:
    put(store, [row(number) for number in range(5)], "a")
    columns = tuple(Column(name="words", kind=Kind.NUMBER) if c.name == "words" else c for c in WATCHED.columns)
    with pytest.raises(DataError, match="`feature_words` of the prediction log holds string, where the contract says"):
        read_window(store, MODEL, WEEK, WATCHED.model_copy(update={"columns": columns}))


def test_a_regression_predicts_numbers(store: Store) -> None:
    made = record("a", rows=[[1.5], [2.5]], answers=[0.5, 1.0], probabilities=None)
    put(store, [made], "a", DEMAND)
    sample = read_window(store, MODEL, WEEK, DEMAND).sample
    assert list(sample.columns) == ["feature_price", "prediction"]
    assert sorted(sample.columns["prediction"].values.tolist()) == [0.5, 1.0]


@pytest.mark.parametrize("classes", [(False, True), (1, 2), (1, 2.5)])
def test_predicted_classes_are_named_as_their_probabilities_are(store: Store, classes: tuple[Any, ...]) -> None:
    target = Column(name="churned", kind=Kind.NUMBER, role=Role.TARGET)
    contract = Contract(task=Task.BINARY, columns=(Column(name="a", kind=Kind.NUMBER), target), classes=classes)
    put(store, [record("a", rows=[[1.0]])], "a", contract)
    columns = read_window(store, MODEL, WEEK, contract).sample.columns
    assert columns["prediction"].values.tolist() == [str(classes[1])]
    assert columns[f"probability_{classes[1]}"].values.tolist() == [0.75]


def test_nothing_asked_is_an_empty_sample(store: Store) -> None:
    sample = read_window(store, MODEL, WEEK, WATCHED).sample
    assert (sample.rows, sample.sampled) == (0, 0)
    assert len(read_window(store, MODEL, WEEK, WATCHED).ids) == 0
    assert {len(column.values) for column in sample.columns.values()} == {0}
    assert window_of_last(store, MODEL, 10, until=NOON) == Window(NOON, NOON)


def test_the_last_rows_are_a_window(store: Store) -> None:
    hours = [row(hour, time=(NOON + hour * HOUR).timestamp()) for hour in range(48)]
    for start, stop in ((0, 12), (12, 30), (30, 36), (36, 48)):
        put(store, hours[start:stop], f"h{start}")
    later = [row(hour, time=(NOON + hour * HOUR).timestamp(), version=4, slot="canary") for hour in range(48, 60)]
    put(store, later, "later")
    end = NOON + 60 * HOUR
    for rows, first in ((1, 47), (5, 43), (36, 12), (37, 11), (48, 0), (1000, 0)):
        window = window_of_last(store, MODEL, rows, until=end)
        assert window == Window(NOON + first * HOUR, NOON + 47 * HOUR + MICROSECOND)
        assert window_of_last(store, MODEL, rows, until=end + DAY) == window
        assert read_window(store, MODEL, window, WATCHED).sample.rows == min(rows, 48)
        assert window_of_last(store, MODEL, rows, until=end, versions=[3]) == window
    assert window_of_last(store, MODEL, 2, until=end, versions=[4]).start == NOON + 58 * HOUR
    assert window_of_last(store, MODEL, 2, until=NOON + 9.5 * HOUR).start == NOON + 8 * HOUR


def test_what_cannot_be_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="a sample of 0 rows"):
        read_window(store, MODEL, WEEK, WATCHED, most=0)
    with pytest.raises(UsageError, match="a window of 0 rows"):
        window_of_last(store, MODEL, 0, until=NOON)
    with pytest.raises(UsageError, match="no time zone"):
        window_of_last(store, MODEL, 1, until=datetime(2026, 11, 20))  # noqa: DTZ001  # what is refused
