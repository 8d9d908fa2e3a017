import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from threading import Barrier

import pytest

from tests.registry.promoting import STEPS
from tiltyard.errors import ConflictError, RegistryError, StorageError
from tiltyard.registry import moving, promotion
from tiltyard.registry.by_hand import BY_HAND, settle
from tiltyard.registry.client import Registry
from tiltyard.registry.history import State
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import champion, set_alias
from tiltyard.registry.promotion import promote, rollback
from tiltyard.registry.records import CHAMPION, ModelRef, Promotion, Scalar
from tiltyard.storage.folder import FolderStore

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

ROOT = Path(__file__).parents[2]
RACES = tuple(f"race-{number}" for number in range(5))


@dataclass
class Yard:
    """A project with three versions, and what it takes to promote them."""

    ledger: Ledger
    registry: Registry

    @classmethod
    def fresh(cls, registry: Registry, store: Path, name: str, *, champion: int | None = 1) -> "Yard":
        """Register three versions and promote one of them."""
        registry.client.create_registered_model(name)
        for _ in range(3):
            registry.client.create_model_version(name, source="file:///nowhere")
        yard = cls(Ledger(FolderStore(store), name), registry)
        if champion is not None:
            yard.promote(champion, expected=None)
        return yard

    def promote(self, version: int, *, expected: int | None) -> Promotion:
        """Promote as ada."""
        return promote(self.ledger, self.registry, version, actor="ada", reason="better", expected_champion=expected)

    def rollback(self) -> Promotion:
        """Roll back as ada."""
        return rollback(self.ledger, self.registry, actor="ada", reason="worse")

    @property
    def alias(self) -> int | None:
        """The version that MLflow calls champion."""
        ref = champion(self.registry, self.ledger.project)
        return ref.version if ref else None

    @property
    def kinds(self) -> list[str]:
        """What the ledger says happened."""
        return [entry.kind for entry in self.ledger.entries()]

    def state(self) -> State:
        """The ledger's state; the ledger is whole, and agrees with the alias."""
        assert self.ledger.verify() is None
        state = self.ledger.state()
        assert state.champion == self.alias
        return state


@pytest.fixture
def yard(embedded: Registry, tmp_path: Path, name: str) -> Yard:
    """A project whose champion is version 1."""
    return Yard.fresh(embedded, tmp_path / "store", name)


def test_the_first_champion_and_the_next(yard: Yard) -> None:
    done = yard.promote(2, expected=1)
    assert (done.ref.version, done.replaced, done.changed) == (2, 1, True)
    assert done.sentence == "version 2 was promoted to champion instead of version 1"
    assert yard.kinds == ["promoting", "promoted"] * 2
    assert yard.state().champion == 2
    closing = yard.ledger.entries()[-1]
    assert (closing.actor, closing.reason, closing.replaces, closing.evidence["begun"]) == ("ada", "better", 1, 3)


def test_promoting_the_champion_changes_nothing(yard: Yard) -> None:
    done = yard.promote(1, expected=None)
    assert not done.changed
    assert done.sentence == "version 1 is champion already; nothing was changed"
    assert yard.kinds == ["promoting", "promoted"]


def test_a_decision_based_on_another_champion_is_refused(yard: Yard) -> None:
    yard.promote(2, expected=1)
    with pytest.raises(ConflictError, match="was to replace version 1, but the champion is version 2 by now"):
        yard.promote(3, expected=1)
    assert yard.state().champion == 2


def test_an_unknown_version_is_refused_with_those_there_are(yard: Yard) -> None:
    with pytest.raises(RegistryError, match=r"there is no .* version 7\. Versions there are: 3, 2, 1"):
        yard.promote(7, expected=1)
    assert yard.kinds == ["promoting", "promoted"]


def test_rollback_returns_to_the_last_known_good(yard: Yard) -> None:
    yard.promote(2, expected=1)
    yard.promote(3, expected=2)
    assert yard.rollback().sentence == "version 2 was restored to champion instead of version 3"
    assert yard.rollback().ref.version == 1
    assert yard.kinds[-4:] == ["rolling_back", "rolled_back"] * 2
    with pytest.raises(RegistryError, match="no earlier champion than version 1"):
        yard.rollback()
    assert yard.state().champion == 1


def test_rollback_passes_over_a_deleted_version(yard: Yard) -> None:
    yard.promote(2, expected=1)
    yard.promote(3, expected=2)
    yard.registry.client.delete_model_version(yard.ledger.project, "2")
    assert yard.rollback().ref.version == 1


