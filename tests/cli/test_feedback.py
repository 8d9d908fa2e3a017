"""`tiltyard feedback`: a table of labels goes to the store, once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Tiltyard
from tiltyard.predictions.reading import read_labels
from tiltyard.storage.folder import FolderStore

CONTRACT = """\
task: binary
columns:
- {name: age, kind: number}
- {name: churned, kind: boolean, role: target}
classes: [false, true]
"""
NINE_F, NINE_E, NINE_D = ("9f" * 12, "9e" * 12, "9d" * 12)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(autouse=True)
def _contract(project: Path) -> None:
    (project / "contract.yaml").write_text(CONTRACT, encoding="utf-8")


def known(project: Path) -> dict[str, object]:
    store = FolderStore(project / ".tiltyard" / "store")
    return {name: label.label for name, label in read_labels(store, "churn", YESTERDAY)}


def test_a_table_of_labels_is_stored_once(tiltyard: Tiltyard, project: Path) -> None:
    (project / "labels.csv").write_text(
        f"id,label\n{NINE_F}-0,yes\n{NINE_F}-1,no\n{NINE_E},\n{NINE_D},true\n", encoding="utf-8"
    )
    said = tiltyard("feedback", "labels.csv")
    assert (said.code, said.err) == (0, "")
    assert "3 labels are in the store; 1 of 4 rows had none yet." in said.out
    assert known(project) == {f"{NINE_D}-0": True, f"{NINE_F}-0": True, f"{NINE_F}-1": False}
    again = tiltyard("feedback", "labels.csv")
    assert "nothing was written" in again.out
    assert json.loads(tiltyard("feedback", "labels.csv", "--json").out) == {
        "table": "labels.csv",
        "rows": 4,
        "labels": 3,
        "objects": 0,
        "known": 1,
    }


def test_columns_and_times_are_chosen_and_the_latest_counts(tiltyard: Tiltyard, project: Path) -> None:
    moments = pd.to_datetime(["2026-01-03", "2026-01-02"])
    frame = pd.DataFrame({"request": [f"{NINE_F}-0", f"{NINE_F}-0"], "churned": [True, False], "seen": moments})
    frame.to_parquet(project / "labels.parquet")
    words = ("--id-column", "request", "--label-column", "churned", "--time-column", "seen")
    assert tiltyard("feedback", "labels.parquet", *words, "--chunk-rows", "1").code == 0
    assert known(project) == {f"{NINE_F}-0": True}
    (project / "later.csv").write_text(
        f"request,churned,seen\n{NINE_F}-0,no,2026-01-04T10:00:00+02:00\n", encoding="utf-8"
    )
    assert tiltyard("feedback", "later.csv", *words).code == 0
    assert known(project) == {f"{NINE_F}-0": False}


@pytest.mark.parametrize(
    ("table", "code", "words"),
    [
        (f"id,label\n{NINE_F},yes\n{NINE_E},s3cret\n", 3, "labels.csv, row 2: the label is not true or false"),
        (f"id,lable\n{NINE_F},yes\n", 3, "there is no column `label`. Did you mean `lable`?"),
        ("id,label\n,yes\n", 3, "labels.csv, row 1: the id is none of a prediction"),
        (
            f"id,label\n{NINE_F},yes\n4711,yes\n",
            3,
            "labels.csv, row 2: the id is none of a prediction. Send the one that",
        ),
        ("id,label\n", 3, "no rows"),
    ],
)
def test_what_is_wrong_is_named_by_its_row(
    tiltyard: Tiltyard, project: Path, table: str, code: int, words: str
) -> None:
    (project / "labels.csv").write_text(table, encoding="utf-8")
    said = tiltyard("feedback", "labels.csv")
    assert said.code == code
    assert words in said.err
    assert "s3cret" not in said.err


def test_a_time_that_is_none_is_named(tiltyard: Tiltyard, project: Path) -> None:
    (project / "labels.csv").write_text(f"id,label,seen\n{NINE_F},yes,\n", encoding="utf-8")
    assert tiltyard("feedback", "labels.csv", "--time-column", "seen").code == 0
    (project / "labels.csv").write_text(f"id,label,seen\n{NINE_F},yes,soon\n", encoding="utf-8")
    said = tiltyard("feedback", "labels.csv", "--time-column", "seen")
    assert said.code == 3
    assert "labels.csv, row 1: the time is none" in said.err
