"""MLflow's own client, unmodified, against a running server; and MLflow's own server asked the same questions."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from tests.conftest import free_port, wait_until_healthy
from tests.data.test_routes import CONTRACTS_AND_ROWS, Rows, write_csv, write_parquet
from tests.protocols.models import STAYS, write_models
from tests.serving.servers import Server, eventually, running
from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.reading import Reader, Typed
from tiltyard.data.contract import Contract
from tiltyard.serving.protocols.frames import Bounds, Frame, Sent, from_csv, from_json, from_parquet
from tiltyard.serving.protocols.invocations import MLFLOW_VERSION

KINDS = {"json": "application/json", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@pytest.fixture(scope="module")
def client_at() -> Callable[[str], Any]:
    """Return what makes a client of an address without `http://`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing it warns of its own type hints
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient  # noqa: PLC0415
    return lambda address: ScoringServerClient(*address.split(":"))  # type: ignore[no-untyped-call]


def own_answers(server: Server, model: str, rows: Rows) -> list[object]:
    answer = server.client.post(f"/v1/models/{model}/predict", json={"rows": rows}).raise_for_status()
    return [entry["prediction"] for entry in answer.json()["predictions"]]


def test_the_client_of_mlflow_is_answered(server: Server, client_at: Callable[[str], Any]) -> None:
    client = client_at(f"127.0.0.1:{server.port}")
    client.wait_server_ready(timeout=30)
    client.ping()
    assert client.get_version() == MLFLOW_VERSION
    client = client_at(f"127.0.0.1:{server.port}/v1/models/stays")
    frame = pd.DataFrame(STAYS)
    assert frame["visits"].isna().any()
    assert client.invoke(frame).get_predictions()[0].tolist() == own_answers(server, "stays", STAYS)
    typed = frame.assign(seen=pd.to_datetime(frame["seen"], format="ISO8601"))
    assert client.invoke(typed).get_predictions()[0].tolist() == own_answers(server, "stays", STAYS)
    told = client.invoke(frame, params={"probabilities": True}).get_predictions()
    assert set(told["probabilities"].iloc[0]) == {"0", "1"}
    with pytest.raises(Exception, match=r"error code 400.*`age` is not a number"):
        client.invoke(frame.assign(age="much"))


def test_the_same_rows_are_answered_alike_however_they_are_sent(server: Server) -> None:
    numbers = {"age": lambda table: table["age"].map(lambda age: repr(float(age)).replace(".", ","))}
    frame = pd.DataFrame(STAYS)
    bodies = {
        "json": json.dumps({"dataframe_records": STAYS}).encode(),
        "csv": frame.astype({"visits": "Int64"}).assign(**numbers).to_csv(index=False, sep=";").encode(),
        "parquet": frame.to_parquet(),
    }
    expected = own_answers(server, "stays", STAYS)
    for form, body in bodies.items():
        answer = server.client.post("/v1/models/stays/invocations", content=body, headers={"content-type": KINDS[form]})
        assert (answer.status_code, answer.json()) == (200, {"predictions": expected}), form
        assert answer.headers["x-prediction-id"]


def typed_by(contract: Contract, sent: Sent) -> Typed:
    reader, table = Reader(contract, Encoder.of(contract)), sent.table
    return reader.type_columns(*table) if isinstance(table, Frame) else reader.type(table)


