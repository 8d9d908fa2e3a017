"""The connection to MLflow: quiet, without telemetry, and with every refusal explained."""

import logging
import re
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tiltyard.errors import RegistryError
from tiltyard.project.environment import Workplace
from tiltyard.registry.artifacts import SQLITE, follow_without_server

ABSENT = {"RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND"}
TAKEN = "RESOURCE_ALREADY_EXISTS"

_CREDENTIALS = re.compile(r"//[^/@\s]*@")
_LONGEST = 300
_SILENT = ("failed with exception", "Connection refused", "could not connect", "timed out")


class Registry:
    """MLflow as tracking server and model registry.

    Nothing global is touched: MLflow's `set_tracking_uri` would also write the address into this process's
    environment, where the next project would find it.

    Args:
        tracking_uri: `http(s)://…` of a server, or a database such as `sqlite:///path`.
        artifact_root: Where artifacts go when there is no server to keep them.

    Raises:
        RegistryError: The database cannot be opened.
    """

    def __init__(self, tracking_uri: str, *, artifact_root: str | None = None) -> None:
        self.tracking_uri = tracking_uri
        self._artifact_root = artifact_root
        for name in ("mlflow", "alembic", "urllib3.connectionpool"):  # the last announces its retries
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with self.explained("open MLflow"), quiet():
            file = Path(tracking_uri.removeprefix(SQLITE)) if tracking_uri.startswith(SQLITE) else None
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
            follow_without_server()
            self.client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
            if file:
                _write_ahead(file)

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server answers, rather than a database that this process opens itself."""
        return self.tracking_uri.startswith(("http://", "https://"))

    @property
    def shown_uri(self) -> str:
        """The address without user and password."""
        return _CREDENTIALS.sub("//", self.tracking_uri)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, made when it is not there.

        Raises:
            RegistryError: MLflow cannot be reached or refuses, or the experiment was deleted.
        """
        with self.explained(f"open the experiment `{name}`"):
            found = self.client.get_experiment_by_name(name)
            if found is None:
                return self._create_experiment(name)
        if found.lifecycle_stage == "deleted":
            raise RegistryError(
                f"the experiment `{name}` was deleted in MLflow",
                where=self.shown_uri,
                cure=f"Bring it back: `mlflow experiments restore --experiment-id {found.experiment_id}`.",
            )
        return str(found.experiment_id)

    def _create_experiment(self, name: str) -> str:
        """Make an experiment; one that somebody else made at the same moment will do."""
        location = f"{self._artifact_root}/{name}" if self._artifact_root and not self.is_server else None
        try:
            return str(self.client.create_experiment(name, artifact_location=location))
        except MlflowException as error:
            found = self.client.get_experiment_by_name(name) if error.error_code == TAKEN else None
            if found is None:
                raise
            return str(found.experiment_id)

    @contextmanager
    def explained(self, action: str) -> Iterator[None]:
        """Turn MLflow's refusals into sentences.

        Args:
            action: What was tried, after "cannot".

        Raises:
            RegistryError: Something in the block failed.
        """
        try:
            yield
        except (MlflowException, requests.RequestException, SQLAlchemyError, OSError) as error:
            raise self._refusal(action, error) from error

    def _refusal(self, action: str, error: Exception) -> RegistryError:
        """Say what failed and what to do about it."""
        said = _CREDENTIALS.sub("//", str(error)).strip() or type(error).__name__
        reason, cure = said.splitlines()[0][:_LONGEST], "Nothing is lost: put it right and run the same command again."
        silent = any(sign in said for sign in _SILENT)
        if silent or isinstance(error, requests.RequestException) or "API request to" in said:
            cure = f"Check that MLflow answers at {self.shown_uri} (`MLFLOW_TRACKING_URI`), and run the command again."
        return RegistryError(
            f"cannot {action} ({'it does not answer' if silent else reason})", where=self.shown_uri, cure=cure
        )


def _write_ahead(file: Path) -> None:
    """Let SQLite read while it writes, and flush once a commit instead of three times; the file remembers it.

    Where the database is busy, or its file system cannot, it stays as it is: slower, and as right.
    """
    with closing(sqlite3.connect(file)) as connection, suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL")


def connect(workplace: Workplace) -> Registry:
    """Open the registry in force for a project.

    Raises:
        RegistryError: The database cannot be opened.
    """
    root = None if workplace.environment.tracking_uri else workplace.artifact_root
    return Registry(workplace.tracking_uri, artifact_root=root)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow's own warnings, about how it is written inside, from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
