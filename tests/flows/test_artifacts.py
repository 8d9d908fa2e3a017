"""What a person sees of a training run in Prefect: names, artifacts, how it ended, and the way to MLflow and back."""

import base64
import json
import time
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact

from flows.training import train
from tasks import artifacts
from tests.flows.conftest import write_project_in
from tiltyard.registry import models
from tiltyard.steps.place import open_place
from tiltyard.steps.run import TrainingOutcome


class Seen(NamedTuple):
    """A finished training run as Prefect knows it."""

    outcome: TrainingOutcome
    message: str
    name: str
    tasks: set[str]
    artifacts: dict[str, Artifact]
    tags: dict[str, str]


def artifacts_of(flow_run: UUID) -> dict[str, Artifact]:
    """Return the artifacts of a flow run by key, each once."""
    same = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
    with get_client(sync_client=True) as client:
        found = [one for one in client.read_artifacts(artifact_filter=same) if one.key]
    assert len({one.key for one in found}) == len(found)
    return {str(one.key): one for one in found}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, mlflow_server: str, on_prefect_server: str) -> Seen:  # noqa: ARG001  # the flow runs there
    """A first champion, on a real MLflow server."""
    file = write_project_in(tmp_path_factory.mktemp("seen"), "tree")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        patch.setattr(artifacts, "EVERY_SECONDS", 0.1)
        state: Any = train(file, reason="first of all", return_state=True)
        outcome = state.result()
        run = UUID(str(state.state_details.flow_run_id))
        with get_client(sync_client=True) as client:
            name = client.read_flow_run(run).name
            tasks = tasks_of(client, run)
        place = open_place(file)
        champion = models.champion(place.registry, "churn")
        assert champion is not None
        tags = dict(models.version(place.registry, champion).tags)
    return Seen(outcome, state.message, name, tasks, artifacts_of(run), tags)


def tasks_of(client: SyncPrefectClient, run: UUID) -> set[str]:
    """Return the names of a finished run's tasks; Prefect writes them down some time after the run's end."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    deadline = time.monotonic() + 60
    while True:
        names = {task.name for task in client.read_task_runs(flow_run_filter=wanted, limit=50)}
        if "Promote" in names or time.monotonic() > deadline:
            return names
        time.sleep(0.2)


def test_names_and_the_end_are_words(seen: Seen) -> None:
    assert seen.name == "churn: first of all"
    assert {"Read the table", "Tune the families", "Judge", "Promote"} <= seen.tasks
    assert seen.message.startswith("Version 1 is the champion. Passed.")


def test_every_artifact_is_there_once(seen: Seen) -> None:
    kinds = {key: artifact.type for key, artifact in seen.artifacts.items()}
    assert kinds == {
        "churn-validation": "markdown",
        "churn-search": "progress",
        "churn-leaderboard": "table",
        "churn-scores": "image",
        "churn-verdict": "markdown",
        "churn-mlflow-run": "markdown",
        "churn-model-card": "markdown",
    }
    assert seen.artifacts["churn-verdict"].description == seen.outcome.verdict.sentence
    assert seen.outcome.verdict.sentence in str(seen.artifacts["churn-verdict"].data)
    assert seen.artifacts["churn-search"].data == 100.0


def test_leaderboard_and_picture_can_be_shown(seen: Seen) -> None:
    rows = json.loads(str(seen.artifacts["churn-leaderboard"].data))
    assert [row["Rank"] for row in rows] == ["1", "2"]
    kind, _, picture = str(seen.artifacts["churn-scores"].data).partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture).startswith(b"\x89PNG")


def test_the_two_uis_are_linked(seen: Seen, mlflow_server: str, on_prefect_server: str) -> None:
    link = str(seen.artifacts["churn-mlflow-run"].data)
    assert f"({mlflow_server}/#/experiments/" in link
    assert str(seen.outcome.mlflow_run) in link
    run = seen.artifacts["churn-verdict"].flow_run_id
    assert seen.tags["tiltyard.flow_run"] == f"{on_prefect_server.removesuffix('/api')}/v2/runs/flow-run/{run}"
