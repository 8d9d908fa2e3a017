"""What people do in MLflow, as the sidecar meets it: aliases moved by hand, copies, deletions, trouble of its own."""

import os
import select
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from tests.serving.benches import Bench, replayed
from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tests.serving.registries import MODEL, Registered
from tiltyard.bundle.sandbox import Verification
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.errors import RegistryError
from tiltyard.project.gates import GatesSection
from tiltyard.registry.by_hand import PUT_BACK
from tiltyard.registry.client import connect
from tiltyard.registry.copies import WAITS
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.promotion import promote
from tiltyard.registry.records import BUNDLE_DIGEST
from tiltyard.registry.refusals import SERVING_REFUSED
from tiltyard.serving import checking
from tiltyard.serving.champions import Champions
from tiltyard.serving.sidecar import rest
from tiltyard.storage.folder import FolderStore

GATE = GatesSection(by_hand="require_gate")
COPIES = GatesSection(copied="gate")

FEATURES = CONTRACT_OF_DEMAND.columns
WIDER = Contract(task=CONTRACT_OF_DEMAND.task, columns=(*FEATURES, Column(name="b", kind=Kind.NUMBER, nullable=True)))
DEMANDING = Contract(task=CONTRACT_OF_DEMAND.task, columns=(*FEATURES, Column(name="b", kind=Kind.NUMBER)))
NARROWER = CONTRACT_OF_DEMAND.model_copy(
    update={"columns": (FEATURES[0].model_copy(update={"minimum": 0.0, "maximum": 1.0}), FEATURES[1])}
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "verify_bundle", replayed)


@pytest.fixture
def bench(registered: Registered) -> Bench:
    """A sidecar whose project allows moves by hand; version 1 is champion."""
    return begun(Bench(registered), registered)


@pytest.fixture
def strict(registered: Registered) -> Bench:
    """A sidecar whose project asks for a passed gate; version 1, which has passed, is champion."""
    return begun(Bench(registered, GATE), registered)


@pytest.fixture
def dev(registered: Registered) -> Registered:
    """A second model in the same registry, whose versions are copied."""
    return Registered(registered.workplace.home, "demand-dev")


def begun(bench: Bench, registered: Registered) -> Bench:
    registered.promote(registered.judge(registered.add()))
    assert bench.look().models[MODEL].version == 1
    return bench


