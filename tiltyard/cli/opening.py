"""What the light commands need of a project, without importing what the heavy ones do."""

from pathlib import Path

from tiltyard.project.environment import Workplace
from tiltyard.project.loading import PROJECT_FILE, load_project
from tiltyard.project.model import Project
from tiltyard.registry.ledger import Ledger
from tiltyard.storage.opening import open_store


def find_project(path: Path) -> tuple[Project, Workplace]:
    """Load a project and the place it runs at.

    Args:
        path: The project file or the folder that holds it.

    Raises:
        ProjectError: The file is missing or wrong.
    """
    file = (path / PROJECT_FILE if path.is_dir() else path).resolve()
    return load_project(file), Workplace(file)


def find_ledger(path: Path) -> Ledger:
    """Open a project's ledger alone; MLflow, which takes seconds to import, is not asked.

    Args:
        path: The project file or the folder that holds it.

    Raises:
        ProjectError: The file is missing or wrong.
    """
    project, workplace = find_project(path)
    store = open_store(workplace.store, endpoint=workplace.environment.s3_endpoint, cache=workplace.cache)
    return Ledger(store, project.name)