def test_an_alias_set_by_hand_is_seen_and_recorded_once(yard: Yard) -> None:
    set_alias(yard.registry, ModelRef(name=yard.ledger.project, version=3), CHAMPION)
    assert settle(yard.ledger, yard.registry).done
    entry = yard.ledger.entries()[-1]
    assert (entry.kind, entry.actor, entry.version, entry.replaces) == ("set_by_hand", BY_HAND, 3, 1)
    assert not settle(yard.ledger, yard.registry).done
    assert yard.rollback().ref.version == 1
    assert yard.state().champion == 1


def test_an_alias_removed_by_hand_is_recorded(yard: Yard) -> None:
    yard.registry.client.delete_registered_model_alias(yard.ledger.project, CHAMPION)
    assert settle(yard.ledger, yard.registry).done
    assert yard.ledger.entries()[-1].version is None
    assert yard.rollback().ref.version == 1


def test_a_promotion_over_a_move_by_hand_is_refused(yard: Yard) -> None:
    set_alias(yard.registry, ModelRef(name=yard.ledger.project, version=3), CHAMPION)
    with pytest.raises(ConflictError, match="the champion is version 3 by now"):
        yard.promote(2, expected=1)
    assert yard.kinds[-1] == "set_by_hand"
    assert yard.state().champion == 3


