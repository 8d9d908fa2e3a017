"""One server on a CPU of its own: started, waited for, measured, stopped."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from asyncio import Runner
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from benchmarks.serving.contenders import Contender
from benchmarks.serving.environments import AbsentPeerError, cache
from benchmarks.serving.load import Tally, ask
from benchmarks.serving.payloads import BATCHES, REQUESTS, make_rows, request

START_SECONDS = 120.0
CALM_SECONDS = 20.0
WARM_SECONDS = 0.5
BATCH = 100
SETTINGS = ((1, 1), (32, 1), (1, BATCH), (32, BATCH))
"""Connections and rows a request."""


@dataclass(frozen=True)
class Figures:
    """Medians over the rounds of one setting.

    Attributes:
        cpu: Microseconds of user and system time of the server's whole process tree, a request.
        worker_cpu: The same of the process that spends most of it.
        rate: Requests a second.
        p50: Median time of an answer, milliseconds.
        p99: 99th percentile.
        answers: Complete 200 answers of all rounds.
        errors: Everything else, by what was seen.
    """

    cpu: float
    worker_cpu: float
    rate: float
    p50: float
    p99: float
    answers: int
    errors: dict[str, int]


@dataclass
class Measured:
    """What is known of one server.

    Attributes:
        name: The server.
        absent: Why it did not take part; empty when it did.
        first: Seconds from start to the first 200.
        worker_mb: Resident memory of the process that answers, after the load.
        tree_mb: Of the whole process tree, shared pages counted once.
        figures: By connections and rows.
    """

    name: str
    absent: str = ""
    first: float = 0.0
    worker_mb: float = 0.0
    tree_mb: float = 0.0
    figures: dict[tuple[int, int], Figures] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        named = {f"{connections}x{rows}": asdict(found) for (connections, rows), found in self.figures.items()}
        return {**asdict(self), "figures": named}


class Tree:
    """A process and all its descendants.

    Args:
        process: Its root.
    """

    def __init__(self, process: int) -> None:
        self._root = psutil.Process(process)

    def members(self) -> list[psutil.Process]:
        """Return those that live now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self._root, *self._root.children(recursive=True)]
        return []

    def cpu(self) -> dict[int, float]:
        """Return seconds of CPU by process; those of ended children are their parent's."""
        spent = {}
        for member in self.members():
            with contextlib.suppress(psutil.Error):
                times = member.cpu_times()
                spent[member.pid] = times.user + times.system + times.children_user + times.children_system
        return spent

    def memory(self, worker: int) -> tuple[float, float]:
        """Return MB of one process and of all."""
        shared = 0
        for member in self.members():
            with contextlib.suppress(psutil.Error):
                shared += member.memory_full_info().pss
        return psutil.Process(worker).memory_info().rss / 2**20, shared / 2**20


