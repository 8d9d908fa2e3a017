"""Rollouts in the ledger: one of two deciders wins, and whatever overtakes a rollout ends it with its reason."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.errors import AbsentError, ConflictError, RegistryError, UsageError
from tiltyard.project.gates import GatesSection
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry import models, promotion, rollouts
from tiltyard.registry.by_hand import settle
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import NOTHING_BEFORE, Entry, Kind
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import CHAMPION, ModelRef, Scalar
from tiltyard.registry.refusals import SERVING_REFUSED, note_refusal
from tiltyard.registry.rollout import Rollout, latest, standing
from tiltyard.registry.rollout import rollouts as every
from tiltyard.storage.folder import FolderStore

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

CANARY = RolloutSection(strategy="canary", steps=(0.1, 1.0))


@dataclass
class Yard:
    """A project whose version 1 is champion; versions 2 and 3 are there."""

    ledger: Ledger
    registry: Registry

    def start(self, version: int = 2, settings: RolloutSection = CANARY, champion: int | None = 1) -> Rollout:
        """Start a rollout as ada."""
        return rollouts.start(
            self.ledger,
            self.registry,
            version,
            settings=settings,
            actor="ada",
            reason="better",
            expected_champion=champion,
            evidence={"run": "key"},
        )

    def advance(self, rollout: Rollout) -> Rollout:
        """Advance as the sidecar."""
        return rollouts.advance(self.ledger, rollout, actor="sidecar", reason="held", evidence={"requests": 50})

    def promote(self, version: int, *, instead_of: int | None) -> None:
        """Promote by a person's word."""
        promotion.promote(self.ledger, self.registry, version, actor="eve", reason="now", expected_champion=instead_of)

    def tidy(self, gates: GatesSection | None = None) -> Rollout | None:
        """Finish what is open."""
        return rollouts.tidy(self.ledger, self.registry, gates or GatesSection())

    def latest(self) -> Rollout:
        """Return the latest rollout, which there is."""
        found = latest(self.ledger.entries())
        assert found is not None
        return found

    @property
    def champion(self) -> int | None:
        """Version with the alias."""
        found = models.champion(self.registry, self.ledger.project)
        return found.version if found else None

    @property
    def kinds(self) -> list[str]:
        """Kinds of the ledger's entries after the first promotion."""
        return [str(entry.kind) for entry in self.ledger.entries()][2:]

    def refusal(self, version: int) -> str | None:
        """Why a version is refused, by its tag."""
        return models.version(self.registry, ModelRef(name=self.ledger.project, version=version)).tags.get(
            SERVING_REFUSED
        )


@pytest.fixture
def yard(embedded: Registry, tmp_path: Path, name: str) -> Yard:
    """A project with a champion."""
    embedded.client.create_registered_model(name)
    for _ in range(3):
        embedded.client.create_model_version(name, source="file:///nowhere")
    yard = Yard(Ledger(FolderStore(tmp_path / "store"), name), embedded)
    yard.promote(1, instead_of=None)
    return yard


def test_a_rollout_goes_step_by_step_and_the_alias_moves_only_at_its_end(yard: Yard) -> None:
    first = yard.start()
    assert (first.version, first.champion, first.step, first.share, first.is_standing) == (2, 1, 0, 0.1, True)
    assert standing(yard.ledger.entries()) == first
    second = yard.advance(first)
    assert (second.step, second.share, second.salt, yard.champion) == (1, 1.0, first.salt, 1)
    with pytest.raises(UsageError, match="no further step"):
        yard.advance(second)
    done = rollouts.promote(yard.ledger, yard.registry, second, actor="sidecar", reason="it held")
    assert (done.ref.version, done.changed, yard.champion) == (2, True, 2)
    assert yard.kinds == ["rollout_started", "rollout_step", "rollout_ended", "promoting", "promoted"]
    ended = yard.latest()
    assert (ended.outcome, ended.is_standing, ended.said) == ("promoted", False, "it held")
    assert yard.ledger.entries()[-1].evidence["rollout"] == first.sequence
    assert (yard.tidy(), len(yard.kinds)) == (None, 5)
    assert yard.ledger.verify() is None


def test_the_settings_hold_to_the_end_and_every_reader_has_them(yard: Yard) -> None:
    settings = RolloutSection(strategy="canary", key="customer", steps=(0.05, 0.3, 1.0), hours=2, alpha=0.01)
    started = yard.start(settings=settings)
    assert yard.latest() == started
    assert yard.latest().settings == settings


