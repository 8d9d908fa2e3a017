"""From sealed segments to Parquet in the store: once, typed, whatever dies or is damaged."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec import structs

from tests.predictions.lines import (
    CONTRACT,
    DEMAND,
    MODEL,
    NOON,
    ROW,
    SCHEMA,
    batch_of,
    doubles_of,
    line,
    record,
    stored,
)
from tests.storage.conftest import BUCKET
from tiltyard.errors import StorageError
from tiltyard.predictions import parts
from tiltyard.predictions.files import held
from tiltyard.predictions.record import Entry, feedback_line, record_line, schema_line
from tiltyard.predictions.shipping import Shipment, ship
from tiltyard.storage.base import Store
from tiltyard.storage.folder import FolderStore
from tiltyard.storage.opening import open_store

FIRST = NOON.timestamp()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind in turn."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    endpoint = request.getfixturevalue("s3_server")
    return open_store(f"s3://{BUCKET}/{uuid4().hex}", endpoint=endpoint, cache=tmp_path / "cache")


def shipped(folder: Path, store: Store) -> Shipment:
    total = Shipment()
    for shipment in ship(folder, store):
        total += shipment
    return total


def table_of(store: Store, key: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(store.read(key)))


def test_a_segment_becomes_an_object_a_model_day_and_version(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    late = (NOON + timedelta(days=1)).timestamp()
    lines = [
        SCHEMA,
        line("a", rows=[ROW, [None] * 6], answers=[1, 0], probabilities=[[0.25, 0.75], [1, 0]]),
        schema_line(MODEL, 4, CONTRACT),
        line("b", version=4, probabilities=None),
        line("c", time=late),
        schema_line("demand", 1, DEMAND),
        line("d", model="demand", version=1, rows=[[2.5]], answers=[7.5], probabilities=None),
        feedback_line(MODEL, [Entry("a-0", "yes", FIRST + 9)], CONTRACT, late),
        feedback_line("demand", [Entry("d-0", 3.5, FIRST), Entry("d-0", 4.5, FIRST)], DEMAND, FIRST),
    ]
    (folder / "host-1.jsonl").write_bytes(b"".join(lines))
    assert shipped(folder, store) == (1, 6, 8, 0)
    assert list(folder.iterdir()) == []
    assert store.list("") == [
        "feedback/churn/date=2026-11-21/category-host-1.parquet",
        "feedback/demand/date=2026-11-20/number-host-1.parquet",
        "predictions/churn/date=2026-11-20/v3-host-1.parquet",
        "predictions/churn/date=2026-11-20/v4-host-1.parquet",
        "predictions/churn/date=2026-11-21/v3-host-1.parquet",
        "predictions/demand/date=2026-11-20/v1-host-1.parquet",
    ]
    table = table_of(store, "predictions/churn/date=2026-11-20/v3-host-1.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types == {
        "id": "string",
        "request": "string",
        "row": "int32",
        "time": "timestamp[us, tz=UTC]",
        "model": "string",
        "version": "int64",
        "slot": "string",
        "key": "string",
        "seconds": "double",
        "prediction": "string",
        "probability_no": "double",
        "probability_yes": "double",
        "feature_age": "double",
        "feature_visits": "int64",
        "feature_member": "bool",
        "feature_plan": "string",
        "feature_words": "string",
        "feature_seen": "timestamp[us]",
    }
    first, second = table.to_pylist()
    assert (first["id"], first["prediction"], first["time"]) == ("a-0", "yes", NOON)
    assert (second["id"], second["prediction"], second["feature_visits"]) == ("a-1", "no", None)
    demand = table_of(store, "predictions/demand/date=2026-11-20/v1-host-1.parquet")
    assert demand.column("prediction").to_pylist() == [7.5]
    labels = table_of(store, "feedback/demand/date=2026-11-20/number-host-1.parquet")
    assert labels.column("label").to_pylist() == [3.5, 4.5]


def test_shipped_twice_is_stored_once(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    for _ in range(2):
        (folder / "host-1.jsonl").write_bytes(SCHEMA + line("a") + line("b") + line("a"))
        assert shipped(folder, store)[:3] == (1, 1, 2)
    assert stored(store) == {"a-0": 1, "b-0": 1}


def test_two_shippers_at_once_do_no_harm(tmp_path: Path, store: Store) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    names = [f"{segment:02d}x{number}" for segment in range(12) for number in range(5)]
    for segment in range(12):
        lines = [line(name) for name in names[5 * segment : 5 * segment + 5]]
        (folder / f"host-{segment}.jsonl").write_bytes(SCHEMA + b"".join(lines))
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: shipped(folder, store), range(3)))
    assert sum(shipment.segments for shipment in done) == 12
    assert stored(store) == {f"{name}-0": 1 for name in names}
    assert list(folder.iterdir()) == []


def test_one_that_is_held_waits(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    path = tmp_path / "host-1.jsonl"
    path.write_bytes(SCHEMA + line("a"))
    with held(path):
        assert shipped(tmp_path, store) == Shipment()
    assert shipped(tmp_path, store).rows == 1


def test_damaged_lines_are_put_aside_and_the_rest_is_shipped(tmp_path: Path) -> None:
    folder, store = tmp_path / "log", FolderStore(tmp_path / "store")
    folder.mkdir()
    damaged = [
        b'{"id":"torn","ti\n',
        b"\xff\xfe garbage\n",
        line("unknown", version=9),
        line("short", rows=[ROW[:3]]),
        line("kinds", rows=[["old", *ROW[1:]]]),
        line("decimals", rows=[[1.0, 2.5, *ROW[2:]]]),
        line("large", rows=[[1.0, 2**63, *ROW[2:]]]),
        line("times", rows=[[*ROW[:5], "yesterday"]]),
        line("class", answers=[2]),
        line("below", answers=[-1]),
        line("chances", probabilities=[[0.5]]),
        line("answers", answers=[1, 1]),
        line("nothing", rows=[], answers=[], probabilities=None),
        line("never", time=1e300),
        schema_line("../../etc", 1, CONTRACT),
        feedback_line("../../etc", [Entry("a", "yes", 1.0)], CONTRACT, FIRST),
        feedback_line(MODEL, [Entry("a", 1, 1.0)], CONTRACT, FIRST),
    ]
    good = [line(f"good{number}") for number in range(len(damaged))]
    mixed = [one for pair in zip(damaged, good, strict=True) for one in pair]
    (folder / "host-1.jsonl").write_bytes(SCHEMA + b"\0" * 5000 + b"".join(mixed) + b"\0" * 5000)
    assert shipped(folder, store) == (1, 1, len(good), len(damaged))
    assert stored(store) == {f"good{number}-0": 1 for number in range(len(good))}
    assert [path.name for path in folder.iterdir()] == ["host-1.damaged"]
    assert sorted((folder / "host-1.damaged").read_bytes().splitlines(keepends=True)) == sorted(damaged)
    assert shipped(folder, store) == Shipment()


def test_damaged_batches_are_put_aside_and_the_rest_is_shipped(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    two = doubles_of([1.0, None])
    whole = batch_of(record("b", rows=[ROW, ROW], answers=[0, 1], probabilities=[[0.5, 0.5]] * 2), CONTRACT)
    changes: list[dict[str, Any]] = [
        {"columns": [two[:9], *whole.columns[1:]]},
        {"columns": [doubles_of([1.0]), *whole.columns[1:]]},
        {"columns": [two, two, *whole.columns[2:]]},
        {"columns": [two, [1, 2.5], *whole.columns[2:]]},
        {"columns": [["old", "new"], *whole.columns[1:]]},
        {"columns": [*whole.columns[:3], ["gold"], *whole.columns[4:]]},
        {"columns": [two]},
        {"answers": two},
        {"answers": [0, 2]},
        {"answers": []},
        {"probabilities": two},
    ]
    damaged = [record_line(structs.replace(whole, id=f"d{at}", **changed)) for at, changed in enumerate(changes)]
    listed = structs.replace(whole, id="listed", columns=[[1.5, None], *whole.columns[1:]])
    good = [record_line(whole), record_line(listed), line("a")]
    (tmp_path / "host-1.jsonl").write_bytes(SCHEMA + b"".join([*good[:1], *damaged, *good[1:]]))
    assert shipped(tmp_path, store) == (1, 1, 5, len(damaged))
    assert stored(store) == {"b-0": 1, "b-1": 1, "listed-0": 1, "listed-1": 1, "a-0": 1}
    assert sorted((tmp_path / "host-1.damaged").read_bytes().splitlines(keepends=True)) == sorted(damaged)


def test_records_of_a_schema_that_is_none_are_put_aside(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    later = SCHEMA.replace(b'{"schema":1', b'{"schema":2')
    lines = [later, line("a"), schema_line("../../etc", 1, CONTRACT), line("b", model="../../etc", version=1)]
    (tmp_path / "host-1.jsonl").write_bytes(b"".join(lines))
    assert shipped(tmp_path, store) == (1, 0, 0, 4)
    assert sorted((tmp_path / "host-1.damaged").read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_segment_of_several_blocks_gives_the_same_object_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "BLOCK_BYTES", 1_000)
    store, found = FolderStore(tmp_path / "store"), set()
    batch = batch_of(record("b", rows=[ROW, ROW], answers=[0, 1], probabilities=None), CONTRACT)
    for _ in range(2):
        lines = [line(f"a{number}") for number in range(20)]
        (tmp_path / "host-1.jsonl").write_bytes(b"".join([SCHEMA, *lines[:7], record_line(batch), *lines[7:]]))
        assert shipped(tmp_path, store) == (1, 1, 22, 0)
        found.add(store.read(store.list("")[0]))
    assert len(found) == 1
    assert set(stored(store)) == {*(f"a{number}-0" for number in range(20)), "b-0", "b-1"}


def test_without_its_schema_a_record_is_put_aside(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "host-1.jsonl").write_bytes(line("a") + SCHEMA + line("b"))
    assert shipped(tmp_path, store) == (1, 1, 1, 1)
    assert (tmp_path / "host-1.damaged").read_bytes() == line("a")


def test_an_empty_segment_is_removed(tmp_path: Path) -> None:
    (tmp_path / "host-1.jsonl").touch()
    assert shipped(tmp_path, FolderStore(tmp_path / "store")) == (1, 0, 0, 0)


def test_a_segment_stays_until_all_of_it_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "host-1.jsonl").write_bytes(SCHEMA + line("a") + line("b", time=FIRST + 86_400))
    write, calls = store.write, []

    def failing(key: str, content: bytes) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise StorageError("the store is full")
        write(key, content)

    monkeypatch.setattr(store, "write", failing)
    with pytest.raises(StorageError):
        shipped(tmp_path, store)
    assert (tmp_path / "host-1.jsonl").exists()
    assert shipped(tmp_path, store).segments == 1
    assert stored(store) == {"a-0": 1, "b-0": 1}


def test_a_segment_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(SCHEMA)
    for name in ("b", "c"):
        (tmp_path / f"{name}.jsonl").write_bytes(SCHEMA + line(name))
    with pytest.raises(OSError, match="symbolic links"):
        shipped(tmp_path, store)
    assert stored(store) == {"b-0": 1, "c-0": 1}


def test_the_oldest_goes_first(tmp_path: Path) -> None:
    store, order = FolderStore(tmp_path / "store"), []
    for number, name in enumerate(("c", "a", "b")):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(SCHEMA + line(name))
        os.utime(path, (number, number))
    lock = threading.Lock()
    for _ in ship(tmp_path, store):
        with lock:
            order.append(len(stored(store)))
    assert order == [1, 2, 3]
