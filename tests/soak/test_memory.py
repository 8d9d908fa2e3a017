"""Memory after many requests and swaps is what it was after the first of them.

`TILTYARD_SOAK_REQUESTS=1000000 TILTYARD_SOAK_SWAPS=200` as long as it is meant to be.
"""

import asyncio
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.load import ask
from tests.serving.registries import Registered
from tests.serving.servers import Server, eventually, running
from tests.soak.sizes import size

REQUESTS = size("REQUESTS", 60_000)
SWAPS = size("SWAPS", 24)
FIRST_REQUESTS = min(10_000, REQUESTS // 3)
FIRST_SWAPS = 8
FIRST_SEGMENTS = 2
VERSIONS = 4
CONNECTIONS = 32
BODY = b'{"features": [1.5]}'
ONE = b"POST /v1/models/demand/predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


class Swaps:
    """Moves the alias in the background, one version after the other.

    Args:
        registered: The model.
        server: Follows.
    """

    def __init__(self, registered: Registered, server: Server) -> None:
        self._registered = registered
        self._server = server
        self.done = 0

    def run(self, count: int) -> None:
        """Move the alias until so many moves have arrived."""
        while self.done < count:
            version = 1 + (self.done + 1) % VERSIONS
            self._registered.promote(version)
            eventually(partial(self._has_arrived, version), seconds=120)
            self.done += 1

    def _has_arrived(self, version: int) -> bool:
        return self._server.version() == version


def memory(server: Server) -> dict[str, float]:
    """Return the resident memory of worker and sidecar, MB."""
    time.sleep(3.0)
    return {
        role: sum(psutil.Process(process).memory_info().rss for process in server.children(role)) / 2**20
        for role in ("worker", "sidecar")
    }


def shipped(home: Path) -> int:
    """Return how many segments are in the store: with the first, the sidecar loads what writes Parquet."""
    return sum(1 for _ in (home / "store" / "predictions").rglob("*.parquet"))


def load_and_swap(server: Server, swaps: Swaps, *, requests: int, until: int, segments: int = 0) -> int:
    """Ask with 32 connections while the alias moves, until all of it is done; return the number of answers."""
    home = server.plan.parents[2]
    moving = threading.Thread(target=swaps.run, args=(until,))
    moving.start()
    answers = 0
    while answers < requests or moving.is_alive() or shipped(home) < segments:
        tally = asyncio.run(ask(server.port, [ONE], CONNECTIONS, 2.0))
        assert tally.errors == {}
        answers += len(tally.times)
    moving.join()
    assert swaps.done == until
    return answers


@pytest.mark.exhaustive
@pytest.mark.timeout(7_200)
def test_memory_stays(tmp_path: Path, registered: Registered) -> None:
    for _ in range(VERSIONS):
        registered.add()
    registered.promote(1)
    with running(tmp_path, poll=0.2) as server:
        eventually(server.ready, seconds=120)
        swaps = Swaps(registered, server)
        first = load_and_swap(server, swaps, requests=FIRST_REQUESTS, until=FIRST_SWAPS, segments=FIRST_SEGMENTS)
        before = memory(server)
        rest = load_and_swap(server, swaps, requests=REQUESTS - first, until=SWAPS)
        after = memory(server)
    print(f"{first:,} requests and {FIRST_SWAPS} swaps: {before}; {first + rest:,} and {SWAPS}: {after} MB")  # noqa: T201  # -s shows it
    assert all(after[role] <= 1.1 * before[role] for role in before), (before, after)
