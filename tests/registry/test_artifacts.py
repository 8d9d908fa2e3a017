"""Artifacts that an MLflow server took in, when the server is down and the database is opened itself."""

from pathlib import Path

from tiltyard.project.environment import Workplace
from tiltyard.registry.client import connect


def test_what_a_server_kept_is_found_without_it(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path / "a home" / "tiltyard.yaml")
    registry = connect(workplace)
    experiment = registry.client.create_experiment("churn", artifact_location="mlflow-artifacts:/7")
    run = registry.client.create_run(experiment).info.run_id
    kept = workplace.home / "mlartifacts" / "7" / run / "artifacts"
    kept.mkdir(parents=True)
    (kept / "card.html").write_text("kept by the server")
    loaded = registry.client.download_artifacts(run, "card.html", str(tmp_path))
    assert Path(loaded).read_text() == "kept by the server"
    registry.client.log_text(run, "added without it", "note.txt")
    assert (kept / "note.txt").read_text() == "added without it"
