"""The alias moved on a real MLflow server, under a steady load: quick, and nothing lost or mixed."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tests.serving.loading import Load
from tests.serving.servers import Server, eventually, running
from tiltyard.registry.client import Registry
from tiltyard.registry.records import BUNDLE_DIGEST
from tiltyard.registry.webhooks import ensure_webhook
from tiltyard.serving.hooks import HOOK

SECRET = "between us"
VERSIONS = 4
WORKERS = 2
WITHIN = 5.0
WITHIN_VERIFIED = 15.0
"""Where the verification, in a process of its own, comes first: two seconds when the machine has nothing else to do."""


class Remote:
    """A model on an MLflow server, whose versions predict their own number."""

    def __init__(self, uri: str, name: str, folder: Path) -> None:
        self.registry = Registry(uri)
        self.client: MlflowClient = self.registry.client
        self.name = name
        self._folder = folder
        self.client.create_registered_model(name)
        self._experiment = self.client.create_experiment(name)

    def add(self, number: int) -> None:
        """Register a version, its files on the server."""
        files = self._folder / f"{self.name}-{number}"
        digest = write_bundle(files / "bundle", CONTRACT_OF_DEMAND, [float(number)])
        run = self.client.create_run(self._experiment).info.run_id
        logged = self.client.create_logged_model(self._experiment, "m", run)
        self.client.log_model_artifacts(logged.model_id, str(files))
        self.client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        source = f"models:/{logged.model_id}"
        tags = {BUNDLE_DIGEST: digest}
        made = self.client.create_model_version(
            self.name, source=source, run_id=run, model_id=logged.model_id, tags=tags
        )
        assert int(made.version) == number

    def set(self, version: int) -> None:
        """Move the alias, as the MLflow UI does."""
        self.client.set_registered_model_alias(self.name, "champion", str(version))


@pytest.fixture(scope="module")
def remote(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """A model with four versions, the first of them champion."""
    made = Remote(mlflow_server, "demand", tmp_path_factory.mktemp("remote"))
    for number in range(1, VERSIONS + 1):
        made.add(number)
    made.set(1)
    return made


@pytest.fixture
def server(remote: Remote, mlflow_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with two workers that is told by the webhook, and looks by itself but twice a minute."""
    monkeypatch.setenv("TILTYARD_WEBHOOK_SECRET", SECRET)
    remote.set(1)
    with running(tmp_path / "home", workers=WORKERS, tracking_uri=mlflow_server, poll=30.0) as made:
        ensure_webhook(remote.registry, f"http://127.0.0.1:{made.port}{HOOK}", SECRET)
        eventually(lambda: made.log.read_text().count("answers with version") == WORKERS)
        yield made


def seconds_to(server: Server, version: int, *, since: float) -> float:
    """Return how long it took until every worker answers with a version: eight new connections in a row agree."""
    agreed = 0
    while agreed < 8:
        assert time.monotonic() - since < 60, f"version {version} does not answer"
        answer = httpx.get(f"http://127.0.0.1:{server.port}/v1/models/demand", timeout=10)
        agreed = agreed + 1 if answer.json()["version"] == version else 0
        time.sleep(0 if agreed else 0.02)
    return time.monotonic() - since


def swap(server: Server, remote: Remote, swaps: int) -> tuple[list[float], list[float]]:
    """Move the alias again and again under load; return how long new versions, and known ones, took to arrive."""
    running_load = Load(server, clients=4, pause=0.03)
    taken = []
    for number in range(swaps):
        version = 1 + (number + 1) % VERSIONS
        began = time.monotonic()
        remote.set(version)
        taken.append(seconds_to(server, version, since=began))
    tally = running_load.stop()
    assert (tally.lost, tally.mixed) == ([], 0)
    assert set(tally.versions) == set(range(1, VERSIONS + 1))
    print(f"{swaps} swaps, {tally.answers} answers, none lost or mixed; slowest {max(taken):.2f} s")  # noqa: T201  # -s shows it
    return taken[: VERSIONS - 1], taken[VERSIONS - 1 :]


def test_twenty_moves_by_hand_arrive_at_once_and_lose_nothing(server: Server, remote: Remote) -> None:
    new, known = swap(server, remote, 20)
    assert max(known) < WITHIN
    assert max(new) < WITHIN_VERIFIED


@pytest.mark.exhaustive
def test_a_hundred_moves_by_hand_arrive_at_once_and_lose_nothing(server: Server, remote: Remote) -> None:
    new, known = swap(server, remote, 100)
    assert max(known) < WITHIN
    assert max(new) < WITHIN_VERIFIED


@pytest.mark.exhaustive
def test_without_the_webhook_the_looks_are_enough(remote: Remote, mlflow_server: str, tmp_path: Path) -> None:
    remote.set(1)
    with running(tmp_path / "home", tracking_uri=mlflow_server, poll=1.0) as server:
        eventually(server.ready)
        began = time.monotonic()
        remote.set(2)
        assert seconds_to(server, 2, since=began) < WITHIN_VERIFIED
        assert server.get(HOOK).status_code == 404  # type: ignore[union-attr]  # it answers
