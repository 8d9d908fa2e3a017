"""A project without a run, and the command line in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tiltyard.cli.app import main

PROJECT = """\
name: churn
task: {kind: binary}
data: {source: table.csv, target: churned}
"""


class Said(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


Tiltyard = Callable[..., Said]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TILTYARD_HOME", "TILTYARD_STORE", "MLFLOW_TRACKING_URI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TILTYARD_ACTOR", "ada")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a project file."""
    (tmp_path / "tiltyard.yaml").write_text(PROJECT, encoding="utf-8")
    return tmp_path


@pytest.fixture
def tiltyard(capsys: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch) -> Tiltyard:
    """Run a command in the project's folder."""
    monkeypatch.chdir(project)

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main(words)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run
