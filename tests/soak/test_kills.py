"""kill -9 of a worker, of the sidecar, of all: every acknowledged prediction is in the store, once.

`TILTYARD_SOAK_KILLS=50` as long as it is meant to be.
"""

import os
import random
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.serving.servers import Server, eventually, planned
from tests.soak.acknowledging import ROWS, Acknowledged, stored
from tests.soak.sizes import size
from tiltyard.predictions.files import log_folder
from tiltyard.predictions.recovery import recover
from tiltyard.predictions.shipping import ship
from tiltyard.serving.plan import Plan
from tiltyard.storage.folder import FolderStore

KILLS = size("KILLS", 9)
WORKERS = 2


class Yard:
    """A server that is started again on the same home.

    Args:
        home: Plan, log and store.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._plan = Plan(models={"demand": planned(home, 1)})
        self.start()

    def start(self) -> None:
        """Start a server and wait until it answers."""
        self.server = Server(self.home, names="demand", workers=WORKERS, tracking_uri=None, plan=self._plan, poll=0.5)
        eventually(self.server.ready, seconds=120)

    def kill(self, role: str) -> None:
        """Kill one worker, the sidecar, or everything and start again."""
        if role == "all":
            root = psutil.Process(self.server.process.pid)
            for process in [root, *root.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.server.process.wait()
            self.server.client.close()
            self.start()
        elif found := self.server.children(role):
            os.kill(random.choice(found), signal.SIGKILL)


@pytest.mark.exhaustive
@pytest.mark.timeout(3_600)
def test_every_acknowledged_prediction_is_stored_once_whatever_is_killed(tmp_path: Path) -> None:
    draw = random.Random(7)
    roles = [("worker", "sidecar", "all")[number % 3] for number in range(KILLS)]
    draw.shuffle(roles)
    yard = Yard(tmp_path)
    with Acknowledged(lambda: yard.server.port, "demand") as load:
        for role in roles:
            eventually(partial(load.has, len(load.ids) + 50), seconds=120)
            time.sleep(draw.uniform(0.0, 1.5))
            yard.kill(role)
        eventually(lambda: yard.server.children("worker"))
    yard.server.stop()
    yard.server.client.close()
    folder, store = log_folder(tmp_path), FolderStore(tmp_path / "store")
    recover(folder)
    for _ in ship(folder, store):
        pass
    found = stored(store, "demand")
    wanted = [f"{request}-{row}" for request in load.ids for row in range(ROWS)]
    assert [name for name in wanted if name not in found] == []
    assert [name for name, times in found.items() if times != 1] == []
    assert not [path for path in folder.iterdir() if path.suffix in {".open", ".jsonl"}]
    counts = f"{len(wanted):,} acknowledged, {len(found):,} stored, refused {dict(load.refused)}"
    print(f"{KILLS} kills ({', '.join(roles)}): {counts}")  # noqa: T201  # -s shows it
