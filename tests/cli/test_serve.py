"""Which projects one model server answers for, and what it is told."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Tiltyard
from tiltyard.cli.opening import find_projects
from tiltyard.errors import UsageError
from tiltyard.predictions.settings import LogSettings
from tiltyard.serving import server
from tiltyard.serving.settings import MEBIBYTE, TlsFiles

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


def test_options_and_variables_reach_the_server(tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(server, "serve", lambda *_, **options: told.update(options))
    for name, value in {
        "SERVE_PORT": "9000",
        "SERVE_WORKERS": "3",
        "SERVE_MEMORY_MB": "64",
        "SERVE_DRAIN_SECONDS": "5",
        "LOG_DURABILITY": "disk",
        "LOG_WHEN_FULL": "answer",
        "LOG_SAMPLE": "0.5",
        "LOG_SECONDS": "2",
    }.items():
        monkeypatch.setenv(f"TILTYARD_{name}", value)
    assert tiltyard("serve", "--max-in-flight", "7", "--max-body-mb", "0.5", "--workers", "2").code == 0
    assert (told["port"], told["workers"], told["memory_mb"], told["tls"]) == (9000, 2, 64.0, None)
    assert told["drain_seconds"] == 5.0
    assert (told["limits"].in_flight, told["limits"].body_bytes) == (7, MEBIBYTE // 2)
    assert told["log"] == LogSettings(durability="disk", when_full="answer", sample=0.5, rotate_seconds=2)
    assert tiltyard("serve", "--no-log", "--tls-cert", "a.pem", "--tls-key", "b.pem").code == 0
    assert (told["log"], told["tls"]) == (None, TlsFiles(certificate=Path("a.pem"), key=Path("b.pem")))


def test_what_the_door_cannot_be_kept_with_is_refused(tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--tls-key" in tiltyard("serve", "--tls-cert", "a.pem").err
    assert "cannot be read" in tiltyard("serve", "--tls-cert", "a.pem", "--tls-key", "b.pem").err
    monkeypatch.setenv("TILTYARD_TOKENS", "predict:short")
    answer = tiltyard("serve")
    assert (answer.code, "entry 1" in answer.err) == (2, True)
