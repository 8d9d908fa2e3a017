"""Tiltyard and its peers: how each is started, where it is asked, and how the rows travel."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.serving import payloads
from benchmarks.serving.environments import PEERS, AbsentPeerError, nginx, python_of
from benchmarks.serving.request_cost import make_slot
from tiltyard.serving.plan import Plan, write_plan

PROJECT = """\
name: shop
task:
  kind: binary
data:
  source: shop.csv
  target: bought
"""
NGINX = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{answer}'; }} }}
}}
"""
ANSWER = '{"model":"shop","version":1,"predictions":[{"prediction":"no","probabilities":{"no":0.75,"yes":0.25}}]}'

Start = Callable[[Path, int], tuple[list[str], Mapping[str, str]]]


@dataclass(frozen=True)
class Contender:
    """A server that takes part.

    Attributes:
        name: How the table calls it.
        start: Prepares a folder and returns the command and what it adds to the environment, by folder and port.
        path: Where it is asked.
        wrap: Rows → content of a request.
        answers: Content of an answer → number of answered rows.
    """

    name: str
    start: Start
    path: str
    wrap: Callable[[Sequence[payloads.Row]], Any] = payloads.row_list
    answers: Callable[[Any], int] = field(default=lambda content: len(content["probabilities"]))


def _tiltyard(folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    (folder / "tiltyard.yaml").write_text(PROJECT)
    plan = folder / "home" / "serving" / f"port-{port}" / "plan.json"
    plan.parent.mkdir(parents=True)
    write_plan(plan, Plan(models={"shop": make_slot(folder)}))
    command = [
        sys.executable,
        "-m",
        "tiltyard",
        "serve",
        "--project",
        str(folder / "tiltyard.yaml"),
        "--port",
        str(port),
    ]
    return command, {"TILTYARD_HOME": str(folder / "home"), "PYTHONPATH": str(Path.cwd())}


def _mlflow(folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    python = _trained("mlflow", folder)
    command = [str(python), "-m", "mlflow", "models", "serve", "-m", str(folder / "mlflow-model")]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    return command, {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": _path(python)}


def _mlserver(folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    python = _trained("mlserver", folder)
    model = {
        "name": "shop",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(folder / "model.joblib"), "version": "1"},
    }
    ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
    settings = {"host": "127.0.0.1", "parallel_workers": 0, "debug": False, "metrics_dir": str(folder), **ports}
    (folder / "model-settings.json").write_text(json.dumps(model))
    (folder / "settings.json").write_text(json.dumps(settings))
    return [str(python.parent / "mlserver"), "start", str(folder)], {"PATH": _path(python)}


def _bentoml(folder: Path, port: int, batching: str) -> tuple[list[str], Mapping[str, str]]:
    python = _trained("bentoml", folder)
    command = [str(python), "-m", "bentoml", "serve", "bentoml_service:Shop", "--working-dir", str(PEERS)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    told = {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(folder / "home"), "BATCHING": batching}
    return command, {**told, "MODEL_FOLDER": str(folder), "PATH": _path(python)}


def _fastapi(folder: Path, port: int, module: str) -> tuple[list[str], Mapping[str, str]]:
    python = _trained("fastapi", folder)
    if module == "fastapi_onnx":
        _write_graph(folder)
    command = [str(python), "-m", "uvicorn", f"{module}:app", "--app-dir", str(PEERS), "--port", str(port)]
    return [*command, "--no-access-log", "--log-level", "warning"], {"MODEL_FOLDER": str(folder)}


def _nginx(folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, answer=ANSWER))
    return [nginx(), "-c", str(folder / "nginx.conf"), "-p", str(folder)], {}


def _path(python: Path) -> str:
    return os.pathsep.join([str(python.parent), os.environ["PATH"]])


def _trained(peer: str, folder: Path) -> Path:
    """Fit the model in a peer's environment; return its interpreter."""
    python = python_of(peer)
    rows = payloads.make_rows(2_000)
    (folder / "table.json").write_text(json.dumps({"rows": rows, "target": _target(rows).tolist()}))
    done = subprocess.run(
        [str(python), str(PEERS / "train.py"), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AbsentPeerError(f"its model cannot be trained: {done.stderr.strip().splitlines()[-1][:200]}")
    return python


def _target(rows: Sequence[payloads.Row]) -> Any:
    return np.array([int(row["number4"] + (row["category1"] in {"level4", "level5"}) > 0.5) for row in rows])


def _write_graph(folder: Path) -> None:
    """Convert the same pipeline, with two grouped inputs."""
    rows = payloads.make_rows(2_000)
    table = np.array(
        [[np.nan if value is None and name < "n" else value for name, value in row.items()] for row in rows],
        dtype=object,
    )
    table[:, :8] = table[:, :8].astype(float)
    table[:, 8:] = np.where(table[:, 8:] == None, "missing", table[:, 8:])  # noqa: E711  # element by element
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, list(range(8))),
            ("categories", OneHotEncoder(handle_unknown="ignore"), list(range(8, 14))),
        ]
    )
    model = make_pipeline(prepare, LogisticRegression(max_iter=1_000)).fit(table, _target(rows))
    inputs = [("numbers", FloatTensorType([None, 8])), ("categories", StringTensorType([None, 6]))]
    graph = convert_sklearn(model, initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset=17)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())


TILTYARD = "Tiltyard"
NGINX_NAME = "nginx, constant answer"
CONTENDERS = (
    Contender(TILTYARD, _tiltyard, "/v1/models/shop/predict", answers=lambda content: len(content["predictions"])),
    Contender(
        "mlflow models serve", _mlflow, "/invocations", payloads.split, lambda content: len(content["predictions"])
    ),
    Contender(
        "MLServer",
        _mlserver,
        "/v2/models/shop/infer",
        payloads.tensors,
        lambda content: int(content["outputs"][0]["shape"][0]),
    ),
    Contender("BentoML", lambda folder, port: _bentoml(folder, port, "0"), "/predict", answers=len),
    Contender("BentoML, adaptive batching", lambda folder, port: _bentoml(folder, port, "1"), "/predict", answers=len),
    Contender("FastAPI + pandas + sklearn", lambda folder, port: _fastapi(folder, port, "fastapi_pandas"), "/predict"),
    Contender("FastAPI + ONNX Runtime", lambda folder, port: _fastapi(folder, port, "fastapi_onnx"), "/predict"),
    Contender(NGINX_NAME, _nginx, "/", answers=lambda _: 0),
)
