"""`data.history` through the real steps of a training run: what is too old neither teaches, judges nor is reference."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.steps.conftest import ROWS, train, write_project
from tiltyard.data.parts import Part
from tiltyard.registry import models
from tiltyard.steps import data
from tiltyard.steps.champion import SEEN_ROWS
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.place import Place
from tiltyard.steps.reference import load_reference
from tiltyard.steps.run import TrainingRun, assign, identify

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def asked(folder: Path, history: str | None, source: str = "data.csv") -> Path:
    """Write a project that looks back so far."""
    file = write_project(folder, "linear")
    content = yaml.safe_load(file.read_text())
    content["data"] |= {"time": "seen", "source": source} | ({"history": history} if history else {})
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def run_of(file: Path) -> TrainingRun:
    assignment = assign(file)
    return identify(assignment, data.read_table(assignment))


def test_a_version_has_learnt_from_judged_and_refers_to_young_rows_alone(tmp_path: Path) -> None:
    run, registered = train(asked(tmp_path, "240d"))
    frame, split = load_table(run), load_split(run)
    old = (frame["seen"] < frame["seen"].max() - pd.Timedelta(days=240)).to_numpy()
    assert 30 < old.sum() < ROWS / 2
    np.testing.assert_array_equal(split.parts == Part.EXCLUDED, old)
    place = Place(run.project, run.workplace)
    reference = load_reference(place, registered.ref)
    assert (reference.test.rows, reference.training.rows) == (
        len(split.rows(Part.TEST)),
        ROWS - old.sum() - len(split.rows(Part.TEST)),
    )
    assert not np.isin(split.keys[old], np.load(run.folder / SEEN_ROWS)).any()
    said = models.version(place.registry, registered.ref).description
    assert f"{old.sum()} rows are left out because they are older than 240d before the newest" in said


def test_how_far_back_is_part_of_what_a_run_is_and_the_source_is_not(tmp_path: Path) -> None:
    runs = {history: run_of(asked(tmp_path, history)) for history in (None, "240d", "120d")}
    assert len({run.key for run in runs.values()}) == 3
    assert run_of(asked(tmp_path, "240d")).key == runs["240d"].key
    pd.read_csv(tmp_path / "data.csv").to_parquet(tmp_path / "data.parquet")
    parquet = run_of(asked(tmp_path, "240d", "data.parquet"))
    assert data.split(parquet) == data.split(runs["240d"])
    np.testing.assert_array_equal(load_split(parquet).parts, load_split(runs["240d"]).parts)


def test_what_was_known_then_is_where_the_history_ends(tmp_path: Path) -> None:
    assignment = assign(asked(tmp_path, "120d"), as_of=pd.Timestamp("2026-09-30").to_pydatetime())
    run = identify(assignment, data.read_table(assignment))
    data.split(run)
    used = load_table(run)["seen"][load_split(run).parts != Part.EXCLUDED]
    assert used.max() <= pd.Timestamp("2026-09-30")
    assert used.min() >= used.max() - pd.Timedelta(days=120)
