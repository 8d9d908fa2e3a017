"""Moves by hand: the decision as a pure function, and what becomes of real moves on a real MLflow."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.project.gates import GatesSection
from tiltyard.registry.by_hand import PUT_BACK, Sight, decide, put_back, settle
from tiltyard.registry.client import Registry
from tiltyard.registry.copies import note_copies, waiting_copy
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import champion, glance, set_alias, version
from tiltyard.registry.promotion import promote, rollback
from tiltyard.registry.proof import Proof
from tiltyard.registry.records import BUNDLE_DIGEST, CHAMPION, ModelRef
from tiltyard.storage.folder import FolderStore

ALLOW, GATE = GatesSection(), GatesSection(by_hand="require_gate")

numbers = st.none() | st.integers(1, 3)
sights = st.builds(
    Sight,
    alias=numbers,
    champion=numbers,
    champion_there=st.booleans(),
    any_there=st.booleans(),
    line=st.booleans(),
    by_hand=st.sampled_from(["allow", "require_gate"]),
    proof=st.none() | st.builds(Proof, passed=st.booleans(), sentence=st.just("so it is")),
)


@given(sights)
def test_allow_never_puts_back_and_a_gate_lets_only_the_proven_stay(sight: Sight) -> None:
    kind = decide(sight).kind
    if sight.by_hand == "allow":
        assert kind != "put_back"
    elif kind == "record":
        assert sight.proof is not None
        assert sight.proof.passed
        assert sight.alias is not None


@given(sights)
def test_a_loss_is_told_before_anything_else_and_agreement_is_left_alone(sight: Sight) -> None:
    decision = decide(sight)
    lost = sight.champion is not None and not (sight.champion_there and sight.any_there)
    assert (decision.kind in {"lost", "emptied"}) >= lost
    if decision.kind == "agree":
        assert sight.alias == sight.champion
    else:
        assert decision.reason


@given(sights, st.sampled_from(["allow", "require_gate"]))
def test_what_was_put_back_agrees_at_the_next_look(sight: Sight, policy: str) -> None:
    if decide(sight).kind == "put_back":
        after = sight.model_copy(update={"alias": sight.champion, "by_hand": policy})
        assert decide(after).kind == "agree"


@dataclass
class Yard:
    """A project whose versions were registered, and judged, by Tiltyard."""

    ledger: Ledger
    registry: Registry

    @property
    def name(self) -> str:
        return self.ledger.project

    def add(self, verdict: str = "promote", *, digest: str = "") -> int:
        """Register a version with a bundle of its own and write its verdict down."""
        digest = digest or f"digest {self.name} {len(self.ledger.entries())}"
        made = self.registry.client.create_model_version(
            self.name, source="file:///nowhere", tags={BUNDLE_DIGEST: digest, "tiltyard.verdict": "promote"}
        )
        number = int(made.version)
        self.ledger.append("registered", actor="ada", version=number, evidence={"bundle": digest})
        self.ledger.append("judged", actor="ada", version=number, evidence={"verdict": verdict})
        return number

    def promote(self, number: int) -> None:
        expected = self.ledger.champion()
        promote(self.ledger, self.registry, number, actor="ada", reason="better", expected_champion=expected)

    def set(self, number: int) -> None:
        """Move the alias by hand."""
        set_alias(self.registry, ModelRef(name=self.name, version=number), CHAMPION)

    def copy_to(self, other: "Yard", number: int) -> int:
        """Copy a version as *Promote model* does; source and run are all that it tells."""
        client = self.registry.client
        made = client.create_model_version(
            other.name,
            source=f"models:/{self.name}/{number}",
            tags=dict(client.get_model_version(self.name, str(number)).tags),
        )
        return int(made.version)

    @property
    def alias(self) -> int | None:
        ref = champion(self.registry, self.name)
        return ref.version if ref else None

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries()]

    def agrees(self) -> bool:
        """Whether ledger and alias agree and the ledger is whole."""
        return self.ledger.verify() is None and self.ledger.champion() == self.alias


def yard_of(registry: Registry, store: Path, name: str) -> Yard:
    """Return an empty project."""
    registry.client.create_registered_model(name)
    return Yard(Ledger(FolderStore(store), name), registry)


@pytest.fixture
def yard(embedded: Registry, tmp_path: Path, name: str) -> Yard:
    """A project whose champion is version 1."""
    made = yard_of(embedded, tmp_path / "store", name)
    made.promote(made.add())
    return made


@pytest.fixture
def dev(embedded: Registry, tmp_path: Path, name: str) -> Yard:
    """A second project of the same store, from which versions are copied."""
    return yard_of(embedded, tmp_path / "store", f"{name[:50]}-dev")


def test_a_version_that_passed_stays_where_it_was_set(yard: Yard) -> None:
    yard.set(yard.add())
    assert "has passed" in settle(yard.ledger, yard.registry, GATE).done[0]
    entry = yard.ledger.entries()[-1]
    assert (entry.kind, entry.version, entry.replaces) == ("set_by_hand", 2, 1)
    assert yard.agrees()


@pytest.mark.parametrize("verdict", ["keep", "inconclusive"])
def test_a_version_that_has_not_passed_is_put_back_with_the_reason(yard: Yard, verdict: str) -> None:
    yard.set(yard.add(verdict))
    assert settle(yard.ledger, yard.registry, GATE).state is not None
    entry = yard.ledger.entries()[-1]
    assert (entry.kind, entry.version, entry.replaces) == ("put_back", 1, 2)
    assert f"judged `{verdict}`" in entry.reason
    tags = version(yard.registry, ModelRef(name=yard.name, version=2)).tags
    assert tags[PUT_BACK] == entry.reason
    assert (yard.alias, yard.agrees()) == (1, True)
    state = yard.ledger.state()
    assert (state.line, state.since.kind if state.since else "") == ((1,), "promoted")


def test_tags_alone_prove_nothing(yard: Yard) -> None:
    passed = yard.add()
    digest = version(yard.registry, ModelRef(name=yard.name, version=passed)).tags[BUNDLE_DIGEST]
    made = yard.registry.client.create_model_version(
        yard.name, source="file:///else", tags={BUNDLE_DIGEST: digest, "tiltyard.verdict": "promote"}
    )
    yard.set(int(made.version))
    assert "no ledger says" in settle(yard.ledger, yard.registry, GATE).done[0]
    assert yard.alias == 1


def test_a_bundle_that_was_changed_after_its_verdict_is_put_back(yard: Yard) -> None:
    number = yard.add()
    yard.registry.client.set_model_version_tag(yard.name, str(number), BUNDLE_DIGEST, "another")
    yard.set(number)
    settle(yard.ledger, yard.registry, GATE)
    assert yard.alias == 1


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        (["rejected"], False),
        (["approval_wanted"], False),
        (["approval_wanted", "approved"], True),
        (["expired"], False),
    ],
)
def test_the_last_word_of_a_person_counts(yard: Yard, words: list[str], *, stays: bool) -> None:
    number = yard.add()
    for word in words:
        yard.ledger.append(word, actor="bo", version=number)  # type: ignore[arg-type]  # all of them are kinds
    yard.set(number)
    settle(yard.ledger, yard.registry, GATE)
    assert yard.alias == (number if stays else 1)


def test_a_former_champion_may_return_by_hand(yard: Yard) -> None:
    yard.promote(yard.add("keep"))
    yard.set(1)
    settle(yard.ledger, yard.registry, GATE)
    yard.set(2)
    settle(yard.ledger, yard.registry, GATE)
    assert yard.kinds[-2:] == ["set_by_hand"] * 2
    assert yard.agrees()


def test_a_deleted_alias_is_recorded_or_put_back(yard: Yard) -> None:
    client = yard.registry.client
    client.delete_registered_model_alias(yard.name, CHAMPION)
    settle(yard.ledger, yard.registry, GATE)
    assert (yard.alias, yard.kinds[-1]) == (1, "put_back")
    client.delete_registered_model_alias(yard.name, CHAMPION)
    settle(yard.ledger, yard.registry, ALLOW)
    entry = yard.ledger.entries()[-1]
    assert (entry.kind, entry.version, entry.replaces) == ("set_by_hand", None, 1)


@pytest.mark.parametrize("gates", [ALLOW, GATE])
def test_a_deleted_champion_is_told_and_rollback_goes_further_back(yard: Yard, gates: GatesSection) -> None:
    yard.promote(yard.add())
    yard.registry.client.delete_model_version(yard.name, "2")
    settle(yard.ledger, yard.registry, gates)
    entry = yard.ledger.entries()[-1]
    assert (entry.kind, entry.version) == ("deleted", 2)
    assert yard.ledger.champion() is None
    assert not settle(yard.ledger, yard.registry, gates).done
    done = rollback(yard.ledger, yard.registry, actor="ada", reason="back", gates=gates)
    assert done.ref.version == 1


@pytest.mark.parametrize("seen", [False, True])
def test_a_model_made_anew_is_not_taken_for_the_old_one(yard: Yard, *, seen: bool) -> None:
    yard.promote(yard.add())
    yard.registry.client.delete_registered_model(yard.name)
    if seen:
        settle(yard.ledger, yard.registry)
        assert yard.ledger.entries()[-1].version is None
    yard.registry.client.create_registered_model(yard.name)
    assert yard.add("keep") == 1
    yard.set(1)
    settle(yard.ledger, yard.registry)
    assert yard.agrees()
    assert yard.kinds[-1] == "set_by_hand"
    assert "deleted" in yard.kinds
    yard.promote(yard.add("keep"))
    assert rollback(yard.ledger, yard.registry, actor="ada", reason="back").ref.version == 1


def test_proof_does_not_outlive_the_model(yard: Yard) -> None:
    digest = "the same"
    yard.add(digest=digest)
    yard.registry.client.delete_registered_model(yard.name)
    yard.registry.client.create_registered_model(yard.name)
    settle(yard.ledger, yard.registry, GATE)
    for _ in range(2):
        yard.registry.client.create_model_version(yard.name, source="file:///x", tags={BUNDLE_DIGEST: digest})
    yard.set(2)
    settle(yard.ledger, yard.registry, GATE)
    assert yard.alias is None


def test_a_copy_carries_its_evidence_along(yard: Yard, dev: Yard) -> None:
    good, bad = dev.add(), dev.add("keep")
    copies = [dev.copy_to(yard, good), dev.copy_to(yard, bad)]
    noted = note_copies(yard.ledger, yard.registry)
    assert [entry.version for entry in noted] == copies
    assert [entry.evidence["passed"] for entry in noted] == [True, False]
    assert noted[0].evidence["source"] == f"{dev.name} version {good}"
    assert note_copies(yard.ledger, yard.registry) == ()
    waiting = waiting_copy(yard.ledger.entries())
    assert waiting is not None
    assert waiting.version == copies[0]
    yard.set(copies[1])
    settle(yard.ledger, yard.registry, GATE)
    assert yard.alias == 1
    yard.set(copies[0])
    settle(yard.ledger, yard.registry, GATE)
    assert yard.alias == copies[0]
    assert waiting_copy(yard.ledger.entries()) is None


def test_a_copy_of_a_copy_is_followed_to_its_source_though_that_is_gone(
    yard: Yard, dev: Yard, tmp_path: Path, name: str
) -> None:
    middle = yard_of(yard.registry, tmp_path / "store", f"{name[:50]}-mid")
    copy = middle.copy_to(yard, dev.copy_to(middle, dev.add()))
    dev.registry.client.delete_registered_model(dev.name)
    yard.set(copy)
    settle(yard.ledger, yard.registry, GATE)
    assert yard.alias == copy


def test_a_copy_from_before_the_present_champion_waits_for_the_alias(yard: Yard, dev: Yard) -> None:
    dev.copy_to(yard, dev.add())
    yard.promote(yard.add())
    note_copies(yard.ledger, yard.registry)
    assert waiting_copy(yard.ledger.entries()) is None


def test_of_many_lookers_one_writes(yard: Yard, dev: Yard, tmp_path: Path) -> None:
    yard.set(yard.add("keep"))
    dev.copy_to(yard, dev.add())
    barrier = Barrier(4)

    def look(_: int) -> None:
        ledger = Ledger(FolderStore(tmp_path / "store"), yard.name)
        barrier.wait()
        settle(ledger, yard.registry, GATE)
        note_copies(ledger, yard.registry)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, range(4)))
    note_copies(yard.ledger, yard.registry)
    assert (yard.kinds.count("put_back"), yard.kinds.count("putting_back"), yard.kinds.count("copied")) == (1, 1, 1)
    assert yard.agrees()


def test_a_refused_version_is_put_back_whatever_the_policy(yard: Yard) -> None:
    number = yard.add()
    ref = ModelRef(name=yard.name, version=number)
    yard.set(number)
    settle(yard.ledger, yard.registry)
    assert put_back(yard.ledger, yard.registry, ref, "it is broken")
    assert not put_back(yard.ledger, yard.registry, ref, "it is broken")
    assert (yard.alias, yard.agrees()) == (1, True)
    yard.promote(number)
    assert not put_back(yard.ledger, yard.registry, ref, "it is broken")


def test_the_first_champion_by_hand_can_be_put_back_to_none(embedded: Registry, tmp_path: Path, name: str) -> None:
    yard = yard_of(embedded, tmp_path, name)
    yard.set(yard.add("keep"))
    settle(yard.ledger, yard.registry, GATE)
    assert (yard.alias, yard.kinds[-1], yard.agrees()) == (None, "put_back", True)


def test_a_put_back_that_was_cut_off_is_finished(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.set(yard.add("keep"))

    class Killed(BaseException):
        """What `kill -9` would be."""

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("tiltyard.registry.moving.set_alias", die)
        with pytest.raises(Killed):
            settle(yard.ledger, yard.registry, GATE)
    assert yard.kinds[-1] == "putting_back"
    settle(yard.ledger, yard.registry, GATE)
    assert (yard.kinds[-2:], yard.alias, yard.agrees()) == (["putting_back", "put_back"], 1, True)


def test_a_put_back_leaves_an_alias_that_has_moved_on(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = yard.add("keep"), yard.add()
    yard.set(bad)

    def quick(*_: object) -> Proof:
        yard.set(good)
        return Proof(passed=False, sentence="not passed")

    with monkeypatch.context() as patch:
        patch.setattr("tiltyard.registry.by_hand.find_proof", quick)
        settle(yard.ledger, yard.registry, GATE)
    settle(yard.ledger, yard.registry, GATE)
    assert (yard.alias, yard.agrees(), yard.kinds[-1]) == (good, True, "set_by_hand")


def test_an_entry_of_another_kind_does_not_disturb_a_move(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    number = yard.add()

    def busy(registry: Registry, ref: ModelRef, alias: str) -> None:
        yard.ledger.append("registered", actor="bo", version=9)
        set_alias(registry, ref, alias)

    monkeypatch.setattr("tiltyard.registry.moving.set_alias", busy)
    yard.promote(number)
    assert yard.kinds[-3:] == ["promoting", "registered", "promoted"]
    assert yard.ledger.state().open is None


def test_one_glance_tells_of_every_change(yard: Yard) -> None:
    before = glance(yard.registry, yard.name)
    yard.add()
    after = glance(yard.registry, yard.name)
    assert (before.champion, before.newest, after.newest) == (1, 1, 2)
    yard.registry.client.delete_registered_model(yard.name)
    assert glance(yard.registry, yard.name).made == 0
