"""One project through every command that moves or asks a champion, in one process."""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Said, Tiltyard
from tiltyard.cli.app import main
from tiltyard.project.yamlfile import dump_yaml, read_yaml
from tiltyard.registry import models
from tiltyard.registry.records import CHAMPION, ModelRef
from tiltyard.steps.place import open_place

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion (a tree) and a challenger that was held back."""
    folder = tmp_path_factory.mktemp("flowers")
    assert main(["init", "sklearn:iris", "--target", "target", "--folder", str(folder)]) == 0
    _search(folder, families=["tree"])
    assert main(["train", "--project", str(folder), "--trials", "1"]) == 0
    _search(folder, families=["linear"])
    assert main(["train", "--project", str(folder), "--trials", "1", "--hold"]) == 0
    return folder


def _search(folder: Path, **settings: object) -> None:
    file = folder / "tiltyard.yaml"
    content = read_yaml(file) | {"search": {"folds": 2, "workers": 1, **settings}}
    file.write_text(dump_yaml(content), encoding="utf-8")


def _champion(tiltyard: Tiltyard) -> int:
    said = json.loads(tiltyard("history", "--at", "2999-01-01", "--json").out)
    assert isinstance(said["champion"], int)
    return said["champion"]


@pytest.fixture
def yard(tiltyard: Tiltyard, flowers: Path, monkeypatch: pytest.MonkeyPatch) -> Tiltyard:
    """The command line in that project's folder."""
    monkeypatch.chdir(flowers)
    return tiltyard


def test_the_same_run_again_redoes_nothing_and_says_so(yard: Tiltyard) -> None:
    said = yard("train", "--trials", "1", "--hold")
    assert said.code == 0, said.err
    assert "everything was done before, nothing was redone" in said.out
    assert "version 2" in said.out


def test_machines_get_the_whole_outcome(yard: Tiltyard) -> None:
    outcome = json.loads(yard("train", "--trials", "1", "--hold", "--json").out)
    assert (outcome["version"], outcome["repeated"], outcome["promoted"]) == (2, True, False)
    assert outcome["verdict"]["sentence"]
    assert Path(outcome["card"]).exists()


def test_a_person_promotes_and_rolls_back_on_the_record(yard: Tiltyard) -> None:
    assert _champion(yard) == 1
    said = yard("promote", "2", "--reason", "approved in the review")
    assert (said.code, "version 2 was promoted to champion instead of version 1" in said.out) == (0, True)
    assert _champion(yard) == 2
    again = json.loads(yard("promote", "2", "--reason", "again", "--json").out)
    assert again["changed"] is False
    assert yard("rollback", "--reason", "it was better before").code == 0
    assert _champion(yard) == 1
    history = yard("history", "--verify").out
    for words in ("approved in the review", "it was better before", "rolled back", "ada", "Verified"):
        assert words in history


def test_a_move_by_hand_in_mlflow_is_recorded_before_a_promotion(yard: Tiltyard, flowers: Path) -> None:
    place = open_place(flowers)
    models.set_alias(place.registry, ModelRef(name="iris", version=2), CHAMPION)
    said = yard("promote", "1", "--reason", "back to the one we know")
    assert (said.code, "version 1 was promoted to champion instead of version 2" in said.out) == (0, True), said.err
    kinds = [entry.kind for entry in open_place(flowers).ledger.entries()]
    assert kinds[-3:] == ["set_by_hand", "promoting", "promoted"]
    assert _champion(yard) == 1


@pytest.mark.exhaustive
def test_progress_is_shown_on_a_terminal_alone(yard: Tiltyard, flowers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["predict", str(_table(flowers)), "-o", "progress.csv", "--version", "2", "--chunk-rows", "2"]
    assert "rows" not in yard(*words).err
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert yard(*words).code == 0
    assert "3 rows" in terminal.getvalue()
    assert yard("train", "--trials", "2", "--hold").code == 0
    assert "searching: 2 trials" in terminal.getvalue()
    terminal.truncate(0)
    assert yard(*words, "--json").code == 0
    assert terminal.getvalue() == ""


class Terminal(io.StringIO):
    """A terminal to write to."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_predicted(yard: Tiltyard, flowers: Path, ending: str) -> None:
    said = yard("predict", str(_table(flowers)), "-o", f"answers.{ending}", "--version", "2", "--chunk-rows", "2")
    assert said.code == 0, said.err
    assert "3 rows answered by iris version 2" in said.out
    assert (flowers / f"answers.{ending}").stat().st_size > 0


def _table(folder: Path) -> Path:
    """Three flowers without an answer."""
    columns = [
        column["name"] for column in read_yaml(folder / "contract.yaml")["columns"] if column.get("role") != "target"
    ]
    file = folder / "new.csv"
    rows = ["5.1,3.5,1.4,0.2", "6.2,2.9,4.3,1.3", "6.5,3.0,5.5,2.0"]
    file.write_text("\n".join([",".join(columns), *rows]) + "\n", encoding="utf-8")
    return file


WRONG = [
    (["promote", "99", "--reason", "x"], 6, "99"),
    (["predict", "none.csv", "-o", "a.csv"], 3, "there is no such file"),
    (["predict", "new.csv", "-o", "a.xlsx"], 2, "neither .csv nor .parquet"),
    (["predict", "new.csv", "-o", "nowhere/a.csv"], 2, "there is no folder `nowhere`"),
    (["predict", "new.csv", "-o", "a.csv", "--version", "99"], 6, "99"),
    (["predict", "bad.csv", "-o", "a.csv"], 3, "bad.csv"),
    (["predict", "few.csv", "-o", "a.csv"], 3, "few.csv"),
]


@pytest.mark.parametrize(("words", "code", "sentence"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    yard: Tiltyard, flowers: Path, words: list[str], code: int, sentence: str
) -> None:
    good = _table(flowers).read_text(encoding="utf-8")
    (flowers / "bad.csv").write_text(good.replace("6.2", "wide"), encoding="utf-8")
    (flowers / "few.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    said: Said = yard(*words)
    assert said.code == code, said.err
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert not (flowers / "a.csv").exists()
    assert _champion(yard) == 1


def test_a_project_without_champion_says_what_to_do(tiltyard: Tiltyard, project: Path) -> None:
    (project / "new.csv").write_text("age\n1\n", encoding="utf-8")
    said = tiltyard("predict", "new.csv", "-o", "a.csv")
    assert said.code == 6
    assert "`churn` has no champion yet. Run `tiltyard train` first." in said.err
    assert tiltyard("rollback").code == 6
