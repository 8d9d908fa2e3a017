"""Batch predictions: every form of output, any size of chunk, and failures that leave what was there."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.steps.conftest import Trained, table, write_project
from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import DataError, RegistryError, StorageError, TiltyardError, UsageError
from tiltyard.registry import models
from tiltyard.steps.place import Place
from tiltyard.steps.progress import listening
from tiltyard.steps.scoring import score_table

ANSWERS = ["prediction", "probability_no", "probability_yes"]


@pytest.fixture
def file(trained_linear: Trained) -> Path:
    """The project file of a project with a champion."""
    return trained_linear.run.project_file


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """Rows without an answer, as CSV."""
    rows = table(500, seed=2).drop(columns="left")
    rows.loc[200:, "debt"] = np.nan
    rows.to_csv(tmp_path / "new.csv", index=False)
    return tmp_path / "new.csv"


def read(output: Path) -> pd.DataFrame:
    return pd.read_csv(output, float_precision="round_trip") if output.suffix == ".csv" else pd.read_parquet(output)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_output_has_the_table_and_the_answers_of_the_bundle(
    trained_linear: Trained, file: Path, new: Path, tmp_path: Path, ending: str
) -> None:
    output = tmp_path / f"answers.{ending}"
    outcome = score_table(file, str(new), output)
    assert (outcome.version, outcome.rows, outcome.output) == (1, 500, output)
    found = read(output)
    assert list(found.columns) == [*pd.read_csv(new).columns, *ANSWERS]
    assert found["name"].tolist() == pd.read_csv(new)["name"].tolist()
    place = Place(trained_linear.run.project, trained_linear.run.workplace)
    champion = models.champion(place.registry, "churn")
    assert champion is not None
    runtime = Runtime.load(models.download_bundle(place.registry, champion, tmp_path / "bundle"))
    sent = list(csv.DictReader(new.read_text().splitlines()))
    answers, _ = runtime.predict_rows(sent)
    np.testing.assert_array_equal(found[ANSWERS[1:]].to_numpy(), answers.array)
    assert found["prediction"].tolist() == runtime.labels(answers)


@pytest.mark.parametrize("source", ["csv", "parquet"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_chunks_give_what_the_whole_gives(file: Path, new: Path, tmp_path: Path, source: str, ending: str) -> None:
    given = new
    if source == "parquet":
        given = tmp_path / "new.parquet"
        pd.read_csv(new).to_parquet(given)
    told: list[object] = []
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    score_table(file, str(given), whole)
    with listening(told.append):
        score_table(file, str(given), cut, chunk_rows=123)
    assert told == [123, 246, 369, 492, 500]
    if ending == "csv":
        assert cut.read_bytes() == whole.read_bytes()
    assert pq.read_table(cut).equals(pq.read_table(whole)) if ending == "parquet" else read(cut).equals(read(whole))


def test_files_whose_columns_differ_in_type_have_one_type_in_the_output(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    rows = table(60, seed=2).drop(columns="left")
    rows.iloc[:20].assign(debt=None, note=None).to_parquet(folder / "1.parquet")
    rows.iloc[20:40].assign(debt=1, note=7).to_parquet(folder / "2.parquet")
    rows.iloc[40:].assign(note=1.5).to_parquet(folder / "3.parquet")
    score_table(file, str(folder), tmp_path / "a.parquet", chunk_rows=7)
    found = pq.read_table(tmp_path / "a.parquet")
    assert found.schema.field("debt").type == found.schema.field("note").type == pa.float64()
    assert found["note"].to_pylist() == [None] * 20 + [7.0] * 20 + [1.5] * 20


def test_files_whose_columns_do_not_fit_are_named(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    rows = table(40, seed=2).drop(columns="left")
    rows.iloc[:20].to_parquet(folder / "1.parquet")
    rows.iloc[20:].assign(age="old").to_parquet(folder / "2.parquet")
    with pytest.raises(DataError, match=r"do not fit those of 1\.parquet") as caught:
        score_table(file, str(folder), tmp_path / "a.parquet", chunk_rows=7)
    assert "2.parquet" in caught.value.where


def broken(new: Path, column: str, value: str) -> str:
    """Write the rows with another value in the last one; a column that is not there is made."""
    rows = pd.read_csv(new, dtype=str)
    kept = rows[column].tolist() if column in rows.columns else [value] * len(rows)
    broken = new.with_name("broken.csv")
    rows.assign(**{column: [*kept[:-1], value]}).to_csv(broken, index=False)
    return str(broken)


FAILURES: list[tuple[str, str, type[TiltyardError], str]] = [
    ("usage", "much", DataError, "'much' at .*broken.csv:501"),
    ("usage", "", DataError, "`usage` is missing in 1 rows, first at .*broken.csv:501"),
    ("prediction", "1", UsageError, "has a column `prediction` already"),
    ("probability_yes", "1", UsageError, "has a column `probability_yes` already"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=[f"{column}={value}" for column, value, _, _ in FAILURES])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_failure_leaves_the_old_output(
    file: Path, new: Path, ending: str, failure: tuple[str, str, type[TiltyardError], str]
) -> None:
    column, value, kind, sentence = failure
    output = new.with_name(f"answers.{ending}")
    output.write_text("old")
    with pytest.raises(kind, match=sentence):
        score_table(file, broken(new, column, value), output, chunk_rows=100)
    assert output.read_text() == "old"
    assert sorted(path.name for path in new.parent.iterdir()) == [output.name, "broken.csv", "new.csv"]


SMALL_DISK = """
import pathlib, resource, sys
from tiltyard.errors import TiltyardError
from tiltyard.steps import scoring
begin = scoring._Writer.__enter__
scoring._Writer.__enter__ = lambda self: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)) or begin(self)
try:
    scoring.score_table(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), chunk_rows=50)
except TiltyardError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("ending", ["csv", pytest.param("parquet", marks=pytest.mark.exhaustive)])
def test_a_full_disk_is_explained_and_leaves_the_old_output(file: Path, new: Path, ending: str) -> None:
    output = new.with_name(f"answers.{ending}")
    output.write_text("old")
    command = [sys.executable, "-c", SMALL_DISK, str(file), str(new), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(StorageError.__name__), done.stderr
    assert "cannot be written (File too large)" in done.stdout
    assert output.read_text() == "old"
    assert sorted(path.name for path in new.parent.iterdir()) == [output.name, "new.csv"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("a.xlsx", "neither .csv nor .parquet"), ("no/a.csv", "there is no folder"), ("folder.csv", "is a folder")],
)
def test_an_output_that_cannot_be_is_refused_at_once(file: Path, new: Path, name: str, sentence: str) -> None:
    (new.parent / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=sentence):
        score_table(file, str(new), new.parent / name)


def test_a_table_without_rows_is_refused(file: Path, new: Path) -> None:
    new.write_text(new.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="no rows"):
        score_table(file, str(new), new.with_name("a.csv"))
    assert not new.with_name("a.csv").exists()


def test_the_output_may_take_the_place_of_the_table(file: Path, new: Path) -> None:
    rows = score_table(file, str(new), new, chunk_rows=50).rows
    assert list(read(new).columns)[-3:] == ANSWERS
    assert len(read(new)) == rows == 500


def test_without_a_champion_it_says_what_to_do(tmp_path: Path, new: Path) -> None:
    file = write_project(tmp_path, "linear")
    with pytest.raises(RegistryError, match="no champion yet"):
        score_table(file, str(new), tmp_path / "a.csv")
    with pytest.raises(RegistryError):
        score_table(file, str(new), tmp_path / "a.csv", version=7)