def test_a_return_refuses_the_candidate_with_the_reason_and_leaves_the_alias(yard: Yard) -> None:
    rollout = yard.start()
    ended = rollouts.give_back(yard.ledger, yard.registry, rollout, actor="sidecar", reason="5 errors in a row")
    assert (ended.outcome, ended.said, yard.champion) == ("returned", "5 errors in a row", 1)
    assert yard.kinds == ["rollout_started", "rollout_ended", "refused"]
    assert "5 errors in a row" in (yard.refusal(2) or "")
    assert (yard.tidy(), len(yard.kinds)) == (None, 3)


def test_starting_the_same_again_changes_nothing_and_another_is_refused(yard: Yard) -> None:
    rollout = yard.start()
    assert yard.start() == rollout
    with pytest.raises(ConflictError, match="version 2 is being rolled out"):
        yard.start(3)
    with pytest.raises(ConflictError, match="version 2 is being rolled out"):
        yard.start(settings=RolloutSection(strategy="shadow"))
    assert yard.kinds == ["rollout_started"]


def test_what_cannot_be_rolled_out_is_said(yard: Yard) -> None:
    with pytest.raises(UsageError, match="champion already"):
        yard.start(1)
    with pytest.raises(UsageError, match="is a promotion"):
        yard.start(settings=RolloutSection())
    with pytest.raises(ConflictError, match="version 1 by now"):
        yard.start(champion=3)
    with pytest.raises(AbsentError, match="version 9"):
        yard.start(9)
    assert yard.kinds == []


def test_without_a_champion_there_is_nothing_to_return_to(yard: Yard) -> None:
    yard.registry.client.delete_registered_model_alias(yard.ledger.project, CHAMPION)
    with pytest.raises(UsageError, match="no champion"):
        yard.start(champion=None)


@pytest.mark.parametrize("pair", [("advance", "advance"), ("advance", "return"), ("return", "promote")])
def test_of_two_deciders_one_wins_and_the_other_is_told(yard: Yard, pair: tuple[str, str]) -> None:
    rollout = yard.start()
    both = Barrier(2)

    def decide(way: str, ledger: Ledger) -> str:
        both.wait(timeout=60)
        try:
            if way == "advance":
                rollouts.advance(ledger, rollout, actor=way, reason=way, evidence={})
            elif way == "return":
                rollouts.give_back(ledger, yard.registry, rollout, actor=way, reason=way)
            else:
                rollouts.promote(ledger, yard.registry, rollout, actor=way, reason=way)
        except ConflictError:
            return ""
        return way

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(decide, pair, [yard.ledger, yard.ledger.of(yard.ledger.project)]))
    assert len([way for way in won if way]) == 1
    decided = [entry for entry in yard.ledger.entries() if entry.kind in {"rollout_step", "rollout_ended"}]
    assert len(decided) == 1
    assert yard.champion == (2 if "promote" in won else 1)
    assert yard.ledger.verify() is None


def test_entries_about_anything_else_do_not_disturb_a_decision(yard: Yard) -> None:
    rollout = yard.start()
    yard.ledger.append("registered", actor="eve", version=4)
    assert yard.advance(rollout).step == 1


def _by_hand(yard: Yard) -> None:
    yard.registry.client.set_registered_model_alias(yard.ledger.project, CHAMPION, "3")


def _by_promotion(yard: Yard) -> None:
    yard.promote(3, instead_of=1)


def _by_deleting(yard: Yard) -> None:
    yard.registry.client.delete_model_version(yard.ledger.project, "2")


@pytest.mark.parametrize(
    ("happens", "outcome", "said"),
    [
        (_by_hand, "overtaken", "the champion became version 3 meanwhile, by a hand in MLflow"),
        (_by_promotion, "overtaken", "the champion became version 3 meanwhile, by eve: now"),
        (_by_deleting, "overtaken", "version 2 was deleted in MLflow"),
    ],
)
def test_what_overtakes_a_rollout_ends_it_with_its_reason(
    yard: Yard, happens: Callable[[Yard], None], outcome: str, said: str
) -> None:
    rollout = yard.start()
    happens(yard)
    assert yard.tidy() is None
    ended = yard.latest()
    assert (ended.outcome, ended.noted) == (outcome, True)
    assert said in ended.said
    entries = yard.kinds
    assert entries[-1] == "rollout_ended"
    assert (yard.tidy(), yard.kinds) == (None, entries)
    with pytest.raises(ConflictError, match="stands otherwise"):
        yard.advance(rollout)


def test_a_promotion_by_a_person_ends_the_rollout_as_promoted(yard: Yard) -> None:
    yard.start()
    yard.promote(2, instead_of=1)
    assert yard.tidy() is None
    assert (yard.latest().outcome, yard.latest().said) == ("promoted", "now")


