"""The sidecar against a real registry: what is fetched, what is refused, and what failures leave alone."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.serving.benches import Bench, replayed
from tests.serving.registries import MODEL, Registered
from tiltyard.bundle.sandbox import verify_bundle
from tiltyard.errors import RegistryError, ServingError, StorageError
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import ModelRef
from tiltyard.registry.refusals import SERVING_REFUSED
from tiltyard.serving import checking
from tiltyard.serving import sidecar as module
from tiltyard.serving.champions import Champions
from tiltyard.serving.plan import Plan


@pytest.fixture
def sandboxed(registered: Registered) -> Bench:
    """A sidecar that verifies in a process of its own, as in life."""
    return Bench(registered)


@pytest.fixture
def bench(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A sidecar that verifies in this process, which is quicker."""
    monkeypatch.setattr(checking, "verify_bundle", replayed)
    return Bench(registered)


def test_without_a_champion_there_is_no_slot_and_workers_are_told_so(bench: Bench) -> None:
    assert bench.look() == Plan(begun=True, looked=frozenset({MODEL}))


def test_the_alias_is_followed_there_and_back(sandboxed: Bench, registered: Registered) -> None:
    bench = sandboxed
    for version in (registered.add(), registered.add(), 1):
        registered.promote(version)
        slot = bench.look().models[MODEL]
        assert (slot.version, slot.since) == (version, bench.now)
    assert bench.kinds == ["set_by_hand"] * 3
    assert [entry.version for entry in bench.ledger.entries()] == [1, 2, 1]


def test_looking_again_changes_nothing(bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    registered.promote(registered.add())
    plan = bench.look()
    monkeypatch.setattr(checking, "verify_bundle", _never)
    bench.now += timedelta(days=1)
    assert bench.look() == plan
    bench.restart()
    assert bench.look() == plan


def _never(*_: object, **__: object) -> Any:
    raise AssertionError("this was not to be called")


BAD: dict[str, tuple[Callable[[Registered], int], str]] = {
    "golden rows": (lambda registered: registered.add(expected=[99.0]), "golden row"),
    "damaged": (lambda registered: registered.add(damage=True), "is not the file the manifest speaks of"),
    "another digest": (lambda registered: registered.add(digest="0" * 64), "the version's tag says"),
    "no bundle": (lambda registered: registered.add(bundle=False), "has no bundle"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_version_is_refused_with_its_reason_everywhere(
    sandboxed: Bench, registered: Registered, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = sandboxed
    add, words = BAD[kind]
    registered.promote(registered.add())
    before = bench.look().models
    registered.promote(add(registered))
    plan = bench.look()
    assert plan.models == before
    assert words in plan.refused[MODEL].reason
    assert words in registered.tags(2)[SERVING_REFUSED]
    assert words in next(entry.reason for entry in bench.ledger.entries() if entry.kind == "refused")
    assert words in caplog.text


def test_a_refusal_is_told_once_and_ends_when_the_alias_moves(bench: Bench, registered: Registered) -> None:
    registered.promote(registered.add())
    bench.look()
    registered.promote(registered.add(expected=[99.0]))
    for _ in range(3):
        bench.look()
        bench.now += timedelta(minutes=10)
        bench.restart()
    assert bench.kinds.count("refused") == 1
    registered.promote(1)
    assert bench.look().refused == {}


def test_a_machine_too_busy_to_verify_tries_again_later(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.promote(registered.add())
    with monkeypatch.context() as busy:
        late = verify_bundle(Path("nowhere"), timeout=0.001)
        busy.setattr(checking, "verify_bundle", lambda *_, **__: late)
        assert MODEL in bench.look().refused
    assert MODEL not in bench.look().models
    bench.now += timedelta(minutes=6)
    assert bench.look().models[MODEL].version == 1


def test_without_a_registry_the_slot_stays(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registered.promote(registered.add())
    plan = bench.look()

    def down(_: object, name: str) -> None:
        raise RegistryError(f"cannot look at `{name}`", cure="Run the command again.")

    with monkeypatch.context() as broken:
        broken.setattr(Champions, "glance", down)
        assert bench.look() == bench.look() == plan
        bench.restart()
        assert bench.look() == plan
    assert caplog.text.count("cannot look at") == 2
    assert "the next look tries again" in caplog.text
    assert "command" not in caplog.text


def test_without_an_object_store_the_swap_goes_on_and_is_recorded_later(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise StorageError("the store cannot be reached", cure="Wait.")

    registered.promote(registered.add())
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "append", down)
        assert bench.look().models[MODEL].version == 1
    assert bench.kinds == []
    bench.look()
    assert bench.kinds == ["set_by_hand"]


def test_without_its_files_a_version_waits_and_the_slot_stays(bench: Bench, registered: Registered) -> None:
    registered.promote(registered.add())
    plan = bench.look()
    registered.promote(registered.add())
    registered.remove_files(2)
    assert bench.look() == plan


def test_a_refusal_that_could_not_be_reported_is_reported_later(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.promote(registered.add(expected=[99.0]))

    def down(*_: object) -> None:
        raise RegistryError("cannot tag", cure="Wait.")

    with monkeypatch.context() as broken:
        broken.setattr(Champions, "report_refusal", down)
        assert not bench.look().refused[MODEL].reported
    assert bench.look().refused[MODEL].reported
    assert "refused" in bench.kinds


def test_a_bundle_lost_from_the_cache_is_fetched_again(bench: Bench, registered: Registered) -> None:
    registered.promote(registered.add())
    slot = bench.look().models[MODEL]
    graph = Path(slot.bundle) / "model.onnx"
    graph.write_bytes(b"damaged")
    bench.restart()
    assert bench.look().models[MODEL] == slot
    assert graph.read_bytes() != b"damaged"
    (Path(slot.bundle) / "manifest.json").unlink()
    assert bench.look().models[MODEL] == slot


def test_the_cache_keeps_what_is_planned_and_one_more_version(bench: Bench, registered: Registered) -> None:
    for _ in range(4):
        registered.promote(registered.add())
        bench.look()
        bench.now += timedelta(seconds=1)
    kept = sorted(folder.name[0] for folder in (bench.settings.cache / MODEL).iterdir())
    assert kept == ["2", "3", "4"]
    assert (bench.sidecar.plan.models[MODEL].version, bench.sidecar.plan.previous[MODEL].version) == (4, 3)


def test_a_full_disk_leaves_the_slot_and_is_tried_again(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.promote(registered.add())
    plan = bench.look()
    registered.promote(registered.add())

    def full(*_: object) -> None:
        raise ServingError("the plan cannot be written (No space left on device)", cure="Free the disk.")

    with monkeypatch.context() as broken:
        broken.setattr(module, "write_plan", full)
        assert bench.look() == plan
    assert bench.look().models[MODEL].version == 2


def test_a_download_cut_off_leaves_nothing(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = bench.settings.cache / ".incoming-999999999"
    left.mkdir(parents=True)
    bench.restart()
    assert not left.exists()

    def fails(_: Champions, __: ModelRef, folder: Path) -> Path:
        (folder / "half").write_bytes(b"half")
        raise RegistryError("cut off", cure="Wait.")

    registered.promote(registered.add())
    monkeypatch.setattr(Champions, "download", fails)
    assert bench.look() == Plan(begun=True)
    assert [path for path in bench.settings.cache.rglob("*") if path.is_file()] == []


def test_an_unreadable_plan_is_written_anew(bench: Bench, registered: Registered) -> None:
    registered.promote(registered.add())
    bench.settings.plan.write_text("{")
    bench.restart()
    assert bench.look().models[MODEL].version == 1
