import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import free_port
from tests.registry.conftest import CONTRACT
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import RegistryError
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.metrics import Task
from tiltyard.registry.client import Registry, connect
from tiltyard.registry.models import champion, models
from tiltyard.registry.records import ChildRun, TrackedRun
from tiltyard.registry.requirements import git_tags, pip_requirements
from tiltyard.registry.signature import DatasetFacts, input_example, signature_of
from tiltyard.registry.tracking import RunContent, end_run, log_content, log_run, start_run

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture
def content(tmp_path: Path) -> RunContent:
    """Everything a training run logs, three trials included."""
    card = tmp_path / "card.html"
    card.write_text("<h1>card</h1>")
    plots = tmp_path / "plots"
    plots.mkdir()
    (plots / "roc.png").write_bytes(b"png")
    trials = [
        ChildRun(name=f"{number:04d} forest", parameters={"depth": number}, metrics={"roc_auc": 0.9}, seconds=1.5)
        for number in range(3)
    ]
    return RunContent(
        params={"seed": 42, "none": None},
        metrics={"roc_auc": 0.91, "undefined": float("nan")},
        tags={"mlflow.source.git.commit": "abc"},
        dataset=DatasetFacts(name="churn.csv", uri="data/churn.csv", fingerprint="f" * 64, rows=200, columns=3),
        contract=CONTRACT,
        artifacts={"reports/card.html": card, "plots": plots},
        children=trials,
        description="What the run was for.",
    )


def test_a_run_holds_what_was_logged(registry: Registry, name: str, content: RunContent) -> None:
    tracked = log_run(registry, name, "key-1", content, name="training")
    run = registry.client.get_run(tracked.run)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "42"}
    assert run.data.metrics == {"roc_auc": 0.91}
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    assert run.data.tags["mlflow.note.content"] == "What the run was for."
    assert run.inputs is not None
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("churn.csv", "f" * 36)
    assert json.loads(dataset.profile or "")["num_rows"] == 200
    listed = [registry.client.list_artifacts(run.info.run_id, folder) for folder in ("reports", "plots")]
    paths = {file.path for files in listed for file in files}
    assert paths == {"reports/card.html", "plots/roc.png"}
    assert tracked.url.startswith(registry.tracking_uri) is registry.is_server


def children(registry: Registry, tracked: TrackedRun) -> list[str]:
    """Names of the trials of a run, by time."""
    runs = registry.client.search_runs(
        [tracked.experiment], f"tags.`mlflow.parentRunId` = '{tracked.run}'", order_by=["attributes.start_time ASC"]
    )
    assert {run.info.status for run in runs} == {"FINISHED"}
    return [run.info.run_name for run in runs]


def test_logging_again_doubles_nothing(registry: Registry, name: str, content: RunContent) -> None:
    first = log_run(registry, name, "key-1", content, name="training")
    again = log_run(registry, name, "key-1", replace(content, params={"seed": 7}), name="training")
    assert again.run == first.run
    assert (first.found, again.found) == (False, True)
    assert children(registry, first) == [f"{number:04d} forest" for number in range(3)]
    assert len(registry.client.get_metric_history(first.run, "roc_auc")) == 1
    assert registry.client.get_run(first.run).data.params == {"seed": "42"}


def test_of_very_many_trials_the_first_get_a_page(
    embedded: Registry,
    name: str,
    content: RunContent,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tiltyard.registry.tracking.MOST_CHILDREN", 2)
    tracked = log_run(embedded, name, "key-1", content, name="training")
    assert len(children(embedded, tracked)) == 2
    assert embedded.client.get_run(tracked.run).data.tags["tiltyard.trials"] == "2 of 3 logged"
    assert capsys.readouterr().out == ""


def test_cut_off_between_trials_the_rest_is_logged(
    registry: Registry, name: str, content: RunContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = start_run(registry, name, "key-1", name="training")
    ended: list[object] = []

    def cut(*arguments: object, **_: object) -> None:
        ended.append(arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry.client, "set_terminated", cut)
        with pytest.raises(KeyboardInterrupt):
            log_content(registry, tracked, content)
    log_content(registry, tracked, content)
    assert len(ended) == 1
    assert len(children(registry, tracked)) == 3


def test_another_key_is_another_run_and_a_failed_one_says_so(embedded: Registry, name: str) -> None:
    first = start_run(embedded, name, "key-1", name="one")
    other = start_run(embedded, name, "key-2", name="two")
    assert first.run != other.run
    end_run(embedded, other, finished=False)
    assert embedded.client.get_run(other.run).info.status == "FAILED"


def test_a_deleted_experiment_is_explained(embedded: Registry, name: str) -> None:
    embedded.client.delete_experiment(embedded.experiment(name))
    with pytest.raises(RegistryError, match=r"was deleted in MLflow.*mlflow experiments restore"):
        embedded.experiment(name)


def test_an_artifact_must_keep_its_name(embedded: Registry, name: str, content: RunContent) -> None:
    tracked = start_run(embedded, name, "key-1", name="one")
    wrong = replace(content, artifacts={"reports/other.html": content.artifacts["reports/card.html"]})
    with pytest.raises(RegistryError, match=r"must keep the name of its file, `card.html`"):
        log_content(embedded, tracked, wrong)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield int(server.getsockname()[1])


def test_with_no_server_the_error_comes_soon_and_names_the_cure() -> None:
    registry = Registry(f"http://user:secret@127.0.0.1:{free_port()}")
    start = time.monotonic()
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI") as caught:
        champion(registry, "churn")
    assert time.monotonic() - start < 8
    assert "secret" not in str(caught.value)


def test_a_server_that_hangs_is_given_up(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with pytest.raises(RegistryError, match="MLFLOW_TRACKING_URI"):
        models(Registry(f"http://127.0.0.1:{silent_port}"))


def test_a_project_has_its_own_registry_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = connect(Workplace(tmp_path / "tiltyard.yaml", Environment()))
    assert registry.tracking_uri == f"sqlite:///{tmp_path}/.tiltyard/mlflow.db"
    assert not registry.is_server
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_requirements_are_exact_and_git_is_found_or_not(tmp_path: Path) -> None:
    assert all("==" in requirement for requirement in pip_requirements())
    assert any(requirement.startswith("scikit-learn==") for requirement in pip_requirements())
    assert git_tags(tmp_path) == {}
    assert set(git_tags(Path(__file__).parent)) <= {
        "mlflow.source.git.commit",
        "mlflow.source.git.branch",
        "tiltyard.git_changed",
    }


def test_every_kind_has_a_place_in_signature_and_example() -> None:
    columns = [Column(name=kind, kind=kind, nullable=True) for kind in Kind]
    contract = Contract(task=Task.REGRESSION, columns=(*columns, Column(name="y", kind=Kind.NUMBER, role=Role.TARGET)))
    frame = pd.DataFrame(
        {
            "number": [1.0, None],
            "integer": pd.array([1, None], dtype="Int64"),
            "boolean": pd.array([True, None], dtype="boolean"),
            "category": pd.array(["a", None], dtype=pd.StringDtype("pyarrow")),
            "text": pd.array(["a b", None], dtype=pd.StringDtype("pyarrow")),
            "time": pd.Series(["2026-01-01", None], dtype="datetime64[us]"),
        }
    )
    types = [spec["type"] for spec in signature_of(contract).inputs.to_dict()]
    assert types == ["double", "double", "boolean", "string", "string", "datetime"]
    example = input_example(frame, contract)
    assert example["boolean"].tolist() == [True, None]
    assert example["category"].tolist() == ["a", None]
    assert str(example["integer"].dtype) == "float64"
