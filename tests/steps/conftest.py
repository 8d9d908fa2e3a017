"""A small project and its training run by the plain steps, without Prefect."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.contract_file import dump_contract
from tiltyard.project.metrics import Task
from tiltyard.steps import bundling, champion, data, judging, promoting, registering, taking_over, training
from tiltyard.steps.registering import Registered
from tiltyard.steps.run import TrainingRun, assign, identify

ROWS = 240


class Trained(NamedTuple):
    """A finished run."""

    run: TrainingRun
    registered: Registered


def table(rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    """Return a table that a straight line separates, with a city that matters and a name that does not."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 2))
    frame = pd.DataFrame(numbers.round(6), columns=["usage", "debt"])
    frame["age"] = rng.integers(18, 80, rows)
    frame["city"] = rng.choice(["Zollikofen", "Ostermundigen", "Winterthur"], rows)
    frame["seen"] = [f"{day:02d}.{month:02d}.2026" for day, month in rng.integers(1, 13, (rows, 2))]
    frame["name"] = [f"Persona{number}" for number in range(rows)]
    score = numbers @ [2.0, -2.0] + 2 * (frame["city"] == "Winterthur") + (frame["age"] - 50) / 20
    frame["left"] = np.where(score + rng.normal(size=rows) > 0, "yes", "no")
    return frame


def contract() -> Contract:
    """Return the table's contract."""
    cities = ("Zollikofen", "Ostermundigen", "Winterthur")
    columns = (
        Column(name="usage", kind=Kind.NUMBER),
        Column(name="debt", kind=Kind.NUMBER, nullable=True),
        Column(name="age", kind=Kind.INTEGER, minimum=18, maximum=79),
        Column(name="city", kind=Kind.CATEGORY, levels=cities, nullable=True),
        Column(name="seen", kind=Kind.TIME, time_format="%d.%m.%Y", nullable=True),
        Column(name="name", kind=Kind.TEXT, role=Role.DROPPED),
        Column(name="left", kind=Kind.CATEGORY, levels=("no", "yes"), role=Role.TARGET),
    )
    return Contract(task=Task.BINARY, columns=columns, classes=("no", "yes"))


def write_project(folder: Path, family: str, protect: Mapping[str, object] | None = None) -> Path:
    """Write a project that searches one family with one trial; returns its file."""
    table().to_csv(folder / "data.csv", index=False)
    named = {"protect": dict(protect)} if protect else {"drop": ["name"]}
    content = {
        "name": "churn",
        "task": {"kind": "binary", "positive": "yes"},
        "data": {"source": "data.csv", "target": "left", **named},
        "search": {"families": [family], "trials": 1, "folds": 2, "workers": 1},
    }
    file = folder / "tiltyard.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    (folder / "contract.yaml").write_text(dump_contract(contract()), encoding="utf-8")
    return file


def train(file: Path) -> Trained:
    """Run the steps of a first training run, as the flow does."""
    assignment = assign(file, seconds=None, trials=1, reason="a test")
    run = identify(assignment, data.read_table(assignment))
    found = champion.find_opponent(run)
    data.check(run, found, data.examine(run))
    parts = data.split(run)
    result = training.tune(run)
    fitted = training.fit_winner(run, result)
    evaluation = judging.evaluate_models(run, fitted, found)
    bundle = bundling.build(run, fitted)
    verification = bundling.verify(run, bundle)
    registered = registering.register(
        run, parts=parts, result=result, fitted=fitted, scorecard=evaluation.challenger, bundle=bundle
    )
    verdict = judging.gate(run, evaluation, verification, bundle.manifest.size_bytes)
    promoting.document(run, fitted=fitted, parts=parts, registered=registered, evaluation=evaluation, verdict=verdict)
    taking_over.crown(run, registered, evaluation, verdict)
    return Trained(run, registered)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TILTYARD_HOME", "TILTYARD_STORE", "MLFLOW_TRACKING_URI", "TILTYARD_PROTECT_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def trained_linear(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A project with a linear champion."""
    return _trained(tmp_path_factory, "linear")


@pytest.fixture(scope="session")
def trained_boosting(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A project with a boosting champion."""
    return _trained(tmp_path_factory, "boosting")


def _trained(factory: pytest.TempPathFactory, family: str) -> Trained:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TILTYARD_HOME", "TILTYARD_STORE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        return train(write_project(factory.mktemp(family), family))
