"""The training flow on a real Prefect server: the story of a champion, and of a run that is killed at every step."""

from pathlib import Path

import pytest

from flows.training import train
from tests.flows.conftest import Warm, WriteProject
from tiltyard.errors import ConflictError, DataError
from tiltyard.registry import models
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.run import assign, one_at_a_time

STEPS = [
    ("data", "ingest"),
    ("judging", "find_opponent"),
    ("data", "examine"),
    ("data", "check"),
    ("data", "split"),
    ("training", "tune"),
    ("training", "fit"),
    ("judging", "evaluate"),
    ("bundling", "build"),
    ("bundling", "verify"),
    ("judging", "judge"),
    ("registering", "register"),
    ("registering", "document"),
    ("registering", "promote"),
]
LANDMARKS = [("data", "check"), ("training", "tune"), *STEPS[-3:]]
"""Those after which most is there that could be done twice."""


def champion(place: Place) -> int | None:
    found = models.champion(place.registry, "churn")
    return found.version if found else None


def kinds(place: Place) -> list[str]:
    return [entry.kind for entry in place.ledger.entries()]


def test_better_challenger_is_promoted_and_worse_one_is_not(write_project: WriteProject) -> None:
    file = write_project("tree")
    first = train(file, reason="first")
    assert (first.version, first.promoted, first.verdict.mode) == (1, True, "first")
    second = train(write_project("linear"), reason="better")
    assert (second.version, second.promoted, second.champion_before) == (2, True, 1)
    assert second.verdict.difference is not None
    assert second.verdict.difference.low > 0
    third = train(write_project("knn", trials=1), reason="worse")
    assert (third.version, third.promoted) == (3, False)
    place = open_place(file)
    assert champion(place) == 2
    assert place.ledger.verify() is None
    assert kinds(place).count("promoted") == 2
    assert kinds(place).count("judged") == 3


def test_same_run_again_redoes_nothing_and_says_so(write_project: WriteProject) -> None:
    file = write_project("tree")
    first = train(file)
    before = {path: path.stat().st_mtime_ns for path in first.card.parent.rglob("*") if path.is_file()}
    again = train(file)
    assert again.repeated
    assert again.model_copy(update={"repeated": False}) == first
    assert {path: path.stat().st_mtime_ns for path in first.card.parent.rglob("*") if path.is_file()} == before
    assert len(models.versions(open_place(file).registry, "churn")) == 1


def test_held_back_winner_is_promoted_by_the_same_run_when_asked(write_project: WriteProject) -> None:
    file = write_project("tree")
    held = train(file, promote=False)
    assert (held.promoted, champion(open_place(file))) == (False, None)
    released = train(file)
    assert (released.version, released.promoted, champion(open_place(file))) == (1, True, 1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("steps", [LANDMARKS, pytest.param(STEPS, marks=pytest.mark.exhaustive)], ids=["some", "all"])
def test_killed_after_a_step_it_completes_once(
    write_project: WriteProject, warm: Warm, steps: list[tuple[str, str]]
) -> None:
    train(write_project("tree"))
    file = write_project("linear")
    place = open_place(file)
    for step in steps:
        assert warm.train(file, die_after=step) == (-9, ""), f"{step} was not reached"
        assert champion(place) == (2 if step == ("registering", "promote") else 1)
        assert place.ledger.verify() is None
    outcome = train(file)
    assert (outcome.version, outcome.promoted, champion(place)) == (2, True, 2)
    assert len(models.versions(place.registry, "churn")) == 2
    assert kinds(open_place(file)) == ["registered", "judged", "promoting", "promoted"] * 2


@pytest.mark.exhaustive
def test_after_the_model_was_deleted_the_same_run_registers_it_anew(write_project: WriteProject) -> None:
    file = write_project("tree")
    train(file)
    place = open_place(file)
    place.registry.client.delete_registered_model("churn")
    outcome = train(file)
    assert (outcome.version, outcome.promoted, outcome.repeated, champion(place)) == (1, True, False, 1)
    made = ["registered", "judged", "promoting", "promoted"]
    assert kinds(place) == [*made, "deleted", *made]
    assert train(file).repeated


def test_broken_contract_stops_before_anything_is_registered(write_project: WriteProject, tmp_path: Path) -> None:
    file = write_project("tree")
    table = (tmp_path / "data.csv").read_text().replace("basic", "", 3)
    (tmp_path / "data.csv").write_text(table)
    with pytest.raises(DataError, match="plan"):
        train(file)
    assert models.versions(open_place(file).registry, "churn") == ()


def test_two_runs_at_once_are_refused(write_project: WriteProject) -> None:
    file = write_project("tree")
    with (
        one_at_a_time(assign(file)),
        pytest.raises(ConflictError, match="under way"),
    ):
        train(file)