def measure(contender: Contender, *, seconds: float, rounds: int) -> Measured:
    """Start a server, ask it in every setting, stop it.

    It is started once before that: what Python compiles at the first start after an installation is there from then on.

    Args:
        contender: The server.
        seconds: Length of a round.
        rounds: Rounds of each setting.
    """
    found = Measured(contender.name)
    with (
        tempfile.TemporaryDirectory(prefix="tiltyard-bench-") as name,
        Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        try:
            with _running(contender, Path(name, "before"), runner, found):
                pass
            with _running(contender, Path(name, "measured"), runner, found) as (tree, port):
                _calm(tree)
                for connections, rows in SETTINGS:
                    requests = make_requests(contender, rows)
                    _load(runner, port, requests, connections, WARM_SECONDS)
                    load = partial(_load, runner, port, requests, connections)
                    spans = [_round(tree, partial(load, seconds)) for _ in range(rounds)]
                    found.figures[connections, rows] = _medians(spans)
                    _check(contender, spans[-1][0], rows)
                worker = max(spans[-1][1], key=lambda process: spans[-1][1][process])
                found.worker_mb, found.tree_mb = tree.memory(worker)
        except AbsentPeerError as error:
            found.absent = str(error)
    return found


def make_requests(contender: Contender, rows: int) -> list[bytes]:
    """Return different requests of some rows each."""
    count = REQUESTS if rows == 1 else BATCHES
    table = make_rows(count * rows)
    groups = [table[at : at + rows] for at in range(0, len(table), rows)]
    return [request(contender.path, contender.wrap(group)) for group in groups]


Span = tuple[Tally, dict[int, float]]


def _load(runner: Runner, port: int, requests: Sequence[bytes], connections: int, seconds: float) -> Tally:
    return runner.run(ask(port, requests, connections, seconds))


def _round(tree: Tree, load: Callable[[], Tally]) -> Span:
    before = tree.cpu()
    tally = load()
    after = tree.cpu()
    return tally, {process: spent - before.get(process, 0.0) for process, spent in after.items()}


def _medians(spans: Sequence[Span]) -> Figures:
    rows = []
    errors: dict[str, int] = {}
    for tally, spent in spans:
        for what, count in tally.errors.items():
            errors[what] = errors.get(what, 0) + count
        answers = max(1, len(tally.times))
        p50, p99 = np.percentile(tally.times or [np.nan], [50, 99]) * 1e3
        costs = [sum(spent.values()), max(spent.values(), default=0.0)]
        rows.append([*(cost / answers * 1e6 for cost in costs), len(tally.times) / tally.seconds, p50, p99])
    cpu, worker, rate, p50, p99 = (round(float(statistics.median(column)), 4) for column in zip(*rows, strict=True))
    total = sum(len(tally.times) for tally, _ in spans)
    return Figures(cpu=cpu, worker_cpu=worker, rate=rate, p50=p50, p99=p99, answers=total, errors=errors)


def _check(contender: Contender, tally: Tally, rows: int) -> None:
    """Count an answer that does not answer every row as an error."""
    try:
        answered = contender.answers(json.loads(tally.last))
    except (ValueError, KeyError, TypeError) as error:
        raise AbsentPeerError(f"answers something else: {tally.last[:200]!r}") from error
    if answered not in {0, rows}:
        raise AbsentPeerError(f"answers {answered} of {rows} rows")


@contextlib.contextmanager
def _running(contender: Contender, folder: Path, runner: Runner, found: Measured) -> Iterator[tuple[Tree, int]]:
    """Run a server until the end of the block; this process gives its CPU away."""
    folder.mkdir()
    port = _free_port()
    command, added = contender.start(folder, port)
    server, client = _cpus()
    one = make_requests(contender, 1)[:1]
    with (folder / "log").open("wb") as log:
        began = time.perf_counter()
        psutil.Process().cpu_affinity([server])
        process = subprocess.Popen(
            command, env=_environment(added), stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
        psutil.Process().cpu_affinity([client])
        try:
            _first(process, port, one, runner, folder / "log")
            found.first = round(time.perf_counter() - began, 3)
            yield Tree(process.pid), port
        finally:
            _stop(process)


THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _environment(added: Mapping[str, str]) -> dict[str, str]:
    """Return a server's environment: one thread, and bytecode that is kept, whatever this shell says of it."""
    told = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**told, **THREADS, "PYTHONPYCACHEPREFIX": str(cache() / "bytecode"), **added}


def _cpus() -> tuple[int, int]:
    """Return the CPU of the server and that of the load; one and the same where there is only one."""
    return _CPUS[0], _CPUS[-1]


_CPUS = sorted(os.sched_getaffinity(0))


def _first(process: subprocess.Popen[bytes], port: int, one: list[bytes], runner: Runner, log: Path) -> None:
    """Wait for the first 200."""
    deadline = time.perf_counter() + START_SECONDS
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if runner.run(ask(port, one, 1, 0.0)).times:
                return
        time.sleep(0.01)
    lines = log.read_text(errors="replace").strip().splitlines() or ["no message"]
    raise AbsentPeerError(f"does not answer: {lines[-1][:200]}")


def _calm(tree: Tree) -> None:
    """Wait until a server has nothing left to do of its start."""
    deadline = time.perf_counter() + CALM_SECONDS
    while time.perf_counter() < deadline:
        before = sum(tree.cpu().values())
        time.sleep(1.0)
        if sum(tree.cpu().values()) - before < 0.08:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
