"""Where things run: read from the environment, never from the project file."""

import getpass
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from tiltyard.errors import ProjectError
from tiltyard.project.addresses import Addresses, read_addresses

WORK_FOLDER = ".tiltyard"

ARTIFACTS = "mlartifacts"
"""Folder in the home where the home's own MLflow keeps artifacts, beside its database."""


class Environment(BaseModel):
    """Settings of the place where a command runs, from `TILTYARD_*` and the variables of MLflow.

    What is given by name wins over the environment; an empty variable counts as unset.

    Attributes:
        home: Folder for runs, caches and the embedded registry; `.tiltyard` beside the project when unset.
        store: Object store: a folder or `s3://bucket/prefix`; `<home>/store` when unset.
        s3_endpoint: Address of an S3 server other than AWS.
        protect_key: Key of the keyed hashes under `protect:`.
        actor: Who acts, for the ledger; the login name when unset.
        webhook_secret: Shared with MLflow, which signs its calls to the model server with it; no calls are taken when
            unset.
        token: Sent to a model server that wants one, by the commands that ask it.
        notify: Where people are told of promotions, refusals, questions and failures: URLs, separated by spaces or
            commas.
        notify_cooldown: Seconds within which the same thing is told once.
        tracking_uri: MLflow's tracking server; when unset the local stack's if it is up, else an SQLite file in `home`.
        prefect_api: Prefect's API; when unset the local stack's if it is up, else a temporary server.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    home: Path | None = None
    store: str | None = None
    s3_endpoint: str | None = None
    protect_key: SecretStr | None = None
    actor: str | None = None
    webhook_secret: SecretStr | None = None
    token: SecretStr | None = None
    notify: SecretStr | None = None
    notify_cooldown: float = Field(default=900.0, ge=0, allow_inf_nan=False)
    tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    prefect_api: str | None = Field(default=None, validation_alias="PREFECT_API_URL")

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**_told(), **given})

    @property
    def key(self) -> str | None:
        """The key of the keyed hashes in the clear; None when there is none."""
        return self.protect_key.get_secret_value() if self.protect_key else None


def _told() -> dict[str, str]:
    """Return what the environment says, by the names of the settings."""
    told = {name.lower(): value for name, value in os.environ.items() if value}
    variables = {
        name: str(field.validation_alias or f"TILTYARD_{name}").lower()
        for name, field in Environment.model_fields.items()
    }
    return {name: told[variable] for name, variable in variables.items() if variable in told}


class Workplace:
    """The folders and addresses in force for one project.

    Args:
        project_file: Path of the project file.
        environment: Settings; read from the environment when left out.
    """

    def __init__(self, project_file: Path, environment: Environment | None = None) -> None:
        self.project_file = project_file.resolve()
        self.environment = environment or _read()
        self.folder = self.project_file.parent
        self.home = (self.environment.home or self.folder / WORK_FOLDER).resolve()

    @property
    def store(self) -> str:
        """Object store: a folder or `s3://bucket/prefix`."""
        return self.environment.store or str(self.home / "store")

    @property
    def cache(self) -> Path:
        """Folder of local copies of remote objects."""
        return self.home / "cache"

    @cached_property
    def stack(self) -> Addresses | None:
        """The local stack of this home, as it was when first asked; None when none is up."""
        return read_addresses(self.home)

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry address."""
        local = self.stack.mlflow if self.stack else f"sqlite:///{self.home / 'mlflow.db'}"
        return self.environment.tracking_uri or local

    @property
    def prefect_api(self) -> str | None:
        """Prefect's API; None when no server is known and a run starts a temporary one."""
        return self.environment.prefect_api or (self.stack.prefect if self.stack else None)

    @property
    def artifact_root(self) -> str:
        """Where the embedded MLflow keeps artifacts; a tracking server has its own."""
        return (self.home / ARTIFACTS).as_uri()

    @property
    def actor(self) -> str:
        """Who acts: `TILTYARD_ACTOR`, else the login name, else the user's number."""
        try:
            return self.environment.actor or getpass.getuser()
        except (KeyError, OSError):  # a container's user need not have a name
            return f"user {os.getuid()}"

    def run_folder(self, key: str) -> Path:
        """Folder of everything one training run makes on this machine."""
        return self.home / "runs" / key

    def resolve(self, path: str) -> str:
        """Make a path of the project file absolute; addresses stay as they are."""
        return path if "://" in path else os.path.normpath(self.folder / path)


def _read() -> Environment:
    """Read the settings from the environment; what a variable holds is not repeated, it may be a secret."""
    try:
        return Environment()
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = f"TILTYARD_{problem['loc'][0]}".upper()
        raise ProjectError(problem["msg"].lower(), where=name, cure="Correct the variable, or unset it.") from None
