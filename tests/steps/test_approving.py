"""A person's decision by the plain steps: when it is wanted, and what it moves on the registry and in the ledger."""

from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steps.conftest import write_project
from tiltyard.errors import AbsentError, ConflictError, RegistryError, UsageError
from tiltyard.evaluation.records import Verdict
from tiltyard.project.gates import GatesSection
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry import approvals, models, promotion, rollouts
from tiltyard.registry.approvals import Approval
from tiltyard.registry.client import Registry
from tiltyard.registry.records import CHAMPION, ModelRef
from tiltyard.steps.approving import decide, waiting, wanted
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.rolling_out import begin, give_back

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

Outcome = Literal["promote", "refuse", "inconclusive"]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A project whose version 1 is champion; versions 2 and 3 are there."""
    place = open_place(write_project(tmp_path, "linear"))
    place.registry.client.create_registered_model("churn")
    for _ in range(3):
        place.registry.client.create_model_version("churn", source="file:///nowhere")
    promote(place, 1, instead_of=None)
    return place


def promote(place: Place, version: int, instead_of: int | None) -> None:
    promotion.promote(place.ledger, place.registry, version, actor="eve", reason="better", expected_champion=instead_of)


def ask(place: Place, version: int = 2) -> Approval:
    return approvals.ask(
        place.ledger,
        version,
        replaces=1,
        actor="run",
        question="Why?",
        verdict="Better.",
        hours=1,
        evidence={"verdict": "promote"},
    )


def champion(place: Place) -> int | None:
    found = models.champion(place.registry, "churn")
    return found.version if found else None


@given(
    outcome=st.sampled_from(["promote", "refuse", "inconclusive"]),
    approval=st.sampled_from(["none", "required"]),
    inconclusive=st.sampled_from(["keep", "ask"]),
)
def test_a_person_is_asked_about_winners_and_about_what_was_not_settled(
    outcome: Outcome, approval: Literal["none", "required"], inconclusive: Literal["keep", "ask"]
) -> None:
    gates = GatesSection(approval=approval, inconclusive=inconclusive)
    why = wanted(gates, Verdict(outcome=outcome, sentence="so", metric="roc_auc", mode="superiority", rows=100))
    asked = (outcome, approval) == ("promote", "required") or (outcome, inconclusive) == ("inconclusive", "ask")
    assert (why is not None) == asked
    assert get_args(Outcome) == ("promote", "refuse", "inconclusive")


def test_approval_promotes_in_the_name_of_who_decided(place: Place) -> None:
    ask(place)
    done = decide(place, 2, "approve", actor="ada", reason="looked at it")
    assert (champion(place), done.approval.standing) == (2, "promoted")
    promoted = place.ledger.entries()[-1]
    assert (promoted.kind, promoted.actor, promoted.reason, promoted.replaces) == ("promoted", "ada", "looked at it", 1)
    assert waiting(place) == ()
    assert decide(place, 2, "approve", actor="bob", reason="me too").promotion is None
    assert place.ledger.entries()[-1] == promoted


def test_rejection_moves_nothing(place: Place) -> None:
    ask(place)
    assert decide(place, 2, "reject", actor="ada", reason="no").promotion is None
    with pytest.raises(ConflictError, match="was rejected by ada"):
        decide(place, 2, "approve", actor="bob", reason="yes")
    assert champion(place) == 1


def test_approval_against_a_champion_that_was_replaced_moves_nothing(place: Place) -> None:
    ask(place)
    promote(place, 3, instead_of=1)
    with pytest.raises(ConflictError, match="judged against version 1, and by now version 3 is the champion"):
        decide(place, 2, "approve", actor="ada", reason="yes")
    assert champion(place) == 3
    assert [approval.version for approval in waiting(place)] == [2]


def test_move_by_hand_counts_as_a_new_champion(place: Place) -> None:
    ask(place)
    models.set_alias(place.registry, ModelRef(name="churn", version=3), CHAMPION)
    with pytest.raises(ConflictError, match="by now version 3 is the champion"):
        decide(place, 2, "approve", actor="ada", reason="yes")
    assert champion(place) == 3


def test_version_that_is_gone_is_not_approved(place: Place) -> None:
    ask(place)
    place.registry.client.delete_model_version("churn", "2")
    with pytest.raises(AbsentError):
        decide(place, 2, "approve", actor="ada", reason="yes")
    assert place.ledger.entries()[-1].kind == "approval_wanted"


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("ada", " \n")])
def test_who_and_why_are_not_left_out(place: Place, actor: str, reason: str) -> None:
    ask(place)
    with pytest.raises(UsageError, match="is empty"):
        decide(place, 2, "approve", actor=actor, reason=reason)


def test_approval_that_was_cut_off_is_completed_by_the_next_call(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(place)

    def broken(*_: object, **__: object) -> None:
        raise RegistryError("MLflow cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(promotion, "promote", broken)
        with pytest.raises(RegistryError):
            decide(place, 2, "approve", actor="ada", reason="yes")
    assert (champion(place), place.ledger.entries()[-1].kind) == (1, "approved")
    done = decide(place, 2, "approve", actor="bob", reason="again")
    assert (champion(place), done.approval.standing) == (2, "promoted")
    assert place.ledger.entries()[-1].actor == "ada"
    assert isinstance(place.registry, Registry)


def test_an_approval_starts_the_project_s_rollout_once(place: Place) -> None:
    canary = RolloutSection(strategy="canary", steps=(0.1, 1.0))
    place = Place(place.project.model_copy(update={"rollout": canary}), place.workplace)
    ask(place)
    done = decide(place, 2, "approve", actor="ada", reason="review")
    assert (done.promotion, champion(place), done.approval.standing) == (None, 1, "approved")
    assert done.rollout is not None
    assert (done.rollout.version, done.rollout.actor, done.rollout.reason) == (2, "ada", "review")
    assert "version 2 answers 0.1 of the requests instead of version 1" in done.sentence
    assert decide(place, 2, "approve", actor="ada", reason="review").rollout == done.rollout
    rollouts.promote(place.ledger, place.registry, done.rollout, actor="server", reason="it held")
    again = decide(place, 2, "approve", actor="ada", reason="review")
    assert (again.approval.standing, champion(place)) == ("promoted", 2)


def test_an_approval_waits_while_another_version_is_being_rolled_out(place: Place) -> None:
    canary = RolloutSection(strategy="canary")
    place = Place(place.project.model_copy(update={"rollout": canary}), place.workplace)
    begin(place, 3, strategy="shadow", reason="first")
    ask(place)
    done = decide(place, 2, "approve", actor="ada", reason="review")
    assert (done.rollout, done.promotion) == (None, None)
    assert "version 3 is being rolled out" in done.sentence
    give_back(place, reason="no")
    then = decide(place, 2, "approve", actor="ada", reason="review")
    assert then.rollout is not None
    assert (then.rollout.version, then.rollout.settings) == (2, canary)
