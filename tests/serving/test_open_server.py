"""A whole server as others see it: who may ask, and what all its workers have counted, the dead ones, too."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.serving.servers import Server, eventually, planned, running
from tiltyard.serving.plan import Plan
from tiltyard.serving.tokens import VARIABLE

PREDICTS = {"Authorization": "Bearer " + "p" * 20}
MEASURES = {"Authorization": "Bearer " + "m" * 20}
ASKED = 40


def number(server: Server, name: str) -> float:
    """Return a number of `/metrics`, asked on a connection of its own, so that any worker may answer."""
    text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", headers=MEASURES, timeout=30).text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def test_workers_count_together_and_nobody_asks_without_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"predict:{'p' * 20} metrics:{'m' * 20}")
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    path = "/v1/models/demand/predict"
    nowhere = f"http://127.0.0.1:{free_port()}"
    with running(tmp_path / "home", workers=2, tracking_uri=nowhere, plan=plan) as server:
        eventually(server.ready)
        eventually(lambda: number(server, "tiltyard_version_loaded") == 2)
        url = f"http://127.0.0.1:{server.port}{path}"
        assert server.client.post(path, content=b"{}").status_code == 401
        assert server.client.post(path, content=b"{}", headers=MEASURES).status_code == 403
        for _ in range(ASKED):
            assert httpx.post(url, content=b'{"features": [[1.0]]}', headers=PREDICTS, timeout=30).status_code == 200
        assert number(server, "tiltyard_rows_total") == ASKED
        eventually(lambda: number(server, "tiltyard_log_records_total") == ASKED)
        victim = server.children("worker")[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len({*server.children("worker")} - {victim}) == 2)
        eventually(lambda: number(server, "tiltyard_workers") == 2)
        assert number(server, "tiltyard_rows_total") == ASKED
        assert number(server, "tiltyard_log_records_total") == ASKED
    assert "everybody who reaches" not in server.log.read_text()
