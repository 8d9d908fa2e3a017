"""Shipping beside the workers: no trouble of the store ends it, each is said once, and nothing is lost meanwhile."""

import logging
from pathlib import Path

import pytest

from tests.predictions.lines import KEY, MODEL, SCHEMA, line, stored
from tiltyard.errors import StorageError
from tiltyard.predictions.files import log_folder
from tiltyard.predictions.log import PredictionLog
from tiltyard.project.environment import Environment, Workplace
from tiltyard.serving import shipping
from tiltyard.serving.shipping import LONGEST_PAUSE, Shipper, start_shipping
from tiltyard.storage.base import Store
from tiltyard.storage.folder import FolderStore


class Yard:
    """A folder of segments, a store that can be away, and a clock that is set by hand."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "log"
        self.folder.mkdir()
        self.store = FolderStore(home / "store")
        self.away = False
        self.now = 0.0
        self.opened = 0
        self.shipper = Shipper(self.folder, self.open, clock=lambda: self.now, much_bytes=1000)

    def open(self) -> Store:
        self.opened += 1
        if self.away:
            raise StorageError("the store is away")
        return self.store

    def put(self, name: str, ending: str = "jsonl") -> None:
        (self.folder / f"{name}.{ending}").write_bytes(SCHEMA + line(name))


@pytest.fixture
def yard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Yard:
    """An empty folder of segments."""
    caplog.set_level(logging.INFO)
    return Yard(tmp_path)


def test_it_recovers_and_ships(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    assert yard.shipper.tick() == (0, 0, 0, 0)
    yard.put("sealed")
    yard.put("orphan", "open")
    assert yard.shipper.tick()[:3] == (2, 2, 2)
    assert stored(yard.store) == {"sealed-0": 1, "orphan-0": 1}
    assert "1 segments of dead workers were sealed" in caplog.text


def test_a_store_that_is_away_is_said_once_and_tried_ever_more_seldom(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.away = True
    yard.put("a")
    for _ in range(2000):
        yard.shipper.tick()
        yard.now += 1.0
    assert 10 < yard.opened < 30
    assert caplog.text.count("the store is away") == 1
    assert (yard.folder / "a.jsonl").exists()
    yard.away = False
    yard.now += LONGEST_PAUSE
    assert yard.shipper.tick().rows == 1
    assert caplog.text.count("predictions are shipped again") == 1
    yard.put("b")
    assert yard.shipper.tick().rows == 1


def test_a_store_that_fails_midway_leaves_the_rest(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        yard.put(name)
    write, calls = yard.store.write, []

    def failing(key: str, content: bytes) -> None:
        calls.append(key)
        if len(calls) == 2:
            raise StorageError("the store is full")
        write(key, content)

    monkeypatch.setattr(yard.store, "write", failing)
    assert yard.shipper.tick().rows == 1
    assert yard.shipper.tick().rows == 0
    yard.now += LONGEST_PAUSE
    assert yard.shipper.tick().rows == 2
    assert len(stored(yard.store)) == 3


def test_a_fault_of_ours_does_not_end_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    yard.put("a")
    with monkeypatch.context() as patch:
        patch.setattr(shipping, "ship", lambda *_: 1 / 0)
        yard.shipper.tick()
    assert "could not be shipped" in caplog.text
    yard.now += LONGEST_PAUSE
    assert yard.shipper.tick().rows == 1


def test_a_large_backlog_is_complained_about_once(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    yard.away = True
    for number in range(10):
        yard.put(f"a{number}")
        yard.shipper.tick()
        yard.now += LONGEST_PAUSE
    assert caplog.text.count("see to the store before the disk is full") == 1


def test_an_orphan_that_cannot_be_recovered_does_not_hold_up_the_others(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    (yard.folder / "a.open").symlink_to(yard.folder / "elsewhere")
    (yard.folder / "elsewhere").write_bytes(SCHEMA)
    yard.put("b")
    assert yard.shipper.tick().rows == 1
    assert "predictions wait on this machine" in caplog.text


def test_damaged_lines_are_told(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    (yard.folder / "a.jsonl").write_bytes(b"garbage\n")
    assert yard.shipper.tick().damaged == 1
    assert "1 damaged lines were put aside" in caplog.text


def test_the_end_brings_away_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "LOOK_SECONDS", 0.01)
    workplace = Workplace(
        tmp_path / "tiltyard.yaml", Environment(home=tmp_path / "home", store=str(tmp_path / "store"))
    )
    shipper = start_shipping(workplace)
    log = PredictionLog(log_folder(workplace.home))
    log.append(line("a"), KEY, SCHEMA)
    log.close()
    shipper.finish(60)
    store = FolderStore(tmp_path / "store")
    assert stored(store) == {"a-0": 1}
    assert store.list(f"predictions/{MODEL}/date=2026-11-20")
