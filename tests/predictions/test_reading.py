"""Reading back: a window of predictions, each once, and the labels that are in force."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions.lines import CONTRACT, DEMAND, MODEL, NOON, SCHEMA, WEEK, line
from tiltyard.errors import DataError, UsageError
from tiltyard.predictions.columns import feedback_table
from tiltyard.predictions.labels import Labels
from tiltyard.predictions.reading import Window, count_predictions, read_labelled, read_labels, read_predictions
from tiltyard.predictions.record import Entry, Feedback, feedback_line, schema_line
from tiltyard.predictions.shipping import ship
from tiltyard.storage.base import Store
from tiltyard.storage.folder import FolderStore

HOUR = timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one request an hour over two days and three segments; the second day by version 4."""
    folder, store = tmp_path / "log", FolderStore(tmp_path / "store")
    folder.mkdir()
    other = schema_line(MODEL, 4, DEMAND)
    lines = []
    for hour in range(48):
        time = (NOON - timedelta(days=1) + hour * HOUR).timestamp()
        one = {"version": 4, "rows": [[2.0]], "answers": [1.5], "probabilities": None} if hour >= 24 else {}
        lines.append(line(f"h{hour:02d}", time=time, **one))
    for number in range(3):
        content = SCHEMA + other + b"".join(lines[number::3])
        (folder / f"host-{number}.jsonl").write_bytes(content)
    for _ in ship(folder, store):
        pass
    return store


def requests(store: Store, window: Window, **options: object) -> list[str]:
    found: list[str] = []
    for batch in read_predictions(store, MODEL, window, **options):  # type: ignore[arg-type]
        found += batch.column("request").to_pylist()
    return sorted(found)


def test_a_window_has_its_start_and_not_its_end(store: Store) -> None:
    assert requests(store, Window(NOON, NOON + 2 * HOUR)) == ["h24", "h25"]
    assert requests(store, Window(NOON, NOON)) == []
    east = Window(NOON - 13 * HOUR, NOON - 11 * HOUR)
    assert requests(store, east) == ["h11", "h12"]
    assert len(requests(store, WEEK)) == 48
    assert len(requests(store, Window(datetime(1990, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)))) == 48
    assert count_predictions(store, MODEL, WEEK) == 48
    assert count_predictions(store, "another", WEEK) == 0


def test_versions_and_columns_are_chosen(store: Store) -> None:
    assert requests(store, WEEK, versions=[4]) == [f"h{hour}" for hour in range(24, 48)]
    assert count_predictions(store, MODEL, WEEK, versions=[5]) == 0
    batches = list(read_predictions(store, MODEL, WEEK, columns=["prediction", "feature_price"], batch_rows=5))
    assert {tuple(batch.schema.names) for batch in batches} == {
        ("id", "request", "row", "time", "prediction"),
        ("id", "request", "row", "time", "prediction", "feature_price"),
    }
    assert max(batch.num_rows for batch in batches) <= 5


def test_a_segment_that_is_stored_under_two_names_counts_once(store: Store) -> None:
    for key in store.list("predictions"):
        store.write(key.replace("host", "copy"), store.read(key))
    assert len(store.list("predictions")) > 10
    assert requests(store, WEEK) == [f"h{hour:02d}" for hour in range(48)]


def test_windows_that_are_none_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        requests(store, Window(datetime(2026, 1, 1), NOON))  # noqa: DTZ001  # what is refused
    with pytest.raises(UsageError, match="before it starts"):
        requests(store, Window(NOON, NOON - HOUR))


def test_an_object_of_somebody_else_is_named(store: Store) -> None:
    store.write(f"predictions/{MODEL}/date=2026-11-20/v3-x.parquet", b"no table")
    with pytest.raises(DataError, match=r"v3-x\.parquet: is no table of the prediction log"):
        requests(store, WEEK)


def arrived(*entries: tuple[str, str, float]) -> pa.RecordBatch:
    made = Feedback(tuple(Entry(*entry) for entry in entries), MODEL, "category", 1.0)
    return feedback_table([made]).to_batches()[0]


entries = st.lists(
    st.tuples(st.sampled_from(["a", "a-0", "b-1", "c-0"]), st.sampled_from(["no", "yes"]), st.integers(0, 3))
)


@settings(deadline=None)
@given(entries.filter(bool), st.randoms(use_true_random=False))
def test_order_parts_and_repetition_of_labels_do_not_matter(
    sent: list[tuple[str, str, int]], chance: random.Random
) -> None:
    once, often = Labels(), Labels()
    once.add(arrived(*sent))
    again = sent + chance.sample(sent, chance.randrange(len(sent) + 1))
    chance.shuffle(again)
    while again:
        cut = chance.randrange(1, len(again) + 1)
        often.add(arrived(*again[:cut]))
        again = again[cut:]
    assert list(once) == list(often)
    for prediction, known in once:
        of_it = [(time, label) for name, label, time in sent if prediction in {name, f"{name}-0"}]
        assert (known.time.timestamp(), known.label) == max(of_it)


def put_feedback(store: Store, folder: Path, name: str, received: datetime, *lines: bytes) -> None:
    """Ship a segment of labels."""
    assert received.tzinfo
    (folder / f"{name}.jsonl").write_bytes(b"".join(lines))
    for _ in ship(folder, store):
        pass


def test_labels_stand_beside_their_predictions(store: Store, tmp_path: Path) -> None:
    now = NOON + 50 * HOUR
    entries = [Entry("h24-0", "yes", now.timestamp()), Entry("h25", "no", now.timestamp()), Entry("x-0", "no", 1.0)]
    content = feedback_line(MODEL, entries, CONTRACT, now.timestamp())
    late = feedback_line(MODEL, [Entry("h24-0", "no", now.timestamp() - 5)], CONTRACT, now.timestamp() + 90_000)
    put_feedback(store, tmp_path / "log", "host-8", now, content, content)
    put_feedback(store, tmp_path / "log", "host-9", now, late)
    found: dict[str, object] = {}
    for batch in read_labelled(store, MODEL, WEEK, columns=()):
        found |= {row["request"]: (row["label"], row["label_time"]) for row in batch.to_pylist()}
    assert len(found) == 48
    known = {name: label for name, label in found.items() if label != (None, None)}
    assert known == {"h24": ("yes", now), "h25": ("no", now)}
    assert len(read_labels(store, MODEL, NOON)) == 3
    assert len(read_labels(store, MODEL, now + 24 * HOUR)) == 1
    numbers = feedback_line(MODEL, [Entry("h26-0", 2.5, now.timestamp())], DEMAND, now.timestamp())
    put_feedback(store, tmp_path / "log", "host-10", now, numbers)
    kinds = {str(batch.schema.field("label").type) for batch in read_labelled(store, MODEL, WEEK, columns=())}
    assert kinds == {"string"}
    number = read_labels(store, MODEL, NOON).get("h26-0")
    assert number is not None
    assert number.label == 2.5
