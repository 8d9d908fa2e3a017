"""What one request costs the server: CPU microseconds (user + system, of the worker) over the requests it answered.

The full path is on: typed decoding, prediction id, log line before the answer, metrics. Beneath it, in this process and
without any transport, what each stage costs, for one row and for a batch of 100; a stage alone finds its data in the
processor's cache, so that all of them together cost less than the whole handler.

    python benchmarks/serving/request_cost.py [--seconds 3] [--rounds 3]

The model is that of most teams: 8 numeric columns (3 with missing values) and 6 categories into a logistic regression,
one row a request, JSON with named columns; one worker, clients on keep-alive connections in this process. Where the
machine has two CPUs, the worker has one and the clients the other.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.model import Columns, FittedModel
from tiltyard.bundle.transforms import DenseView
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.predictions.record import Record, batch_line, record_line
from tiltyard.predictions.settings import LogSettings
from tiltyard.project.metrics import Task
from tiltyard.serving.handler import handle
from tiltyard.serving.plan import Plan, SlotPlan, write_plan
from tiltyard.serving.protocols.own import written
from tiltyard.serving.requests import Request
from tiltyard.serving.scoring import score
from tiltyard.serving.server import listen
from tiltyard.serving.settings import Limits, WorkerSettings
from tiltyard.serving.slots import Served, Slot, load_slot

LEVELS = tuple(f"level{number}" for number in range(8))
CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        *(Column(name=f"number{at}", kind=Kind.NUMBER, nullable=at < 3) for at in range(8)),
        *(Column(name=f"category{at}", kind=Kind.CATEGORY, nullable=at < 2, levels=LEVELS) for at in range(6)),
        Column(name="bought", kind=Kind.CATEGORY, role=Role.TARGET),
    ),
    classes=("no", "yes"),
)
HEADER = "POST /v1/models/shop/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: "


def make_table(rows: int = 2_000) -> Columns:
    """Return a random table of the contract, a tenth of the nullable values missing."""
    rng = np.random.default_rng(7)
    levels = np.array(LEVELS, dtype=object)
    table: dict[str, NDArray[Any]] = {}
    for column in CONTRACT.features:
        number = column.kind is Kind.NUMBER
        values: NDArray[Any] = rng.normal(size=rows) if number else levels[rng.integers(len(LEVELS), size=rows)]
        if column.nullable:
            values[rng.random(rows) < 0.1] = np.nan if number else None
        table[column.name] = values
    return table


def make_slot(folder: Path) -> SlotPlan:
    """Fit the model and build its bundle."""
    table, encoder = make_table(), Encoder.of(CONTRACT)
    matrix = encoder.encode(table)
    target = (np.nan_to_num(matrix[:, 4]) + (matrix[:, 9] > 3) > 0.5).astype(np.int64)
    view = DenseView(tuple(feature.levels for feature in encoder.features))
    estimator = make_pipeline(view, LogisticRegression(max_iter=1_000)).fit(matrix, target)
    model = FittedModel(Task.BINARY, ("no", "yes"), encoder, estimator, family="linear")
    manifest = build_bundle(model, CONTRACT, table, folder / "bundle", project="shop", parity=1e-5)
    return SlotPlan(version=1, bundle=str(folder / "bundle"), digest=manifest.digest, since=datetime.now(UTC))


def make_requests(count: int = 200) -> list[bytes]:
    """Return requests of one row each, as bytes."""
    table = make_table(count)
    requests = []
    for at in range(count):
        cells = {name: values[at] for name, values in table.items()}
        row = {name: None if value != value else value for name, value in cells.items()}  # noqa: PLR0124  # NaN
        body = json.dumps({"rows": [row]}).encode()
        requests.append(f"{HEADER}{len(body)}\r\n\r\n".encode() + body)
    return requests


async def ask(port: int, requests: list[bytes], deadline: float, times: list[float]) -> None:
    """Ask on one connection until the deadline; every answer must be a 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = 0
    while time.perf_counter() < deadline:
        began = time.perf_counter()
        writer.write(requests[turn % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        times.append(time.perf_counter() - began)
        turn += 1
    writer.close()


async def ask_all(port: int, requests: list[bytes], connections: int, seconds: float) -> list[float]:
    """Ask on several connections at once; return the time of every answer, seconds."""
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    await asyncio.gather(*(ask(port, requests, deadline, times) for _ in range(connections)))
    return times


def cpu_seconds(process: psutil.Process) -> float:
    """Return user and system time of a process."""
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def cost_of(work: Callable[[], object], seconds: float = 0.1, rounds: int = 5) -> float:
    """Return the CPU microseconds of some work, the best of some rounds."""
    began, turns = time.process_time(), 0
    while time.process_time() - began < seconds:
        work()
        turns += 1
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(turns):
            work()
        spent.append((time.process_time() - began) / turns)
    return min(spent) * 1e6


def stage_costs(slot: Slot, bodies: list[bytes]) -> dict[str, float]:
    """Return the microseconds of every stage for a body, and of the handler as a whole.

    Args:
        slot: The loaded version.
        bodies: One in turn for the handler; the first for the stages.
    """
    served = Served(names=(slot.name,), slots={slot.name: slot}, limits=Limits())
    path, headers = f"/v1/models/{slot.name}/predict", {b"content-type": b"application/json"}
    requests = [Request("POST", path, body, headers, "id", time.time()) for body in bodies]
    turn = iter(cycle(requests))
    read = partial(slot.reader.read, bodies[0], served.limits.rows)
    typed = read()
    assert typed is not None
    predictions = slot.runtime.score(typed.matrix)
    probabilities = predictions.array.tolist()
    codes = slot.runtime.codes(probabilities)
    record = Record("id", 0.0, slot.name, slot.version, slot.arm, typed.logged(), codes, 0.0, None, probabilities)
    line = partial(record_line, record) if typed.rows == 1 else lambda: batch_line(record, typed.logged_columns())
    scored = score(served, requests[0], slot.name, lambda _: typed)
    return {
        "read": cost_of(read),
        "run": cost_of(lambda: slot.runtime.score(typed.matrix)),
        "record": cost_of(line),
        "answer": cost_of(lambda: written(scored)),
        "handler": cost_of(lambda: handle(served, next(turn))),
    }


@dataclass(frozen=True)
class Bench:
    """A running worker and the requests for it."""

    runner: asyncio.Runner
    worker: psutil.Process
    port: int
    requests: list[bytes]

    def ask(self, connections: int, seconds: float) -> list[float]:
        """Ask for some seconds; return the time of every answer, seconds."""
        return self.runner.run(ask_all(self.port, self.requests, connections, seconds))

    def measure(self, connections: int, seconds: float) -> tuple[float, float, float, float]:
        """Return requests a second, p50 and p99 in milliseconds, and CPU microseconds a request."""
        before = cpu_seconds(self.worker)
        times = self.ask(connections, seconds)
        spent = cpu_seconds(self.worker) - before
        p50, p99 = np.percentile(times, [50, 99]) * 1e3
        return len(times) / seconds, float(p50), float(p99), spent / len(times) * 1e6

    def pin(self) -> None:
        """Give the worker one CPU and the clients another, where there are two."""
        if len(psutil.Process().cpu_affinity()) > 1:
            self.worker.cpu_affinity([0])
            psutil.Process().cpu_affinity([1])


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    requests = make_requests()
    with tempfile.TemporaryDirectory() as name, listen("127.0.0.1", 0) as listener:
        slot = make_slot(Path(name))
        plan = Path(name) / "plan.json"
        write_plan(plan, Plan(models={"shop": slot}))
        told = WorkerSettings(
            names=("shop",),
            plan=plan,
            socket=listener.fileno(),
            parent=os.getpid(),
            log=LogSettings(),
            log_folder=Path(name) / "log",
        )
        command = [sys.executable, "-m", "tiltyard.serving.worker", told.model_dump_json()]
        began = time.perf_counter()
        worker = subprocess.Popen(command, pass_fds=(listener.fileno(),), env={**os.environ, "OMP_NUM_THREADS": "1"})
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                bench = Bench(runner, psutil.Process(worker.pid), listener.getsockname()[1], requests)
                bench.ask(1, 0.2)
                print(f"first 200 after {time.perf_counter() - began - 0.2:.2f} s")
                report(bench, given.seconds, given.rounds)
        finally:
            worker.terminate()
            worker.wait()
        report_stages(load_slot("shop", slot), [request.partition(b"\r\n\r\n")[2] for request in requests])


def report_stages(slot: Slot, bodies: list[bytes]) -> None:
    """Print what the stages cost for one row, and for 100."""
    batch = json.dumps({"rows": [json.loads(body)["rows"][0] for body in bodies[:100]]}).encode()
    single, many = stage_costs(slot, bodies), stage_costs(slot, [batch])
    print(f"{'µs in process':>15}" + "".join(f"{stage:>9}" for stage in single))
    for rows, costs in ((1, single), (100, many)):
        print(f"{rows:>11} row" + ("s" if rows > 1 else " ") + "".join(f"{cost:>9.1f}" for cost in costs.values()))


def report(bench: Bench, seconds: float, rounds: int) -> None:
    """Print the medians of some rounds."""
    bench.pin()
    print(f"{'connections':>11}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs/request':>16}")
    for connections in (1, 32):
        found = [bench.measure(connections, seconds) for _ in range(rounds)]
        rate, p50, p99, cost = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{connections:>11}{rate:>9.0f}{p50:>9.2f}{p99:>9.2f}{cost:>16.1f}")
    print(f"worker's memory {bench.worker.memory_info().rss / 2**20:.0f} MB (RSS)")


if __name__ == "__main__":
    main()
