"""The composition root: from a project file to the store, the ledger and the registry it is run with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tiltyard.data.contract import Contract
from tiltyard.data.contract_file import load_contract
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import load_project, project_file_of
from tiltyard.project.model import Project
from tiltyard.registry.client import Registry, connect
from tiltyard.registry.ledger import Ledger
from tiltyard.storage.base import Store
from tiltyard.storage.opening import fetch_url, list_urls, open_store


@dataclass(frozen=True)
class Place:
    """A project and everything that it is run with, opened when first used.

    Attributes:
        project: The project.
        workplace: The folders and addresses in force.
    """

    project: Project
    workplace: Workplace

    @cached_property
    def store(self) -> Store:
        """The object store."""
        endpoint = self.workplace.environment.s3_endpoint
        return open_store(self.workplace.store, endpoint=endpoint, cache=self.workplace.cache)

    @cached_property
    def contract(self) -> Contract:
        """The data contract as reviewed, without the project's uses of it."""
        return load_contract(self.workplace.folder / self.project.data.contract)

    @cached_property
    def ledger(self) -> Ledger:
        """The project's ledger."""
        return Ledger(self.store, self.project.name)

    @cached_property
    def registry(self) -> Registry:
        """MLflow."""
        return connect(self.workplace)

    def open_remote(self, pattern: str) -> list[Path]:
        """Bring the objects that `s3://bucket/key` (glob allowed) stands for to this machine."""
        endpoint, cache = self.workplace.environment.s3_endpoint, self.workplace.cache
        addresses = list_urls(pattern, endpoint=endpoint, cache=cache)
        return [fetch_url(address, endpoint=endpoint, cache=cache) for address in addresses]


def open_place(project_file: Path) -> Place:
    """Open a project.

    Args:
        project_file: The project file, or the folder that holds it.

    Raises:
        ProjectError: The file is missing or wrong.
    """
    file = project_file_of(project_file).resolve()
    return Place(load_project(file), Workplace(file))
