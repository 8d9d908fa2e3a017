"""`tiltyard replay`: a table alone or a project's, the figures as JSON, a page; and what it says of wrong calls."""

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Tiltyard
from tests.steps.replaying.conftest import first_default
from tests.steps.replaying.worlds import CONTRACT, history
from tests.steps.replaying.worlds import project as churn
from tiltyard.data.contract_file import dump_contract
from tiltyard.steps.replaying import trainer

WORDS = ("--first", "0.4", "--labels-after", "2d", "--window", "4d", "--schedule", "8d")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history as CSV in the current folder, and a training without search."""
    monkeypatch.setattr(trainer, "search", first_default)
    monkeypatch.chdir(tmp_path)
    history(20).to_csv(tmp_path / "history.csv", index=False)
    return tmp_path / "history.csv"


def test_a_table_needs_no_project(table: Path, tiltyard: Tiltyard) -> None:
    said = tiltyard("replay", table.name, "--time", "seen", "--target", "left", *WORDS)
    assert said.code == 0, said.err
    for name in ("never", "8d", "policy"):
        assert name in said.out
    assert (table.parent / "replay" / "replay.html").exists()
    assert (table.parent / "replay" / "replay.png").stat().st_size > 1000
    assert not (table.parent / "contract.yaml").exists()


def test_a_project_is_replayed_by_its_contract(table: Path, tiltyard: Tiltyard) -> None:
    file = table.parent / "tiltyard.yaml"
    file.write_text(yaml.safe_dump(churn().model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    (table.parent / "contract.yaml").write_text(dump_contract(CONTRACT), encoding="utf-8")
    said = tiltyard("replay", "--json", "--out", "there", *WORDS)
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert [track["strategy"] for track in found["tracks"]] == ["never", "8d", "policy"]
    assert found == json.loads((table.parent / "there" / "replay.json").read_text())


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("history.csv", "--target", "left"), 2, "--time"),
        (("history.csv", "--positive", "yes"), 2, "--target"),
        (("history.csv", "--time", "seen", "--target", "left", "--labels-after", "soon"), 2, "no stretch of time"),
        (("history.csv", "--time", "seen", "--target", "left", "--schedule", "often"), 2, "no schedule"),
        (("history.csv", "--time", "seen", "--target", "left", "--first", "0.01"), 3, "are needed"),
    ],
)
def test_a_wrong_call_says_what_to_do(
    table: Path, tiltyard: Tiltyard, words: tuple[str, ...], code: int, message: str
) -> None:
    said = tiltyard("replay", *words)
    assert (said.code, message in said.err) == (code, True), said.err
    assert not (table.parent / "replay").exists()
