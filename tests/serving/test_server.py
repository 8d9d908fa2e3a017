"""Real processes: cold start without a registry, swaps under load, deaths and the end."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import free_port
from tests.serving.loading import Load
from tests.serving.registries import Registered, workplace_at
from tests.serving.servers import Server, eventually, planned, running
from tiltyard.errors import ServingError, UsageError
from tiltyard.project.gates import GatesSection
from tiltyard.registry.refusals import SERVING_REFUSED
from tiltyard.serving.plan import Plan, read_plan, write_plan
from tiltyard.serving.server import serve

SWAPS = 50


def unreachable() -> str:
    """Return the address of a registry that is down."""
    return f"http://127.0.0.1:{free_port()}"


def test_a_server_starts_from_its_cache_and_survives_deaths(tmp_path: Path) -> None:
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    with running(tmp_path / "home", workers=2, tracking_uri=unreachable(), plan=plan) as server:
        eventually(server.ready)
        assert server.version() == 1
        eventually(lambda: len(server.children("worker")) == 2)
        for role in ("worker", "sidecar"):
            victim = eventually(lambda: server.children(role))[0]  # noqa: B023  # called at once
            os.kill(victim, signal.SIGKILL)
            wanted = 2 if role == "worker" else 1
            eventually(lambda: len(_others(server, role, victim)) == wanted)  # noqa: B023  # called at once
            assert eventually(server.version) == 1
        children = psutil.Process(server.process.pid).children()
        assert server.stop() == 0
        assert not psutil.wait_procs(children, timeout=1)[1]


def _others(server: Server, role: str, victim: int) -> list[int]:
    return [pid for pid in server.children(role) if pid != victim]


def test_no_client_meets_a_worker_that_has_no_plan_yet(tmp_path: Path, registered: Registered) -> None:
    registered.promote(registered.add())
    with running(tmp_path, workers=2) as server:
        first = eventually(lambda: server.get("/health/ready"))
        others = [httpx.get(f"http://127.0.0.1:{server.port}/health/ready", timeout=60) for _ in range(8)]
    assert [answer.status_code for answer in (first, *others)] == [200] * 9


@pytest.mark.exhaustive
def test_fifty_swaps_under_load_lose_and_mix_nothing(tmp_path: Path) -> None:
    plans = [Plan(models={"demand": planned(tmp_path, version)}) for version in range(1, SWAPS + 2)]
    with running(tmp_path / "home", workers=2, tracking_uri=unreachable(), plan=plans[0]) as server:
        eventually(server.ready)
        running_load = Load(server)
        for plan in plans[1:]:
            write_plan(server.plan, plan)
            time.sleep(0.15)
        eventually(lambda: server.version() == SWAPS + 1)
        tally = running_load.stop()
    assert tally.lost == []
    assert tally.mixed == 0
    assert len(tally.versions) > SWAPS // 2
    assert tally.answers > SWAPS * 10


def test_the_end_loses_no_request(tmp_path: Path) -> None:
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    with running(tmp_path / "home", workers=2, tracking_uri=unreachable(), plan=plan) as server:
        eventually(server.ready)
        running_load = Load(server)
        time.sleep(0.5)
        assert server.stop() == 0
        tally = running_load.stop()
    assert tally.lost == []
    assert tally.answers > 50


def test_workers_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    with running(tmp_path / "home", tracking_uri=unreachable(), plan=plan) as server:
        eventually(server.ready)
        children = psutil.Process(server.process.pid).children()
        server.process.kill()
        server.process.wait()
        assert not psutil.wait_procs(children, timeout=120)[1]


def test_a_bundle_that_is_damaged_in_the_cache_never_answers(tmp_path: Path) -> None:
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    graph = Path(plan.models["demand"].bundle) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with running(tmp_path / "home", tracking_uri=unreachable(), plan=plan) as server:
        eventually(lambda: server.get("/health/live"))
        assert not server.ready()
        assert "is not the file the manifest speaks of" in server.log.read_text()


def test_the_alias_decides_who_answers(tmp_path: Path, registered: Registered) -> None:
    registered.promote(registered.add())
    with running(tmp_path) as server:
        eventually(server.ready)
        running_load = Load(server, pause=0.05)
        registered.promote(registered.add())
        eventually(lambda: server.version() == 2)
        registered.promote(registered.add(expected=[99.0]))
        eventually(lambda: SERVING_REFUSED in registered.tags(3))
        tally = running_load.stop()
        assert server.version() == 2
    assert (tally.lost, tally.mixed, set(tally.versions)) == ([], 0, {1, 2})
    assert "version 3 is refused" in server.log.read_text()
    (tmp_path / "mlflow.db").unlink()
    with running(tmp_path, tracking_uri=unreachable(), plan=read_plan(server.plan)) as again:
        eventually(again.ready)
        assert again.version() == 2


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {port} is in use"):
            serve({"churn": GatesSection()}, workplace_at(tmp_path), port=port)


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 8080), ("127.0.0.1", 99_999), ("203.0.113.9", 0)])
def test_an_address_that_cannot_be_listened_on_is_named(tmp_path: Path, host: str, port: int) -> None:
    with pytest.raises(ServingError) as caught:
        serve({"churn": GatesSection()}, workplace_at(tmp_path), host=host, port=port)
    assert caught.value.where == f"{host}:{port}"


@pytest.mark.parametrize("names", [[], ["../etc"], ["Churn"]])
def test_what_is_no_model_is_not_served(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError):
        serve(dict.fromkeys(names, GatesSection()), workplace_at(tmp_path), port=free_port())


def test_a_server_needs_workers_and_a_pause(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 workers"):
        serve({"churn": GatesSection()}, workplace_at(tmp_path), workers=0)
    with pytest.raises(UsageError, match="no pause"):
        serve({"churn": GatesSection()}, workplace_at(tmp_path), poll_seconds=0)


def test_a_worker_is_light() -> None:
    heavy = ["mlflow", "prefect", "sklearn", "pandas", "onnx", "boto3", "sqlalchemy", "scipy", "matplotlib"]
    heavy += ["yaml", "psutil", "pydantic_settings"]  # a tenth of a second of every start
    program = f"import sys, tiltyard.serving.worker; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
