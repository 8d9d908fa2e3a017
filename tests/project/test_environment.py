"""Where things run comes from the environment."""

from pathlib import Path

import pytest

from tiltyard.errors import ProjectError
from tiltyard.project.environment import Environment, Workplace


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "STORE", "S3_ENDPOINT", "PROTECT_KEY", "ACTOR"):
        monkeypatch.delenv(f"TILTYARD_{name}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_everything_lies_beside_the_project_by_default(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "tiltyard.yaml")
    assert place.home == tmp_path / ".tiltyard"
    assert place.store == str(tmp_path / ".tiltyard" / "store")
    assert place.tracking_uri == f"sqlite:///{tmp_path / '.tiltyard' / 'mlflow.db'}"
    assert place.run_folder("k").parent == tmp_path / ".tiltyard" / "runs"


def test_the_environment_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TILTYARD_STORE", "s3://bucket/prefix")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    place = Workplace(tmp_path / "tiltyard.yaml")
    assert place.home == tmp_path / "elsewhere"
    assert (place.store, place.tracking_uri) == ("s3://bucket/prefix", "http://mlflow:5000")


def test_an_empty_variable_counts_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_HOME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    place = Workplace(tmp_path / "tiltyard.yaml")
    assert place.home == tmp_path / ".tiltyard"
    assert place.tracking_uri.startswith("sqlite:///")


def test_what_is_given_wins_and_case_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_ACTOR", "somebody")
    monkeypatch.setenv("tiltyard_store", "/store")
    assert Environment().actor == "somebody"
    assert (Environment(actor="me").actor, Environment().store) == ("me", "/store")


def test_a_variable_that_cannot_be_read_is_named_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILTYARD_NOTIFY_COOLDOWN", "soon")
    with pytest.raises(ProjectError, match="TILTYARD_NOTIFY_COOLDOWN") as caught:
        Workplace(tmp_path / "tiltyard.yaml")
    assert "soon" not in str(caught.value)


def test_the_protect_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_PROTECT_KEY", "open sesame")
    assert "sesame" not in repr(Environment())


def test_relative_paths_are_relative_to_the_project(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "tiltyard.yaml", Environment())
    assert place.resolve("data/a.csv") == str(tmp_path / "data" / "a.csv")
    assert place.resolve("/data/a.csv") == "/data/a.csv"
    assert place.resolve("s3://bucket/a.csv") == "s3://bucket/a.csv"
