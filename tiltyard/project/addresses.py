"""Where the parts of a local stack listen, for every command of the same home to find."""

from pathlib import Path

from pydantic import ValidationError

from tiltyard.project.section import Section

STACK = "stack"
"""Folder of the stack's own files within a home."""

_FILE = "addresses.json"


class Addresses(Section):
    """The addresses of a running local stack.

    Attributes:
        prefect: URL of Prefect's API, ending in `/api`.
        mlflow: URL of the MLflow server.
        server: URL of the model server.
        certificate: Path of the certificate that the model server shows; empty where it speaks HTTP.
        supervisor: Process id of the stack's supervisor.
        started: When that process was started, seconds since 1970; tells it from a later one of the same number.
        projects: Paths of the project files that it serves and trains.
    """

    prefect: str
    mlflow: str
    server: str
    supervisor: int
    started: float
    projects: tuple[str, ...] = ()
    certificate: str = ""

    @property
    def alive(self) -> bool:
        """Whether the supervisor is still there."""
        import psutil  # noqa: PLC0415  # where no stack is up, nobody need know of processes

        try:
            process = psutil.Process(self.supervisor)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def write_addresses(home: Path, addresses: Addresses) -> None:
    """Announce a stack; a reader sees the whole file or none.

    Raises:
        OSError: The folder cannot be written.
    """
    file = home / STACK / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    draft.write_text(addresses.model_dump_json(indent=1), encoding="utf-8")
    draft.replace(file)


def read_addresses(home: Path) -> Addresses | None:
    """Return the addresses of the stack that is up in a home; None when none is, or its supervisor is gone."""
    try:
        addresses = Addresses.model_validate_json((home / STACK / _FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return addresses if addresses.alive else None


def remove_addresses(home: Path) -> None:
    """Take the announcement back."""
    (home / STACK / _FILE).unlink(missing_ok=True)
