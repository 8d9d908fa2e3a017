"""A small project whose champion and challengers differ plainly, run against a real Prefect server."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from prefect.events.worker import EventsWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_LEVEL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.contract_file import dump_contract
from tiltyard.project.metrics import Task


@pytest.fixture(scope="session", autouse=True)
def on_prefect_server(prefect_server: str) -> Iterator[str]:
    """Let every flow of these tests run on the real server."""
    quiet = {PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_LOGGING_TO_API_ENABLED: False}
    with temporary_settings({PREFECT_API_URL: prefect_server, **quiet}):
        yield prefect_server


@pytest.fixture(scope="module", autouse=True)
def telling_this_server(on_prefect_server: str) -> None:  # noqa: ARG001  # what is meant
    """Let no connection for events outlive the server of the test that made it: what it is told is lost."""
    EventsWorker.drain_all(timeout=30, at_exit=False)


def table(rows: int = 600, seed: int = 1) -> pd.DataFrame:
    """Return a table that a straight line separates well and a shallow tree badly."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 4))
    plan = rng.choice(["basic", "plus", "pro"], size=rows)
    logit = numbers @ [1.5, -1.5, 1.5, 1.0] + (plan == "pro")
    frame = pd.DataFrame(numbers.round(6), columns=["usage", "age", "debt", "visits"])
    frame["plan"] = plan
    frame["left"] = np.where(rng.random(rows) < 1 / (1 + np.exp(-2 * logit)), "yes", "no")
    return frame


def contract() -> Contract:
    """Return the table's contract."""
    numbers = [Column(name=name, kind=Kind.NUMBER) for name in ("usage", "age", "debt", "visits")]
    plan = Column(name="plan", kind=Kind.CATEGORY, levels=("basic", "plus", "pro"))
    left = Column(name="left", kind=Kind.CATEGORY, levels=("no", "yes"), role=Role.TARGET)
    return Contract(task=Task.BINARY, columns=(*numbers, plan, left), classes=("no", "yes"))


class Warm:
    """The process of `warm.py`: trainings that are to end badly, without importing everything for each."""

    def __init__(self, prefect_api: str) -> None:
        root = Path(__file__).parents[2]
        environment = os.environ | {"PREFECT_API_URL": prefect_api, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        environment |= {"PREFECT_LOGGING_TO_API_ENABLED": "false", "PYTHONPATH": str(root)}
        command = [sys.executable, str(Path(__file__).with_name("warm.py"))]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def train(self, project: Path, **order: object) -> tuple[int, str]:
        """Train in a child; return its exit code (or minus the signal) and what it wrote."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"project": str(project), **order}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer["status"], answer["error"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


@pytest.fixture(scope="session")
def warm(on_prefect_server: str) -> Iterator[Warm]:
    """A process that is ready to train."""
    process = Warm(on_prefect_server)
    yield process
    process.close()


WriteProject = Callable[..., Path]


def write_project_in(folder: Path, *families: str, trials: int = 2, **sections: object) -> Path:
    """Write (or rewrite) the project with some families; its table stays. Returns the project file."""
    file = folder / "tiltyard.yaml"
    if not (folder / "data.csv").exists():
        table().to_csv(folder / "data.csv", index=False)
    content = {
        "name": "churn",
        "task": {"kind": "binary", "positive": "yes"},
        "data": {"source": "data.csv", "target": "left"},
        "search": {"families": list(families), "trials": trials, "folds": 2, "workers": 1},
        **sections,
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    (folder / "contract.yaml").write_text(dump_contract(contract()), encoding="utf-8")
    return file


@pytest.fixture
def write_project(tmp_path: Path) -> WriteProject:
    """Return a function that writes (or rewrites) the project with some families; yields the project file."""
    return functools.partial(write_project_in, tmp_path)
