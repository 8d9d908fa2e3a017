"""Processes are killed and machines lose power at random moments: what was acknowledged is in the store, once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.predictions.lines import stored
from tiltyard.predictions.recovery import recover
from tiltyard.predictions.shipping import ship
from tiltyard.storage.folder import FolderStore

ROOT = Path(__file__).parents[2]
THOROUGH = (pytest.mark.exhaustive, pytest.mark.timeout(1800))

HEAD = """
import asyncio, itertools, os, sys
from pathlib import Path
from tests.predictions.lines import KEY, ROW, SCHEMA, line
from tiltyard.predictions import segment
from tiltyard.predictions.log import PredictionLog
from tiltyard.predictions.settings import LogSettings
folder, name, rows = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
"""

WRITER = f"""{HEAD}
log = PredictionLog(folder, LogSettings(rotate_bytes=40_000))
for number in itertools.count():
    content = line(f"{{name}}{{number:06d}}", rows=[ROW] * rows, answers=[1] * rows, probabilities=None)
    log.append(content, KEY, SCHEMA)
    os.write(1, f"{{name}}{{number:06d}}\\n".encode())
"""

DISK_WRITER = f"""{HEAD}
flush, flush_folder = os.fdatasync, segment.flush_folder

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def fdatasync(descriptor):
    size = os.fstat(descriptor).st_size
    flush(descriptor)
    tell("flushed", Path(os.readlink(f"/proc/self/fd/{{descriptor}}")).stem, size)

def names(place):
    there = [path.stem for path in place.iterdir()]
    flush_folder(place)
    tell("named", *there)

os.fdatasync, segment.flush_folder = fdatasync, names
log = PredictionLog(folder, LogSettings(durability="disk", rotate_bytes=10_000))

async def client(number):
    for count in itertools.count():
        one = f"{{name}}{{number}}{{count:06d}}"
        content = line(one, rows=[ROW] * rows, answers=[1] * rows, probabilities=None)
        await log.synced(log.append(content, KEY, SCHEMA))
        tell("answered", one)

async def main():
    await asyncio.gather(*(client(number) for number in range(8)))

asyncio.run(main())
"""

SHIPPER = """
import sys, time
from pathlib import Path
from tiltyard.predictions.recovery import recover
from tiltyard.predictions.shipping import ship
from tiltyard.storage.folder import FolderStore
store = FolderStore(Path(sys.argv[2]))
while True:
    recover(Path(sys.argv[1]))
    for _ in ship(Path(sys.argv[1]), store):
        pass
    time.sleep(0.01)
"""


class Begin:
    """Starts a few lines in processes of their own, whose output can be read."""

    def __init__(self) -> None:
        self._begun: list[subprocess.Popen[bytes]] = []

    def __call__(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one."""
        command, environment = [sys.executable, "-c", code, *arguments], os.environ | {"PYTHONPATH": str(ROOT)}
        self._begun.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
        return self._begun[-1]

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._begun:
            end(process)


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Processes that are gone when the test is over, however it ends."""
    begun = Begin()
    yield begun
    begun.end()


def killed_after(process: subprocess.Popen[bytes], lines: int, seconds: float) -> list[str]:
    """Kill a process some time after it said so many lines; return all the lines that it said whole."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait(30)
    process.stdout.close()
    return [line.decode().strip() for line in said if line.endswith(b"\n")]


def end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


def ship_all(folder: Path, store: FolderStore) -> None:
    recover(folder)
    for _ in ship(folder, store):
        pass
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=THOROUGH)])
def test_what_killed_workers_acknowledged_is_stored_once(tmp_path: Path, begin: Begin, rounds: int) -> None:
    folder, store = tmp_path / "log", FolderStore(tmp_path / "store")
    chance = random.Random(rounds)
    acknowledged: dict[str, int] = {}
    shipper = begin(SHIPPER, str(folder), str(store.root))
    for number in range(rounds):
        rows = chance.choice([1, 1, 3, 400])
        writer = begin(WRITER, str(folder), f"{number:x}w", str(rows))
        said = killed_after(writer, chance.randrange(1, 50), chance.uniform(0, 0.02))
        acknowledged |= dict.fromkeys(said, rows)
        if number % 3 == 2:
            end(shipper)
            shipper = begin(SHIPPER, str(folder), str(store.root))
    end(shipper)
    ship_all(folder, store)
    found = stored(store)
    assert set(found.values()) == {1}
    missing = [name for name, rows in acknowledged.items() for row in range(rows) if f"{name}-{row}" not in found]
    assert len(acknowledged) > rounds
    assert missing == []


def lose_power(folder: Path, said: list[str], *, zeros: bool) -> None:
    """Leave of the files what was flushed, and of the names what was flushed."""
    sizes, names = dict[str, int](), set[str]()
    for words in (line.split() for line in said):
        if words[0] == "flushed":
            sizes[words[1]] = int(words[2])
        elif words[0] == "named":
            names |= set(words[1:])
    for path in list(folder.iterdir()):
        before = path.stat().st_size
        if path.stem not in names:
            path.unlink()
            continue
        os.truncate(path, sizes.get(path.stem, 0))
        if zeros:
            os.truncate(path, before)


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=THOROUGH)])
def test_what_was_acknowledged_survives_the_loss_of_power(tmp_path: Path, begin: Begin, rounds: int) -> None:
    store, chance = FolderStore(tmp_path / "store"), random.Random(rounds)
    acknowledged: list[str] = []
    for number in range(rounds):
        folder = tmp_path / f"log{number}"
        writer = begin(DISK_WRITER, str(folder), f"{number:x}w", str(chance.choice([1, 40])))
        said = killed_after(writer, chance.randrange(20, 200), chance.uniform(0, 0.02))
        acknowledged += [line.split()[1] for line in said if line.startswith("answered")]
        lose_power(folder, said, zeros=number % 2 == 0)
        ship_all(folder, store)
    found = stored(store)
    assert set(found.values()) == {1}
    assert len(acknowledged) > rounds
    assert [name for name in acknowledged if f"{name}-0" not in found] == []
