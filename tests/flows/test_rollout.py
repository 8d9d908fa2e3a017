"""The rollout flow and the training flow with a rollout, against a real Prefect server and no model server at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows import rollout as flow
from flows.training import train
from tests.flows.conftest import WriteProject, write_project_in
from tiltyard.errors import AbsentError, ConflictError, OverdueError
from tiltyard.evaluation.evidence import ArmCounts, Evidence
from tiltyard.registry import models, promotion, rollouts
from tiltyard.registry.rollout import Rollout, latest, standing
from tiltyard.steps.place import Place, open_place

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

CANARY = {"strategy": "canary", "steps": [0.1, 1.0], "min_requests": [20]}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose version 1 is champion; version 2 is there."""
    folder = tmp_path_factory.mktemp("pattern")
    place = open_place(write_project_in(folder, "linear", rollout=CANARY))
    place.registry.client.create_registered_model("churn")
    for _ in range(2):
        place.registry.client.create_model_version("churn", source="file:///nowhere")
    promotion.promote(place.ledger, place.registry, 1, actor="eve", reason="first", expected_champion=None)
    return folder


@pytest.fixture
def place(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A copy of the pattern; looks at a rollout follow one another quickly."""
    monkeypatch.setattr(flow, "_PAUSE", 0.05)
    shutil.copytree(pattern, tmp_path / "yard")
    return open_place(tmp_path / "yard")


def champion(place: Place) -> int | None:
    found = models.champion(place.registry, "churn")
    return found.version if found else None


@contextmanager
def deciding(place: Place, *ways: str) -> Iterator[None]:
    """Do what a model server's sidecar would, one thing after the other, as soon as there is a rollout."""
    done = Event()

    def act() -> None:
        ledger = place.ledger.of("churn")
        left = list(ways)
        while left and not done.wait(0.02):
            found = standing(ledger.entries())
            if found is not None:
                _act(place, found, left.pop(0))

    thread = Thread(target=act, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60)


def _act(place: Place, found: Rollout, way: str) -> None:
    evidence = Evidence(
        rollout=found.sequence,
        step=found.step,
        champion=ArmCounts(requests=900),
        candidate=ArmCounts(requests=120, errors=way.count("e")),
    )
    key = f"rollouts/churn/{found.sequence}/replica.json"
    place.store.write(key, evidence.model_dump_json().encode())
    seen = {"requests": evidence.candidate.requests, "errors": evidence.candidate.errors}
    if way == "advance":
        rollouts.advance(place.ledger, found, actor="server", reason="it held", evidence=seen)
    elif way == "promote":
        rollouts.promote(place.ledger, place.registry, found, actor="server", reason="it held", evidence=seen)
    else:
        rollouts.give_back(place.ledger, place.registry, found, actor="server", reason="too many errors")


def test_a_rollout_is_followed_to_the_champion(place: Place) -> None:
    with deciding(place, "advance", "promote"):
        ended = flow.roll_out(place.workplace.project_file, version=2, reason="review")
    assert (ended.version, ended.outcome, ended.strategy, ended.reason) == (2, "promoted", "canary", "review")
    assert champion(place) == 2
    with get_client(sync_client=True) as client:
        shown = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["churn-rollout"])))
    assert any("it held" in str(artifact.data) and '"Requests": "120"' in str(artifact.data) for artifact in shown)


def test_a_rollout_that_is_sent_back_ends_the_flow_with_its_reason(place: Place) -> None:
    with deciding(place, "return"):
        state = flow.roll_out(place.workplace.project_file, version=2, return_state=True)
    assert state.is_completed()
    assert "did not make it champion: too many errors" in str(state.message)
    assert champion(place) == 1


def test_without_a_server_a_step_whose_time_is_over_returns_to_the_champion(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_project_in(place.workplace.project_file.parent, "linear", rollout={**CANARY, "hours": 0.0001})
    monkeypatch.setattr("tiltyard.steps.rolling_out._SERVERS_TURN", 0.0)
    monkeypatch.setattr(flow, "_SEEN_TO", timedelta(0))
    ended = flow.roll_out(file, version=2)
    assert (ended.outcome, champion(place)) == ("returned", 1)
    assert "inconclusive" in ended.said
    assert "there were no requests of the candidate" in ended.said


def test_a_flow_that_follows_no_longer_leaves_the_rollout_standing(place: Place) -> None:
    with pytest.raises(OverdueError, match="has not ended in the time"):
        flow.roll_out(place.workplace.project_file, version=2, hours=1e-6)
    found = standing(place.ledger.entries())
    assert found is not None
    with pytest.raises(OverdueError, match="of version 2 has not ended"):
        flow.roll_out(place.workplace.project_file, hours=1e-6)
    assert standing(place.ledger.entries()) == found


def test_there_is_nothing_to_follow_and_two_at_once_are_refused(place: Place) -> None:
    with pytest.raises(AbsentError, match="no rollout is under way"):
        flow.roll_out(place.workplace.project_file)
    rollouts.start(
        place.ledger,
        place.registry,
        2,
        settings=place.project.rollout.model_copy(update={"hours": 1.0}),
        actor="ada",
        reason="first",
        expected_champion=1,
    )
    with pytest.raises(ConflictError, match="version 2 is being rolled out"):
        flow.roll_out(place.workplace.project_file, version=2)


def test_a_winner_starts_a_rollout_in_place_of_a_promotion(write_project: WriteProject) -> None:
    file = write_project("tree", rollout=CANARY)
    first = train(file)
    assert (first.promoted, first.rollout) == (True, None)
    state = train(write_project("linear", rollout=CANARY), return_state=True)
    second = state.result()
    place = open_place(file)
    assert (second.version, second.promoted, champion(place)) == (2, False, 1)
    assert second.rollout is not None
    assert "Version 2 answers 0.1 of the requests instead of version 1" in str(state.message)
    again = train(file.parent / "tiltyard.yaml")
    assert (again.repeated, again.rollout) == (True, second.rollout)
    rollouts.promote(place.ledger, place.registry, second.rollout, actor="server", reason="it held")
    after = train(file.parent / "tiltyard.yaml")
    assert (after.repeated, after.promoted, champion(place)) == (True, True, 2)
    assert len([entry for entry in place.ledger.entries() if entry.kind == "rollout_started"]) == 1


@pytest.mark.exhaustive
def test_a_winner_waits_while_another_version_is_being_rolled_out(write_project: WriteProject) -> None:
    file = write_project("tree", rollout=CANARY)
    train(file)
    place = open_place(file)
    place.registry.client.create_model_version("churn", source="file:///nowhere")
    rollouts.start(
        place.ledger,
        place.registry,
        2,
        settings=place.project.rollout,
        actor="ada",
        reason="by hand",
        expected_champion=1,
    )
    outcome = train(write_project("linear", rollout=CANARY))
    assert (outcome.version, outcome.promoted, outcome.rollout) == (3, False, None)
    assert "version 2 is being rolled out" in outcome.held
    found = latest(place.ledger.entries())
    assert found is not None
    assert (found.version, found.is_standing) == (2, True)