def jobs(registry: Registry, store: Path, lines: list[object]) -> None:
    """Run promotions in processes of their own."""
    command = [sys.executable, "-m", "tests.registry.promoting", registry.tracking_uri, str(store)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    subprocess.run(command, input=text, text=True, check=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the ledgers of killed and raced promotions, and of what the racers answered."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def done(embedded: Registry, store: Path) -> dict[str, Yard]:
    """Projects whose promotion of version 2, or rollback from it, was killed at every step; and raced ones."""
    yards = {}
    lines: list[object] = []
    for action, step in product(("promote", "other", "rollback"), STEPS):
        project = f"{action}-{step}"
        yards[project] = Yard.fresh(embedded, store, project)
        if action == "rollback":
            yards[project].promote(2, expected=1)
        lines.append({"project": project, "version": None if action == "rollback" else 2, "kill": step})
    for project in RACES:
        yards[project] = Yard.fresh(embedded, store, project)
        lines.append([{"project": project, "version": version} for version in (2, 3)])
    jobs(embedded, store, lines)
    return yards


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_promotion_completes_when_run_again(done: dict[str, Yard], step: str) -> None:
    yard = done[f"promote-{step}"]
    assert yard.alias == (1 if step in {"before-intent", "after-intent"} else 2)
    assert not settle(yard.ledger, yard.registry).done
    assert yard.promote(2, expected=1).changed is (step != "after-completion")
    assert yard.kinds == ["promoting", "promoted"] * 2
    assert yard.state().champion == 2


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_rollback_completes_when_run_again(done: dict[str, Yard], step: str) -> None:
    yard = done[f"rollback-{step}"]
    assert yard.alias == (2 if step in {"before-intent", "after-intent"} else 1)
    if step != "after-completion":
        assert yard.rollback().ref.version == 1
    assert yard.kinds == ["promoting", "promoted"] * 2 + ["rolling_back", "rolled_back"]
    assert yard.state().champion == 1


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_promotion_is_settled_by_the_next_one(done: dict[str, Yard], step: str) -> None:
    yard = done[f"other-{step}"]
    moved = step in {"after-alias", "after-completion"}
    yard.promote(3, expected=2 if moved else 1)
    ends = {"before-intent": [], "after-intent": ["promoting", "abandoned"]}
    middle = ends.get(step, ["promoting", "promoted"])
    assert yard.kinds == ["promoting", "promoted", *middle, "promoting", "promoted"]
    assert yard.state().champion == 3


@pytest.mark.parametrize("project", RACES)
def test_of_two_processes_at_once_exactly_one_wins(done: dict[str, Yard], store: Path, project: str) -> None:
    answers = {version: json.loads((store / f"{project}-{version}.json").read_text()) for version in (2, 3)}
    won = [version for version, answer in answers.items() if answer.get("changed")]
    lost = [answer["conflict"] for answer in answers.values() if "conflict" in answer]
    assert len(won) == len(lost) == 1
    assert project in lost[0]
    assert "`tiltyard history`" in lost[0]
    assert done[project].kinds == ["promoting", "promoted"] * 2
    assert done[project].state().champion == won[0]


@pytest.mark.parametrize("same", [False, True])
def test_of_many_threads_at_once_exactly_one_wins(embedded: Registry, tmp_path: Path, name: str, *, same: bool) -> None:
    Yard.fresh(embedded, tmp_path, name)
    barrier = Barrier(4)

    def attempt(number: int) -> str:
        yard = Yard(Ledger(FolderStore(tmp_path), name), embedded)
        barrier.wait()
        try:
            return "won" if yard.promote(2 if same else 2 + number % 2, expected=1).changed else "was done"
        except ConflictError:
            return "lost"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(attempt, range(4)))
    assert answers.count("won") == 1
    assert Yard(Ledger(FolderStore(tmp_path), name), embedded).kinds == ["promoting", "promoted"] * 2


@contextmanager
def instead(patch: pytest.MonkeyPatch, broken: Callable[..., object]) -> Iterator[None]:
    """Break the move of the alias."""
    with patch.context() as inner:
        inner.setattr(moving, "set_alias", broken)
        yield


def refuse(*_: object) -> None:
    raise RegistryError("MLflow refuses", cure="Ask it nicely.")


def test_a_refused_alias_leaves_everything_as_it_was(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    with instead(monkeypatch, refuse), pytest.raises(RegistryError, match="MLflow refuses"):
        yard.promote(2, expected=1)
    assert yard.kinds[-2:] == ["promoting", "abandoned"]
    assert yard.state().champion == 1
    yard.promote(2, expected=1)
    assert yard.state().champion == 2


def test_with_mlflow_gone_on_the_way_the_same_call_finishes(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        monkeypatch.setattr(moving, "champion", refuse)
        refuse()

    with (
        instead(monkeypatch, gone),
        pytest.raises(RegistryError, match=r"whether .* version 2 is champion is not known"),
    ):
        yard.promote(2, expected=1)
    monkeypatch.undo()
    assert yard.kinds[-1] == "promoting"
    assert yard.promote(2, expected=1).sentence.endswith("after an interruption")
    assert yard.state().champion == 2


def test_with_the_store_gone_before_the_end_the_same_call_finishes(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("the disk is full")

    def move(registry: Registry, ref: ModelRef, alias: str) -> None:
        set_alias(registry, ref, alias)
        monkeypatch.setattr(FolderStore, "create", full)

    with instead(monkeypatch, move), pytest.raises(StorageError, match="the disk is full"):
        yard.promote(2, expected=1)
    monkeypatch.undo()
    assert yard.alias == 2
    assert yard.promote(2, expected=1).changed
    assert yard.state().champion == 2


def stranger(yard: Yard, age: timedelta) -> None:
    """Let another machine have begun to promote version 2 some time ago."""
    yard.ledger = Ledger(yard.ledger._store, yard.ledger.project, clock=lambda: datetime.now(UTC) - age)
    evidence: dict[str, Scalar] = {"host": "elsewhere", "process": 1, "process_started": 0.0, "token": "t"}
    yard.ledger.append("promoting", actor="bo", version=2, replaces=1, evidence=evidence)
    yard.ledger = Ledger(yard.ledger._store, yard.ledger.project)


def test_a_promotion_under_way_on_another_machine_is_waited_for(yard: Yard) -> None:
    stranger(yard, timedelta())
    with pytest.raises(ConflictError, match="version 2 is being made champion right now by bo"):
        yard.promote(3, expected=1)
    assert not settle(yard.ledger, yard.registry).done


def test_a_stale_promotion_of_another_machine_is_abandoned(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiltyard.registry.liveness.PATIENCE", timedelta(0))
    stranger(yard, timedelta())
    yard.promote(3, expected=1)
    assert yard.kinds[-4:] == ["promoting", "abandoned", "promoting", "promoted"]
    assert yard.state().champion == 3


def test_who_was_believed_dead_gives_way_to_the_ledger(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(registry: Registry, ref: ModelRef, alias: str) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(moving, "set_alias", set_alias)
            patch.setattr(promotion, "is_alive", lambda *_: False)
            other = Yard(Ledger(yard.ledger._store, yard.ledger.project), registry)
            other.promote(3, expected=1)
        set_alias(registry, ref, alias)
        monkeypatch.setattr(moving, "set_alias", set_alias)

    monkeypatch.setattr(moving, "set_alias", slow)
    with pytest.raises(ConflictError, match="took so long that somebody else settled it"):
        yard.promote(2, expected=1)
    assert yard.state().champion == 3
