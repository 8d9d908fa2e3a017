"""Questions to a person in the ledger: asked once, answered once, lapsed by the clock."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.errors import AbsentError, ConflictError
from tiltyard.registry import approvals
from tiltyard.registry.approvals import Approval, Choice, Standing, ask, decide, find, objection_to, waiting
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import Scalar
from tiltyard.storage.folder import FolderStore

FIGURES: dict[str, Scalar] = {"verdict": "promote", "difference": 0.02, "p_value": None}
START = datetime(2026, 11, 20, 9, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_ledger(tmp_path: Path, clock: Clock) -> Callable[[], Ledger]:
    return lambda: Ledger(FolderStore(tmp_path / "store"), "churn", clock=clock)


@pytest.fixture
def asked(open_ledger: Callable[[], Ledger]) -> Ledger:
    """A ledger whose version 2 waits to replace version 1."""
    ledger = open_ledger()
    ledger.append("promoted", actor="run", version=1)
    question(ledger)
    return ledger


def question(ledger: Ledger, replaces: int | None = 1) -> Approval:
    return ask(ledger, 2, replaces=replaces, actor="run", question="why?", verdict="better", hours=72, evidence=FIGURES)


def answer(ledger: Ledger, choice: Choice, actor: str = "ada", champion: int | None = 1) -> Approval:
    return decide(ledger, 2, choice, actor=actor, reason="looked at it", champion=champion)


def kinds(ledger: Ledger) -> list[str]:
    return [entry.kind for entry in ledger.entries()]


def test_question_is_asked_once_and_carries_its_figures(asked: Ledger) -> None:
    assert question(asked) == waiting(asked)[0]
    assert kinds(asked) == ["promoted", "approval_wanted"]
    assert waiting(asked)[0].evidence == FIGURES
    assert waiting(asked)[0].expires == START + timedelta(hours=72)


def test_other_champion_is_another_question(asked: Ledger) -> None:
    question(asked, replaces=7)
    assert [(found.replaces, found.standing) for found in waiting(asked)] == [(7, "waiting")]


@pytest.mark.parametrize(("choice", "standing"), [("approve", "approved"), ("reject", "rejected")])
def test_decision_tells_who_when_and_why(asked: Ledger, choice: Choice, standing: Standing, clock: Clock) -> None:
    clock.time += timedelta(hours=5)
    answered = answer(asked, choice)
    assert (answered.standing, waiting(asked)) == (standing, ())
    assert answered.decision is not None
    assert (answered.decision.actor, answered.decision.reason) == ("ada", "looked at it")
    assert answered.decision.time == START + timedelta(hours=5)
    assert answer(asked, choice, actor="bob") == answered
    assert asked.verify() is None


def test_second_decision_is_refused_and_names_the_first(asked: Ledger) -> None:
    answer(asked, "reject")
    with pytest.raises(ConflictError, match=r"was rejected by ada .* the first decision counts"):
        answer(asked, "approve", actor="bob")
    assert kinds(asked)[-1] == "rejected"


def test_question_lapses_once_for_whoever_looks(asked: Ledger, clock: Clock) -> None:
    clock.time += timedelta(hours=72)
    assert waiting(asked) == ()
    assert waiting(asked) == ()
    assert kinds(asked)[-2:] == ["approval_wanted", "expired"]
    with pytest.raises(ConflictError, match="nobody decided about version 2 until 2026-11-23 09:00 UTC"):
        answer(asked, "approve")


def test_lapsed_question_may_be_asked_again_and_a_rejected_one_not(asked: Ledger, clock: Clock) -> None:
    clock.time += timedelta(hours=73)
    assert question(asked).standing == "waiting"
    answer(asked, "reject")
    assert question(asked).standing == "rejected"


def test_champion_that_changed_meanwhile_stops_an_approval_and_no_rejection(asked: Ledger) -> None:
    with pytest.raises(ConflictError, match="judged against version 1, and by now version 3 is the champion"):
        answer(asked, "approve", champion=3)
    assert kinds(asked) == ["promoted", "approval_wanted"]
    assert answer(asked, "reject", champion=3).standing == "rejected"


def test_promotion_that_did_not_wait_ends_the_question(asked: Ledger) -> None:
    asked.append("promoted", actor="eve", version=2, replaces=1)
    found = find(asked, 2)
    assert found is not None
    assert (found.standing, found.sentence.split(" (")[0]) == ("promoted", "version 2 was made champion by eve")
    with pytest.raises(ConflictError, match="was made champion by eve"):
        answer(asked, "reject", champion=2)


def test_nobody_was_asked_about_a_version(asked: Ledger) -> None:
    with pytest.raises(AbsentError, match=r"version 9 does not wait for a decision. These do: 2\."):
        decide(asked, 9, "approve", actor="ada", reason="why", champion=1)


def test_of_many_decisions_at_once_one_counts(asked: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    outcomes: list[str] = []

    def someone(number: int) -> None:
        try:
            answer(open_ledger(), "approve" if number % 2 else "reject", actor=f"person {number}")
            outcomes.append("counted")
        except ConflictError:
            outcomes.append("refused")

    people = [threading.Thread(target=someone, args=(number,)) for number in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert kinds(asked)[:2] == ["promoted", "approval_wanted"]
    assert len(kinds(asked)) == 3
    assert sorted(outcomes) == ["counted"] * 4 + ["refused"] * 4


STANDINGS: list[Standing] = ["waiting", "approved", "promoted", "rejected", "expired"]


@given(
    standing=st.sampled_from(STANDINGS),
    choice=st.sampled_from(["approve", "reject"]),
    replaces=st.none() | st.integers(1, 3),
    champion=st.none() | st.integers(1, 4),
)
def test_objection_depends_on_the_first_decision_and_on_the_champion(
    standing: Standing, choice: Choice, replaces: int | None, champion: int | None
) -> None:
    approval = Approval(
        project="churn",
        version=4,
        replaces=replaces,
        question="",
        verdict="",
        asked=1,
        wanted=START,
        expires=START,
        evidence={},
        standing=standing,
    )
    told = objection_to(approval, choice, champion)
    agrees = standing in {"approve": ("approved", "promoted"), "reject": ("rejected",)}[choice]
    if standing != "waiting" and not agrees:
        assert told is not None
        assert told.endswith("first decision counts")
    elif choice == "approve" and standing != "promoted" and champion not in {replaces, 4}:
        assert told is not None
        assert "nothing was changed" in told
    else:
        assert told is None


def test_clock_says_when_a_question_lapses(asked: Ledger) -> None:
    found = waiting(asked)[0]
    assert not approvals.is_overdue(found, START + timedelta(hours=71, minutes=59))
    assert approvals.is_overdue(found, START + timedelta(hours=72))
