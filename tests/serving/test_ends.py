"""However a server ends, nothing of it stays behind, and what it logged is in the store."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port
from tests.serving.servers import Server, eventually, planned, running
from tests.soak.acknowledging import ROWS, Acknowledged, stored
from tiltyard.predictions.files import backlog, log_folder
from tiltyard.serving.plan import Plan
from tiltyard.stack.marks import MARK, end
from tiltyard.storage.folder import FolderStore


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server as a part of a stack, whose registry is away."""
    home, away = tmp_path / "home", f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv(MARK, str(home))
    with running(home, workers=2, tracking_uri=away, plan=Plan(models={"demand": planned(tmp_path, 3)})) as started:
        eventually(started.ready)
        eventually(lambda: started.children("sidecar"))
        yield started


def missing(home: Path, ids: list[str]) -> list[str]:
    """Return what was acknowledged and is not in the store just once."""
    found = stored(FolderStore(home / "store"), "demand")
    return [name for request in ids for row in range(ROWS) if found[name := f"{request}-{row}"] != 1]


def test_a_server_whose_supervisor_was_killed_ends_and_brings_its_log_away(server: Server, tmp_path: Path) -> None:
    family = psutil.Process(server.process.pid).children(recursive=True)
    with Acknowledged(lambda: server.port, "demand", clients=2) as load:
        eventually(lambda: load.has(50))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []
    home = tmp_path / "home"
    assert backlog(log_folder(home))[:2] == (0, 0)
    assert missing(home, load.ids) == []


@pytest.mark.exhaustive
def test_a_server_whose_stack_lost_its_supervisor_is_taken_down_as_gently_as_ever(
    server: Server, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    eventually(lambda: "sidecar[" in server.log.read_text())  # it has looked, and complains
    with Acknowledged(lambda: server.port, "demand", clients=2) as load:
        eventually(lambda: load.has(50))
        end(home, patience=90)
    assert server.process.wait(60) == 0
    assert "stopped" in server.log.read_text()
    assert backlog(log_folder(home))[:2] == (0, 0)
    assert missing(home, load.ids) == []
