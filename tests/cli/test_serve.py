"""Which projects one model server answers for."""

from pathlib import Path

import pytest

from tiltyard.cli.opening import find_projects
from tiltyard.errors import UsageError

PROJECT = (
    "name: {name}\ntask: {{kind: binary}}\ndata:\n  source: data.csv\n  target: y\ngates:\n  by_hand: require_gate\n"
)


def written(folder: Path, name: str) -> Path:
    """Write a project of this name and return its folder."""
    folder.mkdir()
    (folder / "tiltyard.yaml").write_text(PROJECT.format(name=name))
    return folder


def test_one_project_needs_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written(tmp_path / "a", "churn"))
    ((project, workplace),) = find_projects(())
    assert (project.name, project.gates.by_hand) == ("churn", "require_gate")
    assert workplace.home == tmp_path / "a" / ".tiltyard"


def test_several_projects_share_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [written(tmp_path / name, name) for name in ("churn", "fraud")]
    with pytest.raises(UsageError, match="`churn`, `fraud` have no home in common") as caught:
        find_projects(folders)
    assert "TILTYARD_HOME" in caught.value.cure
    monkeypatch.setenv("TILTYARD_HOME", str(tmp_path / "home"))
    assert [project.name for project, _ in find_projects(folders)] == ["churn", "fraud"]


def test_two_projects_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_HOME", str(tmp_path / "home"))
    folders = [written(tmp_path / name, "churn") for name in ("a", "b")]
    with pytest.raises(UsageError, match="two projects are named `churn`"):
        find_projects(folders)
