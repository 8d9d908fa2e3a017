"""Protection from the table to every answer: nothing in the clear is kept, and every door protects alike."""

import csv
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.steps.conftest import Trained, contract, table, train, write_project
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.rows import rows_to_columns
from tiltyard.errors import ProjectError
from tiltyard.serving.following import PlanFollower
from tiltyard.serving.handler import handle
from tiltyard.serving.plan import Plan, SlotPlan, write_plan
from tiltyard.serving.requests import Request
from tiltyard.serving.settings import WorkerSettings
from tiltyard.serving.slots import Served
from tiltyard.steps.data import load_table
from tiltyard.steps.scoring import score_table

KEY = "a long random text"
PROTECT = {"city": "hash", "age": {"coarsen": 10}, "seen": {"coarsen": "month"}, "name": "drop"}
SECRETS = (*contract().column("city").levels, "Persona", KEY)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """A project with protected columns and its champion; its key is in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILTYARD_PROTECT_KEY", KEY)
        for name in ("TILTYARD_HOME", "TILTYARD_STORE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield train(write_project(tmp_path_factory.mktemp("protected"), "linear", PROTECT))


@pytest.fixture(autouse=True)
def key(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is in the environment, unless a test takes it away."""
    del trained
    monkeypatch.setenv("TILTYARD_PROTECT_KEY", KEY)


def bundle(trained: Trained) -> Path:
    return trained.run.folder / "bundle"


def rows(trained: Trained) -> list[dict[str, str]]:
    """Return the rows of the source in the clear, as a client sends them."""
    return list(csv.DictReader((trained.run.project_file.parent / "data.csv").read_text().splitlines()))


def contents(file: Path) -> bytes:
    """Return what a file holds, unpacked."""
    if file.suffix == ".parquet":
        return str(pq.read_table(file).to_pydict()).encode()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            return b"".join(packed.read(name) for name in packed.namelist())
    return file.read_bytes()


def test_nothing_in_the_clear_is_kept(trained: Trained) -> None:
    files = [file for file in trained.run.workplace.home.rglob("*") if file.is_file()]
    names = {file.name for file in files}
    assert {"contract.json", "golden.json", "validation.html", "card.html", "mlflow.db", "model.skops"} <= names
    assert any("/store/datasets/" in str(file) for file in files)
    found = [(file.name, secret) for file in files for secret in SECRETS if secret.encode() in contents(file)]
    assert found == []


def test_a_row_is_encoded_alike_in_training_and_request(trained: Trained) -> None:
    runtime = Runtime.load(bundle(trained), key=KEY)
    frame = load_table(trained.run)
    typed = rows_to_columns(rows(trained), runtime.contract, KEY)
    assert typed.columns["city"].tolist() == frame["city"].tolist()
    assert typed.columns["age"].tolist() == frame["age"].tolist()
    assert (typed.columns["seen"] == frame["seen"].to_numpy()).all()
    assert (typed.unknown_levels, typed.unexpected) == ({}, ("name",))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_batch_is_answered_as_a_request_is(trained: Trained, tmp_path: Path, ending: str) -> None:
    source = trained.run.project_file.parent / "data.csv"
    score_table(trained.run.project_file, str(source), tmp_path / f"answers.{ending}", chunk_rows=50)
    content = contents(tmp_path / f"answers.{ending}")
    assert [secret for secret in SECRETS if secret.encode() in content] == []
    output = tmp_path / f"answers.{ending}"
    found = pd.read_csv(output, float_precision="round_trip") if ending == "csv" else pd.read_parquet(output)
    answers, _ = Runtime.load(bundle(trained), key=KEY).predict_rows(rows(trained))
    np.testing.assert_array_equal(found["probability_yes"].to_numpy(), answers.array[:, 1])


def test_a_protected_column_that_is_empty_in_a_chunk_keeps_its_type(trained: Trained, tmp_path: Path) -> None:
    sent = table(40, seed=3)
    sent.loc[:19, ["city", "seen"]] = None
    sent.to_csv(tmp_path / "new.csv", index=False)
    for size in (20, 40):
        score_table(trained.run.project_file, str(tmp_path / "new.csv"), tmp_path / f"{size}.parquet", chunk_rows=size)
    assert pq.read_table(tmp_path / "20.parquet").equals(pq.read_table(tmp_path / "40.parquet"))


def served(trained: Trained, folder: Path) -> Served:
    """Return what a worker with this environment answers with."""
    digest = Runtime.load(bundle(trained)).manifest.digest
    slot = SlotPlan(version=1, bundle=str(bundle(trained)), digest=digest, since=datetime(2026, 11, 20, tzinfo=UTC))
    write_plan(folder / "plan.json", Plan(models={"churn": slot}))
    settings = WorkerSettings(names=("churn",), plan=folder / "plan.json", socket=0, parent=1)
    return PlanFollower(settings).load(Served(("churn",)))


def ask(trained: Trained, folder: Path, content: dict[str, object]) -> tuple[int, bytes]:
    body = json.dumps({"rows": [content]}).encode()
    answer = handle(served(trained, folder), Request("POST", "/v1/models/churn/predict", body))
    return answer.status, answer.body


def test_a_worker_protects_and_names_a_dropped_column_without_its_value(trained: Trained, tmp_path: Path) -> None:
    row: dict[str, object] = {**rows(trained)[0]}
    status, body = ask(trained, tmp_path, row)
    assert status == 200
    assert [note["column"] for note in json.loads(body)["notes"]] == ["name"]
    answers, _ = Runtime.load(bundle(trained), key=KEY).predict_rows([row])
    assert json.loads(body)["predictions"][0]["probabilities"]["yes"] == answers.array[0, 1]
    assert not [secret for secret in SECRETS if secret.encode() in body]


@pytest.mark.parametrize(("key", "sentence"), [("", "there is no key"), ("wrong", "is not the one that `city`")])
def test_a_worker_without_the_key_refuses(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, sentence: str
) -> None:
    monkeypatch.setenv("TILTYARD_PROTECT_KEY", key)
    status, body = ask(trained, tmp_path, {**rows(trained)[0]})
    assert status == 503
    assert sentence in body.decode()
    assert "TILTYARD_PROTECT_KEY" in body.decode()
    source = trained.run.project_file.parent / "data.csv"
    with pytest.raises(ProjectError, match=sentence):
        score_table(trained.run.project_file, str(source), tmp_path / "a.csv")


def test_a_worker_tells_clients_to_send_the_clear_value(trained: Trained, tmp_path: Path) -> None:
    answer = handle(served(trained, tmp_path), Request("GET", "/v1/models/churn"))
    features = {feature["name"]: feature for feature in json.loads(answer.body)["features"]}
    assert features["city"] == {"name": "city", "kind": "category", "nullable": True, "protection": "hash"}
    assert features["seen"]["time_format"] == "%d.%m.%Y"
    assert features["age"]["protection"] == {"coarsen": 10.0}


def test_golden_rows_are_not_protected_twice(trained: Trained) -> None:
    runtime = Runtime.load(bundle(trained))
    assert runtime.replay() <= runtime.manifest.parity.tolerance
    hashes = set(runtime.contract.column("city").levels)
    assert hashes & set(runtime.golden.columns["city"])