def test_a_rollback_ends_the_rollout(yard: Yard) -> None:
    yard.promote(3, instead_of=1)
    yard.start(champion=3)
    promotion.rollback(yard.ledger, yard.registry, actor="eve", reason="3 is bad")
    assert yard.tidy() is None
    assert "the champion became version 1 meanwhile, by eve: 3 is bad" in yard.latest().said


def test_a_version_that_a_server_refuses_is_returned(yard: Yard) -> None:
    yard.start()
    ref = ModelRef(name=yard.ledger.project, version=2)
    note_refusal(yard.ledger, yard.registry, ref, "it does not verify", actor="server")
    assert standing(yard.ledger.entries()) is None
    assert (yard.latest().outcome, yard.latest().said) == ("returned", "it does not verify")
    assert yard.tidy() is None


def test_an_alias_that_is_put_back_does_not_end_a_rollout(yard: Yard) -> None:
    rollout = yard.start()
    _by_hand(yard)
    settle(yard.ledger, yard.registry, GatesSection(by_hand="require_gate"))
    assert yard.champion == 1
    assert yard.tidy(GatesSection(by_hand="require_gate")) == rollout


def test_a_promotion_that_was_cut_off_is_completed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout = yard.start()
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "promote", _away)
        with pytest.raises(RegistryError, match="away"):
            rollouts.promote(yard.ledger, yard.registry, rollout, actor="sidecar", reason="it held")
    between = yard.latest()
    assert (between.outcome, between.is_standing, between.share, yard.champion) == ("promoting", True, 1.0, 1)
    with pytest.raises(ConflictError, match="stands otherwise"):
        yard.advance(rollout)
    assert yard.tidy() is None
    assert (yard.champion, yard.latest().outcome, yard.latest().said) == (2, "promoted", "it held")


def test_a_return_that_mlflow_was_not_told_of_is_completed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout = yard.start()
    with monkeypatch.context() as patch:
        patch.setattr(rollouts, "note_refusal", _away)
        with pytest.raises(RegistryError, match="away"):
            rollouts.give_back(yard.ledger, yard.registry, rollout, actor="sidecar", reason="slow")
    assert standing(yard.ledger.entries()) is None
    assert yard.tidy() is None
    assert "slow" in (yard.refusal(2) or "")


def test_the_next_rollout_follows_the_last(yard: Yard) -> None:
    first = yard.start()
    rollouts.give_back(yard.ledger, yard.registry, first, actor="ada", reason="no")
    second = yard.start(3)
    assert (second.version, second.salt == first.salt) == (3, False)
    assert [one.version for one in every(yard.ledger.entries())] == [2, 3]


def test_a_shadow_answers_nothing_to_its_end(yard: Yard) -> None:
    rollout = yard.start(settings=RolloutSection(strategy="shadow"))
    assert (rollout.share, "shadow" in rollout.sentence) == (0.0, True)
    assert rollout.model_copy(update={"outcome": "promoting"}).share == 0.0


@given(st.lists(st.sampled_from(["advance", "return", "promoted", "set_by_hand", "registered", "other"]), max_size=8))
def test_whatever_happens_a_rollout_that_has_ended_stays_so(ways: list[str]) -> None:
    found = _standing_after(ways)
    assert found.step <= len(CANARY.shares)
    ending = {"return", "promoted", "set_by_hand"}
    assert found.is_standing != any(way in ending for way in ways)


def _standing_after(ways: list[str]) -> Rollout:
    """Fold a ledger that something was written into after a rollout started."""
    mine: dict[str, Scalar] = {"rollout": 2}
    written: dict[str, tuple[Kind, int, dict[str, Scalar]]] = {
        "advance": ("rollout_step", 2, {**mine, "step": 1}),
        "return": ("rollout_ended", 2, {**mine, "outcome": "returned"}),
        "other": ("rollout_ended", 2, {"rollout": 99, "outcome": "returned"}),
        "registered": ("registered", 5, {}),
        "promoted": ("promoted", 3, {}),
        "set_by_hand": ("set_by_hand", 3, {}),
    }
    started = _entry(2, "rollout_started", 2, {"settings": CANARY.model_dump_json()})
    after = [_entry(number, *written[way]) for number, way in enumerate(ways, start=3)]
    found = latest([_entry(1, "promoted", 1, {}), started, *after])
    assert found is not None
    return found


def _entry(sequence: int, kind: Kind, version: int, evidence: dict[str, Scalar]) -> Entry:
    return Entry(
        sequence=sequence,
        time=datetime(2026, 11, 20, tzinfo=UTC),
        actor="ada",
        kind=kind,
        project="churn",
        version=version,
        replaces=1,
        evidence=evidence,
        previous=NOTHING_BEFORE,
    )


def _away(*_: object, **__: object) -> None:
    raise RegistryError("MLflow is away")
