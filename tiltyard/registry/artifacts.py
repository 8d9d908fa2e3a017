"""Artifacts that the local stack's MLflow server took in, read and written after the stack went down.

The server writes `mlflow-artifacts:/…` into the database as their address, which MLflow can follow by a server alone.
The stack's server keeps them in a folder beside that database: whoever opens the database itself finds them there.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry as repositories
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from tiltyard.project.environment import ARTIFACTS

SQLITE = "sqlite:///"


def follow_without_server() -> None:
    """Teach MLflow, in this process, where such artifacts are when it opens the database without a server."""
    repositories.register("mlflow-artifacts", _repository)  # type: ignore[no-untyped-call]  # of MLflow


def _repository(uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> ArtifactRepository:
    """Return where artifacts are: in the folder beside a database, else at the server."""
    if tracking_uri is None or not tracking_uri.startswith(SQLITE):
        return MlflowArtifactsRepository(uri, tracking_uri=tracking_uri, registry_uri=registry_uri)
    folder = Path(tracking_uri.removeprefix(SQLITE)).parent / ARTIFACTS
    place = folder / unquote(urlsplit(uri).path).lstrip("/")
    return LocalArtifactRepository(place.as_uri(), tracking_uri=tracking_uri, registry_uri=registry_uri)