@settings(max_examples=60, deadline=None)
@given(CONTRACTS_AND_ROWS)
def test_a_row_is_typed_alike_from_json_csv_and_parquet(drawn: tuple[Contract, Rows]) -> None:
    contract, rows = drawn
    bounds = Bounds(tuple(column.name for column in contract.features), (), 100, 1 << 24)
    split = pd.DataFrame(rows, dtype=object).to_dict(orient="split")
    spelt = json.dumps({"dataframe_split": split}, default=lambda moment: moment.isoformat()).encode()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_csv(rows, contract, folder)
        write_parquet(rows, contract, folder)
        sent = {
            "json": from_json(spelt, bounds),
            "csv": from_csv((folder / "table.csv").read_bytes(), bounds),
            "parquet": from_parquet((folder / "table.parquet").read_bytes(), bounds),
        }
    expected = Reader(contract, Encoder.of(contract)).type(rows)
    for form, one in sent.items():
        typed = typed_by(contract, one)
        np.testing.assert_array_equal(typed.matrix, expected.matrix, err_msg=form)
        assert [list(row) for row in typed.logged()] == [list(row) for row in expected.logged()], form


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with one model."""
    folder = tmp_path_factory.mktemp("alone")
    plan = write_models(folder)
    away = f"http://127.0.0.1:{free_port()}"
    with running(folder / "home", names="churn", tracking_uri=away, plan=plan, poll=30.0) as made:
        eventually(made.ready)
        yield made


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server, with a model of the same columns."""
    folder, port = tmp_path_factory.mktemp("peer"), free_port()
    subprocess.run([sys.executable, "-W", "ignore", "-c", _SAVE, str(folder / "model")], check=True, cwd=folder)
    program = str(Path(sys.executable).with_name("mlflow"))
    command = [program, "models", "serve", "-m", str(folder / "model"), "-p", str(port), "--env-manager", "local"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with (folder / "log").open("ab") as log:
        environment = {**os.environ, "PATH": path}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/ping", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


_SAVE = """
import sys
import mlflow.sklearn
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn.dummy import DummyClassifier
kinds = {"age": "double", "plan": "string", "region": "string", "visits": "double", "seen": "string"}
columns = [ColSpec(kind, name, required=name == "age") for name, kind in kinds.items()]
model = DummyClassifier(strategy="most_frequent").fit(pd.DataFrame({"age": [1.0, 2.0]}), [True, True])
signature = ModelSignature(Schema(columns))
mlflow.sklearn.save_model(model, sys.argv[1], signature=signature, serialization_format="cloudpickle")
"""
ROW = {"age": 41.0, "plan": "basic", "region": None, "visits": 3.0, "seen": "2026-11-20T10:00:00Z"}
SPLIT = {"columns": list(ROW), "data": [list(ROW.values())]}
JSONS: dict[str, object] = {
    "split": {"dataframe_split": SPLIT},
    "split with an index": {"dataframe_split": {**SPLIT, "index": [7]}},
    "records": {"dataframe_records": [ROW]},
    "inputs of columns": {"inputs": {name: [value] for name, value in ROW.items()}},
    "instances of rows": {"instances": [ROW]},
    "another order and a column more": {"dataframe_records": [{"more": 1, **dict(reversed(ROW.items()))}]},
    "parameters": {"dataframe_records": [ROW], "params": {"temperature": 1}},
    "a list": [ROW],
    "no key": {"rows": [ROW]},
    "two keys": {"inputs": [ROW], "instances": [ROW]},
    "a bare matrix of inputs": {"inputs": [[1.0, 2.0]]},
    "a bare matrix of instances": {"instances": [[1.0, 2.0]]},
    "a missing column": {"dataframe_records": [{"plan": "basic"}]},
    "a text for a number": {"dataframe_records": [{**ROW, "age": "much"}]},
    "records of one row": {"dataframe_records": ROW},
    "split with another key": {"dataframe_split": {**SPLIT, "names": []}},
    "split without data": {"dataframe_split": {"columns": ["age"]}},
    "no rows": {"dataframe_records": []},
}
BODIES: dict[str, tuple[bytes, str | None]] = {
    **{name: (json.dumps(content).encode(), KINDS["json"]) for name, content in JSONS.items()},
    "no json": (b"{", KINDS["json"]),
    "no utf-8": (b'{"inputs": "\xff"}', KINDS["json"]),
    "csv": (pd.DataFrame([ROW]).to_csv(index=False).encode(), KINDS["csv"]),
    "parquet": (pd.DataFrame([ROW]).to_parquet(), KINDS["parquet"]),
    "no parquet": (b"PAR1", KINDS["parquet"]),
    "utf-8": (json.dumps({"inputs": [ROW]}).encode(), "application/json; charset=utf-8"),
    "latin-1": (b"{}", "application/json; charset=latin-1"),
    "a parameter": (b"{}", "application/json; format=pandas-split"),
    "text": (b"x", "text/plain"),
}
PATHS = [("GET", "/ping"), ("GET", "/health"), ("GET", "/version"), ("POST", "/ping"), ("GET", "/invocations")]


@pytest.mark.exhaustive
def test_the_server_of_mlflow_answers_alike(alone: Server, peer: str) -> None:
    """Statuses, content types and codes are MLflow's, whatever is sent."""
    with httpx.Client(base_url=peer, timeout=60) as theirs:
        for name, (body, kind) in BODIES.items():
            headers = {} if kind is None else {"content-type": kind}
            answers = [client.post("/invocations", content=body, headers=headers) for client in (theirs, alone.client)]
            assert answers[0].status_code == answers[1].status_code, (name, [answer.text for answer in answers])
            kinds = [answer.headers["content-type"].partition(";")[0] for answer in answers]
            assert kinds[0] == kinds[1], name
            if kinds[0] == "application/json":
                keys = [set(answer.json()) - {"sqlstate", "error_class", "stack_trace"} for answer in answers]
                assert keys[0] == keys[1], name
                assert answers[1].json().get("error_code") in {None, "BAD_REQUEST", "INVALID_PARAMETER_VALUE"}
        for method, path in PATHS:
            answers = [client.request(method, path) for client in (theirs, alone.client)]
            assert answers[0].status_code == answers[1].status_code, (method, path)
            if answers[0].status_code == 200:
                assert answers[0].content == answers[1].content
                assert answers[0].headers["content-type"] == answers[1].headers["content-type"]
        bare = [client.post("/invocations", content=b'{"inputs": {"age": [1]}}') for client in (theirs, alone.client)]
        assert [answer.status_code for answer in bare] == [500, 200]


@pytest.mark.exhaustive
def test_the_client_of_mlflow_is_answered_at_the_short_address(alone: Server, client_at: Callable[[str], Any]) -> None:
    client = client_at(f"127.0.0.1:{alone.port}")
    client.wait_server_ready()
    assert len(client.invoke(pd.DataFrame([ROW, ROW])).get_predictions()) == 2
