"""Training on what was known at a date: later rows are never seen, and nothing is promoted unless asked."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from flows.training import train
from tests.flows.conftest import WriteProject, contract, table
from tiltyard.data.as_of import read_as_of
from tiltyard.data.contract import Column, Kind, Role
from tiltyard.data.contract_file import dump_contract
from tiltyard.errors import DataError, ProjectError, UsageError
from tiltyard.registry import models
from tiltyard.steps import data
from tiltyard.steps.data import load_table
from tiltyard.steps.place import open_place
from tiltyard.steps.run import assign, identify

KNOWN = 400


@pytest.fixture
def project(write_project: WriteProject, tmp_path: Path) -> Path:
    """A project of 600 rows, one an hour; from row 400 on, the 18th, they break the contract."""
    frame = table().astype({"usage": object})
    frame["seen"] = pd.date_range("2026-01-01T08:00", periods=len(frame), freq="h").strftime("%Y-%m-%dT%H:%M:%S")
    frame.loc[KNOWN:, ["usage", "plan"]] = ["much", "new"]
    frame.loc[5, "seen"] = ""
    frame.to_csv(tmp_path / "data.csv", index=False)
    file = write_project("linear")
    time = Column(name="seen", kind=Kind.TIME, role=Role.TIME, nullable=True)
    timed = contract().model_copy(update={"columns": (*contract().columns, time)})
    (tmp_path / "contract.yaml").write_text(dump_contract(timed), encoding="utf-8")
    content = yaml.safe_load(file.read_text())
    content["data"]["time"] = "seen"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def test_dry_run_then_held_back_then_promoted(project: Path) -> None:
    with pytest.raises(DataError, match="much"):
        train(project)
    day = read_as_of("2026-01-17")
    dry = train(project, as_of=day, dry_run=True)
    place = open_place(project)
    assert (dry.version, dry.mlflow_run, dry.promoted) == (None, None, False)
    assert models.versions(place.registry, "churn") == ()
    assert not list(place.ledger.entries())
    assert "not registered" in dry.card.read_text(encoding="utf-8")
    held = train(project, as_of=day)
    assert (held.version, held.promoted, models.champion(place.registry, "churn")) == (1, False, None)
    assert train(project, as_of=day, promote=True).promoted


def test_rows_are_those_known_by_then(project: Path) -> None:
    moment = read_as_of("2026-01-02T10:00:00+02:00")  # 8:00 in UTC, of the 25th row
    assignment = assign(project, as_of=moment)
    frame = load_table(identify(assignment, data.read_table(assignment)))
    assert len(frame) == 24  # the 6th has no time
    assert frame["seen"].max() == pd.Timestamp("2026-01-02T08:00:00")


def test_error_still_names_the_line(project: Path) -> None:
    text = project.with_name("data.csv").read_text().splitlines()
    text[20] = text[20].replace(text[20].split(",")[0], "lots", 1)
    project.with_name("data.csv").write_text("\n".join(text))
    assignment = assign(project, as_of=read_as_of("2026-01-10"))
    with pytest.raises(DataError, match=r"'lots' at .*data\.csv:21"):
        data.read_table(assignment)


def test_what_cannot_be_answered_is_explained(project: Path, write_project: WriteProject) -> None:
    with pytest.raises(DataError, match="known by 2025-12-31 23:59 UTC; the earliest is of 2026-01-01 08:00"):
        data.read_table(assign(project, as_of=read_as_of("2025-12-31")))
    with pytest.raises(UsageError, match="is not a date"):
        read_as_of("yesterday")
    with pytest.raises(ProjectError, match="no time column"):
        assign(write_project("linear"), as_of=read_as_of("2026-01-10"))
