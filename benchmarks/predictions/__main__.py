"""What the prediction log costs: an append, a wait for the disk, and the making of Parquet, a record.

    python -m benchmarks.predictions [FOLDER]

FOLDER is on the disk to be measured; the temporary one when left out. CPU times are of this process.
"""

import asyncio
import gc
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.predictions.log import PredictionLog
from tiltyard.predictions.parts import read_segment
from tiltyard.predictions.record import Record, record_line, schema_line
from tiltyard.predictions.settings import LogSettings
from tiltyard.predictions.shipping import parquet_bytes
from tiltyard.project.metrics import Task

KEY = ("churn", 3)
NUMBERS = [Column(name=f"n{number}", kind=Kind.NUMBER) for number in range(5)]
WORDS = [Column(name=f"c{number}", kind=Kind.CATEGORY, levels=("basic", "gold")) for number in range(5)]
TARGET = Column(name="churned", kind=Kind.CATEGORY, levels=("no", "yes"), role=Role.TARGET)
CONTRACT = Contract(task=Task.BINARY, columns=(*NUMBERS, *WORDS, TARGET), classes=("no", "yes"))
SCHEMA = schema_line("churn", 3, CONTRACT)


def record(number: int) -> Record:
    """Return a record of one row with ten features."""
    row = [*(number + 0.25 * place for place in range(5)), "basic", "gold", "basic", None, "gold"]
    return Record(f"9f{number:022x}", 1.79e9, "churn", 3, "champion", [row], [1], 0.0002, None, [[0.25, 0.75]])


def cpu(action: Callable[[], object], count: int) -> float:
    """Return CPU microseconds of one of `count` things that an action does."""
    began = time.process_time()
    action()
    return (time.process_time() - began) / count * 1e6


def appending(folder: Path, count: int) -> tuple[float, float]:
    """Return the cost of making a line, and of appending it."""
    records = [record(number) for number in range(1000)]
    lines = [record_line(one) for one in records]
    log = PredictionLog(folder)
    making = cpu(lambda: [record_line(one) for _ in range(count // 1000) for one in records], count)
    writing = cpu(lambda: [log.append(line, KEY, SCHEMA) for _ in range(count // 1000) for line in lines], count)
    log.close()
    return making, writing


def waiting(folder: Path, clients: int, seconds: float) -> tuple[float, float]:
    """Return the lines a second that reach the disk, and the CPU cost of one."""
    log, line = PredictionLog(folder, LogSettings(durability="disk")), record_line(record(1))
    end = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < end:
            await log.synced(log.append(line, KEY, SCHEMA))

    async def all_at_once() -> None:
        await asyncio.gather(*(client() for _ in range(clients)))

    began = time.process_time()
    asyncio.run(all_at_once())
    spent, written = time.process_time() - began, log.counts.written
    log.close()
    return written / seconds, spent / written * 1e6


def shipping(count: int) -> float:
    """Return the cost of making Parquet of one record."""
    segment = SCHEMA + b"".join(record_line(record(number)) for number in range(count))

    def ship() -> None:
        for part in read_segment(io.BytesIO(segment)).parts:
            table, _ = part.table()
            parquet_bytes(table)

    gc.set_threshold(50_000, *gc.get_threshold()[1:])  # as the sidecar has it
    ship()
    return min(cpu(ship, count) for _ in range(5))


def main(place: Path) -> None:
    """Measure, and print one line each."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        making, writing = appending(folder / "process", 200_000)
        print(f"making a line      {making:8.2f} µs CPU")
        print(f"appending it       {writing:8.2f} µs CPU")
        for clients in (1, 32):
            rate, spent = waiting(folder / f"disk{clients}", clients, 3.0)
            print(f"durability: disk   {spent:8.2f} µs CPU, {rate:8,.0f} a second with {clients} waiting at a time")
        print(f"making Parquet     {shipping(20_000):8.2f} µs CPU a record")


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else tempfile.gettempdir()))