BAD: dict[str, Callable[[Registered], int]] = {
    "broken": lambda registered: registered.add(expected=[99.0]),
    "damaged": lambda registered: registered.add(damage=True),
    "of another schema": lambda registered: registered.add(contract=DEMANDING),
    "not one of ours": lambda registered: registered.add(bundle=False),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_served_is_put_back_though_hands_are_free(
    bench: Bench, registered: Registered, kind: str
) -> None:
    bad = BAD[kind](registered)
    registered.promote(bad)
    bench.look()
    plan = bench.look()
    assert (registered.alias(), plan.models[MODEL].version, plan.refused) == (1, 1, {})
    assert bench.kinds[-3:] == ["refused", "putting_back", "put_back"]
    assert {PUT_BACK, SERVING_REFUSED} <= set(registered.tags(bad))
    assert (bench.ledger.champion(), bench.ledger.verify()) == (1, None)


def test_a_server_that_was_away_does_not_judge_by_its_old_version(
    bench: Bench, registered: Registered, tmp_path: Path
) -> None:
    away = Bench(registered)
    away.settings = away.settings.model_copy(update={"plan": tmp_path / "away.json", "cache": tmp_path / "cache"})
    away.restart()
    assert away.look().models[MODEL].version == 1
    registered.promote(registered.add(contract=WIDER))
    bench.look()
    changed = registered.add(contract=DEMANDING)
    promote(bench.ledger, connect(registered.workplace), changed, actor="ada", reason="new form", expected_champion=2)
    bench.look()
    registered.promote(registered.add(contract=DEMANDING))
    assert bench.look().models[MODEL].version == 4
    assert away.look().models[MODEL].version == 4
    assert "put_back" not in bench.kinds


def test_a_version_set_twice_that_is_refused_is_put_back_twice(bench: Bench, registered: Registered) -> None:
    bad = registered.add(expected=[99.0])
    for times in (1, 2):
        registered.promote(bad)
        bench.look()
        bench.look()
        assert (bench.kinds.count("put_back"), bench.kinds.count("refused")) == (times, 1)


def test_without_a_passed_gate_a_version_never_answers(strict: Bench, registered: Registered) -> None:
    registered.promote(registered.judge(registered.add(), "keep"))
    assert strict.look().models[MODEL].version == 1
    assert registered.alias() == 1
    registered.promote(registered.judge(registered.add()))
    assert strict.look().models[MODEL].version == 3
    assert strict.kinds[-1] == "set_by_hand"


def test_a_claim_to_have_the_bundle_of_another_version_is_seen_through(strict: Bench, registered: Registered) -> None:
    good = registered.judge(registered.add())
    digest = registered.tags(good)["tiltyard.bundle_digest"]
    forged = registered.add(digest=digest)
    registered.promote(forged)
    strict.look()
    assert (strict.look().models[MODEL].version, registered.alias()) == (1, 1)


def test_a_former_champion_returns_by_hand_though_its_contract_is_narrower(
    bench: Bench, registered: Registered
) -> None:
    registered.promote(registered.add(contract=WIDER))
    assert bench.look().models[MODEL].version == 2
    registered.promote(1)
    assert bench.look().models[MODEL].version == 1
    registered.promote(registered.add(contract=NARROWER))
    assert bench.look().models[MODEL].version == 3


def test_a_busy_machine_puts_nothing_back(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.promote(registered.add())
    with monkeypatch.context() as busy:
        late = Verification(passed=False, sentence="The bundle did not answer within 1 s.", undecided=True)
        busy.setattr(checking, "verify_bundle", lambda *_, **__: late)
        plan = bench.look()
    assert (plan.models[MODEL].version, plan.refused[MODEL].version, registered.alias()) == (1, 2, 2)
    assert "refused" not in bench.kinds
    bench.now += timedelta(minutes=6)
    assert bench.look().models[MODEL].version == 2


def test_artifacts_out_of_reach_put_nothing_back(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.promote(registered.add(bundle=False))

    def down(*_: object) -> None:
        raise RegistryError("cannot look at the files", cure="Wait.")

    with monkeypatch.context() as broken:
        broken.setattr("tiltyard.registry.models.has_bundle", down)
        bench.look()
    assert registered.alias() == 2
    bench.look()
    assert registered.alias() == 1


def test_a_bundle_is_verified_once_a_machine(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        registered.promote(registered.add())
        bench.look()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was not to be called")

    monkeypatch.setattr(checking, "verify_bundle", never)
    bench.restart()
    for version in (1, 2, 3, 1):
        registered.promote(version)
        assert bench.look().models[MODEL].version == version


def test_the_newest_version_is_verified_before_anybody_asks(
    bench: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.add()
    bench.look()
    registered.add(expected=[99.0])
    bench.look()
    assert "refused" not in bench.kinds

    def never(*_: object, **__: object) -> None:
        raise AssertionError("this was not to be called")

    monkeypatch.setattr(checking, "verify_bundle", never)
    registered.promote(2)
    assert bench.look().models[MODEL].version == 2


@pytest.mark.parametrize("loss", ["alias", "version", "model"])
@pytest.mark.parametrize("gates", [GatesSection(), GATE], ids=["allow", "require_gate"])
def test_whatever_is_deleted_the_server_answers_on(registered: Registered, loss: str, gates: GatesSection) -> None:
    bench = begun(Bench(registered, gates), registered)
    if loss == "alias":
        registered.client.delete_registered_model_alias(MODEL, "champion")
    elif loss == "version":
        registered.client.delete_model_version(MODEL, "1")
    else:
        registered.client.delete_registered_model(MODEL)
    bench.look()
    assert bench.look().models[MODEL].version == 1
    put_back = loss == "alias" and gates is GATE
    assert bench.kinds[-1] == ("put_back" if put_back else "set_by_hand" if loss == "alias" else "deleted")
    assert bench.ledger.champion() == (1 if put_back else None)


def test_a_model_made_anew_is_served_anew(bench: Bench, registered: Registered) -> None:
    registered.client.delete_registered_model(MODEL)
    registered.client.create_registered_model(MODEL)
    folder = registered.workplace.home / "anew"
    write_bundle(folder / "bundle", CONTRACT_OF_DEMAND, [7.0])
    registered.client.create_model_version(MODEL, source=folder.as_uri())
    registered.promote(1)
    before = bench.look().models[MODEL].digest
    assert bench.look().models[MODEL].digest == before
    assert bench.kinds[-2:] == ["deleted", "set_by_hand"]
    assert bench.ledger.verify() is None


def test_a_copy_is_noted_and_waits_for_the_alias(bench: Bench, registered: Registered, dev: Registered) -> None:
    copy = dev.copy_to(registered, dev.judge(dev.add()))
    assert bench.look().models[MODEL].version == 1
    entry = bench.ledger.entries()[-1]
    assert (entry.kind, entry.version, entry.evidence["passed"]) == ("copied", copy, True)
    assert "demand-dev version 1 was judged `promote`" in entry.reason
    registered.promote(copy)
    assert bench.look().models[MODEL].version == copy


def test_a_copy_that_beat_this_champion_at_its_source_is_promoted_where_the_gate_decides(
    registered: Registered, dev: Registered
) -> None:
    bench = begun(Bench(registered, COPIES), registered)
    same = dev.judge(dev.add(digest=registered.tags(1)[BUNDLE_DIGEST]))
    dev.copy_to(registered, dev.judge(dev.add(), "keep", champion=same))
    bench.look()
    assert registered.alias() == 1
    copy = dev.copy_to(registered, dev.judge(dev.add(), champion=same))
    bench.look()
    assert (registered.alias(), bench.look().models[MODEL].version) == (copy, copy)
    assert bench.kinds[-3:] == ["copied", "promoting", "promoted"]


@pytest.mark.parametrize("approval", ["none", "required"])
def test_a_copy_that_beat_nobody_here_or_wants_a_person_waits_for_the_alias(
    registered: Registered, dev: Registered, approval: Literal["none", "required"]
) -> None:
    bench = begun(Bench(registered, GatesSection(copied="gate", approval=approval)), registered)
    rival = dev.judge(dev.add(digest=registered.tags(1)[BUNDLE_DIGEST])) if approval == "required" else None
    copy = dev.copy_to(registered, dev.judge(dev.add(), champion=rival))
    bench.look()
    assert (registered.alias(), bench.look().models[MODEL].version) == (1, 1)
    assert "give it the alias" in registered.tags(copy)[WAITS]
    registered.promote(copy)
    assert bench.look().models[MODEL].version == copy


@pytest.mark.parametrize("kind", ["broken", "of another schema"])
def test_a_copy_that_cannot_be_served_is_refused_and_not_promoted(
    registered: Registered, dev: Registered, kind: str
) -> None:
    bench = begun(Bench(registered, COPIES), registered)
    copy = dev.copy_to(registered, dev.judge(BAD[kind](dev)))
    for _ in range(3):
        bench.look()
    assert (registered.alias(), bench.kinds[-2:]) == (1, ["copied", "refused"])
    assert SERVING_REFUSED in registered.tags(copy)


def test_a_copy_without_tags_is_known_by_its_source(registered: Registered, dev: Registered) -> None:
    bench = begun(Bench(registered, GATE), registered)
    version = dev.judge(dev.add())
    made = registered.client.create_model_version(MODEL, source=f"models:/{dev.name}/{version}")
    registered.promote(int(made.version))
    assert bench.look().models[MODEL].version == int(made.version)


def test_several_servers_write_one_entry_each_time(bench: Bench, registered: Registered, tmp_path: Path) -> None:
    second = Bench(registered)
    second.settings = second.settings.model_copy(update={"plan": tmp_path / "second.json", "cache": tmp_path / "cache"})
    second.restart()
    registered.promote(registered.add(expected=[99.0]))
    registered.promote(2)
    for server in (bench, second, bench, second):
        server.look()
    assert [bench.kinds.count(kind) for kind in ("refused", "put_back")] == [1, 1]
    registered.promote(registered.add())
    for server in (bench, second, bench, second):
        assert server.look().models[MODEL].version == 3
    assert bench.kinds.count("set_by_hand") == 2


def test_without_a_ledger_nothing_unproven_is_followed(
    strict: Bench, registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered.promote(registered.judge(registered.add()))

    def down(*_: object) -> None:
        raise RegistryError("the ledger cannot be read", cure="Wait.")

    with monkeypatch.context() as broken:
        broken.setattr(Champions, "settle", down)
        assert strict.look().models[MODEL].version == 1
    assert strict.look().models[MODEL].version == 2


def test_a_hint_ends_the_pause(bench: Bench) -> None:
    ear, mouth = os.pipe()
    settings = bench.settings.model_copy(update={"hint": ear, "poll_seconds": 60.0})
    os.write(mouth, b"!!!")
    rest(settings)
    assert select.select([ear], [], [], 0)[0] == [], "all hints are taken at once"
    rest(settings.model_copy(update={"poll_seconds": 0.01}))
    os.close(ear)
    os.close(mouth)


def test_the_ledger_of_a_copys_source_is_in_the_same_store(registered: Registered, dev: Registered) -> None:
    dev.judge(dev.add())
    ledger = Ledger(FolderStore(Path(registered.workplace.store)), MODEL)
    assert [entry.kind for entry in ledger.of(dev.name).entries()] == ["registered", "judged"]
    assert ledger.of(MODEL) is ledger
