"""What a check of a window costs, by rows and columns: wall and CPU time, and peak memory.

    python -m benchmarks.monitoring.scale [FOLDER]

A check here is all that is done with rows: the sample of the window, what drifted and what is broken in it, and its
labels, of which every second prediction has one, joined and scored. Objects are those that the sidecar ships, of one
segment of 8 MiB each, ten a day. Each size is checked by a process of its own, so that its peak memory is that of the
check and of the libraries. FOLDER is where the log goes, 2 GB for a while; the temporary folder when left out.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.monitoring.drift import check_drift
from tiltyard.monitoring.labelled import collect, columns_for
from tiltyard.monitoring.performance import performance
from tiltyard.monitoring.quality import check_quality
from tiltyard.monitoring.windows import read_window
from tiltyard.predictions.columns import FEATURE, KIND_TYPES
from tiltyard.predictions.parts import FEEDBACK, PREDICTIONS, object_key
from tiltyard.predictions.reading import Window, read_labelled
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.project.metrics import Task
from tiltyard.storage.folder import FolderStore

MODEL = "churn"
SIZES = ((375_000, 100), (750_000, 100), (1_500_000, 100), (3_000_000, 100), (3_000_000, 50), (3_000_000, 25))
START = datetime(2026, 11, 1, tzinfo=UTC)
OBJECT_ROWS = 7_500
OBJECTS_A_DAY = 10
EVERY_SECOND = pa.array(range(0, OBJECT_ROWS, 2))
LEVELS = tuple(f"level {number}" for number in range(12))
KINDS = (*[Kind.NUMBER] * 12, *[Kind.CATEGORY] * 5, Kind.INTEGER, Kind.BOOLEAN, Kind.TIME)
"""Kinds of twenty columns, which repeat."""


def contract(columns: int) -> Contract:
    """Return a contract of so many features."""
    features = []
    for number in range(columns):
        kind = KINDS[number % len(KINDS)]
        levels = LEVELS[:-1] if kind is Kind.CATEGORY else ()
        ends = {"minimum": -4.0, "maximum": 4.0} if kind is Kind.NUMBER else {}
        features.append(Column(name=f"c{number:03d}", kind=kind, nullable=True, levels=levels, **ends))  # type: ignore[arg-type]
    target = Column(name="churned", kind=Kind.CATEGORY, levels=("no", "yes"), role=Role.TARGET)
    return Contract(task=Task.BINARY, columns=(*features, target), classes=("no", "yes"))


def values(kind: Kind, number: int, rng: np.random.Generator) -> pa.Array:
    """Return a column of an object, two in a hundred missing."""
    mask = rng.random(OBJECT_ROWS) < 0.02
    if kind is Kind.CATEGORY:
        return pa.array(np.array(LEVELS, dtype=object)[rng.integers(0, len(LEVELS), OBJECT_ROWS)], pa.string(), mask)
    if kind is Kind.NUMBER:
        drawn = rng.normal(size=OBJECT_ROWS)
        return pa.array(drawn if number % 2 else drawn.round(2), pa.float64(), mask)
    if kind is Kind.BOOLEAN:
        return pa.array(rng.random(OBJECT_ROWS) < 0.3, pa.bool_(), mask)
    whole = pa.array(rng.integers(0, 1_000_000, OBJECT_ROWS), pa.int64(), mask)
    return whole if kind is Kind.INTEGER else whole.cast(KIND_TYPES[kind])


def objects(rows: int, columns: int) -> Iterator[tuple[str, pa.Table]]:
    """Yield the objects of a log; their features come again, their ids do not."""
    rng = np.random.default_rng(7)
    names = [(column.name, column.kind) for column in contract(columns).features]
    features = {f"{FEATURE}{name}": values(kind, number, rng) for number, (name, kind) in enumerate(names)}
    chance = rng.random(OBJECT_ROWS).astype(np.float32).astype(np.float64)
    answers = {
        "prediction": pa.array(np.where(chance >= 0.5, "yes", "no"), pa.string()),
        "probability_no": pa.array(1 - chance),
        "probability_yes": pa.array(chance),
    }
    for number in range(rows // OBJECT_ROWS):
        day = START + timedelta(days=number // OBJECTS_A_DAY)
        yield (
            object_key(PREDICTIONS, MODEL, f"{day:%Y-%m-%d}", f"v3-host-{number:06d}"),
            pa.table({**about(number, day), **answers, **features}),
        )


def about(number: int, day: datetime) -> dict[str, Any]:
    """Return the columns that say which request a row is of: one row a request, the worst case."""
    requests = [f"9f3a5b7c1d2e4f60{number * OBJECT_ROWS + row:08x}" for row in range(OBJECT_ROWS)]
    start = int(day.timestamp() * 1e6) + number % OBJECTS_A_DAY * 8_000_000_000
    times = pa.array(start + np.arange(OBJECT_ROWS) * 1_000_000, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return {
        "id": pa.array([f"{request}-0" for request in requests]),
        "request": pa.array(requests),
        "row": pa.array(np.zeros(OBJECT_ROWS, np.int32)),
        "time": times,
        "model": pa.repeat(pa.scalar(MODEL), OBJECT_ROWS),
        "version": pa.repeat(pa.scalar(3, pa.int64()), OBJECT_ROWS),
        "slot": pa.repeat(pa.scalar("champion"), OBJECT_ROWS),
        "key": pa.nulls(OBJECT_ROWS, pa.string()),
        "seconds": pa.array(np.full(OBJECT_ROWS, 0.0002)),
    }


def labels(rows: int) -> Iterator[tuple[str, pa.Table]]:
    """Yield the labels of every second prediction, a day late."""
    for number in range(rows // OBJECT_ROWS):
        day = START + timedelta(days=number // OBJECTS_A_DAY + 1)
        content = about(number, day)
        arrived = pa.table(
            {
                "id": content["id"],
                "label": pa.array(np.where(np.random.default_rng(number).random(OBJECT_ROWS) < 0.5, "yes", "no")),
                "time": content["time"],
                "received": content["time"],
                "model": content["model"],
            }
        )
        yield object_key(FEEDBACK, MODEL, f"{day:%Y-%m-%d}", f"category-host-{number:06d}"), arrived.take(EVERY_SECOND)


def measure(folder: Path, columns: int) -> dict[str, float]:
    """Return what one check of a whole log costs this process, in seconds and megabytes."""
    store, about_it = FolderStore(folder), contract(columns)
    window = Window(START, START + timedelta(days=365))
    first_day = Window(START, START + timedelta(days=1))
    reference = read_window(store, MODEL, first_day, about_it, versions={3}, seed=1).sample
    began, spent = time.perf_counter(), time.process_time()
    sample = read_window(store, MODEL, window, about_it, versions={3}).sample
    read = time.process_time() - spent
    check_drift(reference, [sample])
    check_quality(sample, reference, about_it)
    compared = time.process_time() - spent - read
    batches = read_labelled(store, MODEL, window, versions={3}, columns=columns_for(about_it.classes))
    score = performance(collect(batches, about_it.classes), "roc_auc", start=window.start, end=window.end)
    cpu = time.process_time() - spent
    assert (score.rows, score.labelled) == (sample.rows, sample.rows // 2)
    return {
        "wall": time.perf_counter() - began,
        "cpu": cpu,
        "read": read,
        "compared": compared,
        "labels": cpu - read - compared,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main(place: str) -> None:
    """Write each log, check it by a process of its own, and print a line each."""
    print("     rows  columns  log MB  wall s   CPU s = sample + compare + labels  peak MB  µs a row and column")
    for rows, columns in SIZES:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            for key, table in chain(objects(rows, columns), labels(rows)):
                file = Path(folder) / key
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(parquet_bytes(table))
            size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet")) / 1e6
            command = [sys.executable, "-m", __spec__.name, "--check", folder, str(columns)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            spent = f"{found['cpu']:7.1f} {found['read']:8.1f} {found['compared']:9.1f} {found['labels']:8.1f}"
            each = f"{found['read'] / rows / columns * 1e6:8.3f}"
            print(
                f"{rows:9,} {columns:8} {size:7.0f} {found['wall']:7.1f} {spent} {found['peak']:8.0f} {each}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(sys.argv[1] if sys.argv[1:] else tempfile.gettempdir())
