"""From a request to the store: what a real server acknowledged is there once, whatever was killed meanwhile."""

import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import free_port
from tests.serving.bundles import write_bundle
from tests.serving.servers import Server, eventually, planned, running
from tests.storage.conftest import BUCKET, s3_server
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.protection import guard_of
from tiltyard.predictions.files import backlog, log_folder
from tiltyard.predictions.reading import Window, read_labelled
from tiltyard.predictions.recovery import recover
from tiltyard.predictions.shipping import ship
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.metrics import Task
from tiltyard.serving.handler import handle
from tiltyard.serving.plan import Plan, SlotPlan
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served, load_slot
from tiltyard.storage.base import Store
from tiltyard.storage.folder import FolderStore
from tiltyard.storage.opening import open_store

__all__ = ["s3_server"]

BODY = json.dumps({"features": [[1.0], [2.0]]})
KEY = "a long random text"


def stored(store: FolderStore) -> Counter[str]:
    """Return how often the store has each prediction, as its objects have it: nothing is merged."""
    found: Counter[str] = Counter()
    for key in store.list("predictions"):
        found.update(pq.read_table(pa.BufferReader(store.read(key))).column("id").to_pylist())
    return found


class Asking:
    """Clients that ask one request after the other, and keep the ids of the answers they got."""

    def __init__(self, port: int, clients: int) -> None:
        self.port = port
        self.answered: list[str] = []
        self._going = True
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]

    @contextmanager
    def underway(self) -> Iterator[None]:
        """Ask until the block ends."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._going = False
            for thread in self._threads:
                thread.join(60)

    def _ask(self) -> None:
        while self._going:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                while self._going:
                    connection.request("POST", "/v1/models/demand/predict", BODY)
                    answer = connection.getresponse()
                    content = answer.read()
                    if answer.status == 200:
                        self.answered.append(json.loads(content)["id"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            finally:
                connection.close()


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.exhaustive)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of a server that is started now: the one of its home, or S3."""
    if request.param == "folder":
        return FolderStore(tmp_path / "home" / "store")
    endpoint, address = request.getfixturevalue("s3_server"), f"s3://{BUCKET}/{uuid4().hex}"
    monkeypatch.setenv("TILTYARD_STORE", address)
    monkeypatch.setenv("TILTYARD_S3_ENDPOINT", endpoint)
    return open_store(address, endpoint=endpoint, cache=tmp_path / "cache")


def test_what_is_answered_and_what_was_true_is_in_the_store_when_the_server_has_ended(
    tmp_path: Path, store: Store
) -> None:
    home, away = tmp_path / "home", f"http://127.0.0.1:{free_port()}"
    plan = Plan(models={"demand": planned(tmp_path, 3)})
    with running(home, tracking_uri=away, plan=plan, poll=30.0) as server:
        eventually(server.ready)
        asked = server.client.post("/v1/models/demand/predict", content=BODY).json()
        told = server.client.post(
            "/v1/models/demand/feedback",
            json=[{"id": f"{asked['id']}-1", "label": 12.5}, {"id": f"{'9f' * 12}-0", "label": 1}],
        )
        assert (told.status_code, told.json()) == (202, {"model": "demand", "accepted": 2})
        assert server.stop() == 0
    assert backlog(log_folder(home))[:2] == (0, 0)
    now = datetime.now(UTC)
    window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
    batches = list(read_labelled(store, "demand", window))
    rows = [row for batch in batches for row in batch.to_pylist()]
    assert [(row["id"], row["feature_price"], row["label"]) for row in rows] == [
        (f"{asked['id']}-0", 1.0, None),
        (f"{asked['id']}-1", 2.0, 12.5),
    ]
    assert [row["prediction"] for row in rows] == [entry["prediction"] for entry in asked["predictions"]]
    assert {(row["version"], row["slot"]) for row in rows} == {(3, "champion")}


def kill(server: Server, victim: str) -> None:
    """Kill a worker, the sidecar, or the supervisor with all its children."""
    if victim == "all":
        supervisor = psutil.Process(server.process.pid)
        processes = [*supervisor.children(recursive=True), supervisor]
    else:
        processes = [psutil.Process(number) for number in server.children(victim)[:1]]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    if victim == "all":
        server.process.wait(30)
        server.client.close()


def are_there(server: Server) -> bool:
    return bool(server.children("worker") and server.children("sidecar"))


def is_answered(asking: Asking, answers: int) -> bool:
    return len(asking.answered) >= answers


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rounds", [50])
def test_killed_at_random_moments_under_load_every_answer_is_stored_once(tmp_path: Path, rounds: int) -> None:
    home, away = tmp_path / "home", f"http://127.0.0.1:{free_port()}"
    plan = Plan(models={"demand": planned(tmp_path, 3)})
    chance, answered = random.Random(7), list[str]()
    victims = ["worker", "sidecar", "all"] * (rounds // 3 + 1)
    while len(victims) > 3:
        home.mkdir(exist_ok=True)
        server = Server(home, names="demand", workers=2, tracking_uri=away, plan=plan, poll=30.0)
        eventually(server.ready)
        asking = Asking(server.port, clients=6)
        with asking.underway():
            for _ in range(3):
                eventually(partial(are_there, server))
                eventually(partial(is_answered, asking, len(asking.answered) + 20))
                time.sleep(chance.uniform(0, 0.5))
                kill(server, victims.pop(0))
        answered += asking.answered
    folder, store = log_folder(home), FolderStore(home / "store")
    recover(folder)
    for _ in ship(folder, store):
        pass
    assert list(folder.iterdir()) == []
    found = stored(store)
    assert set(found.values()) == {1}
    assert len(answered) > rounds * 20
    assert len(set(answered)) == len(answered)
    assert [name for name in answered for row in (0, 1) if f"{name}-{row}" not in found] == []


def test_a_protected_value_never_reaches_the_log_in_the_clear(tmp_path: Path) -> None:
    raw = {"age": Kind.INTEGER, "city": Kind.CATEGORY, "seen": Kind.TIME}
    methods: dict[str, Coarsen | str] = {"age": Coarsen(coarsen=10), "city": "hash", "seen": Coarsen(coarsen="month")}
    columns = tuple(
        Column(
            name=name, kind=kind, nullable=True, protection=guard_of(Column(name=name, kind=kind), methods[name], KEY)
        )
        for name, kind in raw.items()
    )
    target = Column(name="y", kind=Kind.NUMBER, role=Role.TARGET)
    contract = Contract(task=Task.REGRESSION, columns=(*columns, target))
    digest = write_bundle(tmp_path / "bundle", contract, [1.5])
    since = datetime(2026, 11, 20, tzinfo=UTC)
    slot = load_slot("demand", SlotPlan(version=1, bundle=str(tmp_path / "bundle"), digest=digest, since=since), KEY)
    served = Served(names=("demand",), slots={"demand": slot})
    row = {"age": 47, "city": "Genève-Ville", "seen": "2026-11-17T10:11:12Z", "name": "Ada Lovelace"}
    path = "/v1/models/demand/predict"
    answer = handle(served, Request("POST", path, json.dumps({"rows": [row]}).encode(), id="9f", time=1.8e9))
    assert answer.status == 200
    written = json.dumps(json.loads(answer.record)["rows"])
    for clear in ("47", "Gen", "Ville", "10:11", "11-17"):
        assert clear not in written
    assert b"Ada" not in answer.record
    assert "2026-11-01" in written
    assert "40" in written
