"""What the light commands need of a project, without importing what the heavy ones do."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tiltyard.cli.options import HERE
from tiltyard.errors import UsageError
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import load_project, project_file_of
from tiltyard.project.model import Project

if TYPE_CHECKING:
    from tiltyard.registry.ledger import Ledger
    from tiltyard.storage.base import Store


def find_project(path: Path) -> tuple[Project, Workplace]:
    """Load a project and the place it runs at.

    Args:
        path: The project file or the folder that holds it.

    Raises:
        ProjectError: The file is missing or wrong.
    """
    file = project_file_of(path).resolve()
    return load_project(file), Workplace(file)


def find_projects(paths: Sequence[Path]) -> tuple[tuple[Project, Workplace], ...]:
    """Load the projects that share a home, each with the place it runs at.

    Args:
        paths: Project files, or the folders that hold them; the one here when empty.

    Raises:
        ProjectError: A file is missing or wrong.
        UsageError: Two projects have one name, or several have no home in common.
    """
    found = tuple(find_project(path) for path in paths or (HERE,))
    names = [project.name for project, _ in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two projects are named `{twice}`", cure="Give each `name:` of its own, or name it once.")
    if len({workplace.home for _, workplace in found}) > 1:
        raise UsageError(
            f"the projects {', '.join(f'`{name}`' for name in names)} have no home in common",
            cure="Set TILTYARD_HOME to a folder that they share.",
        )
    return found


def find_home(path: Path) -> Path:
    """Return the home of a project without reading its file, which may be broken or gone.

    Args:
        path: The project file or the folder that holds it.
    """
    return Workplace(project_file_of(path)).home


def find_ledger(path: Path) -> "Ledger":
    """Open a project's ledger alone; MLflow, which takes seconds to import, is not asked.

    Args:
        path: The project file or the folder that holds it.

    Raises:
        ProjectError: The file is missing or wrong.
    """
    from tiltyard.registry.ledger import Ledger

    project, workplace = find_project(path)
    return Ledger(find_store(workplace), project.name)


def find_store(workplace: Workplace) -> "Store":
    """Open the object store of a place.

    Raises:
        StorageError: It cannot be opened.
    """
    from tiltyard.storage.opening import open_store

    return open_store(workplace.store, endpoint=workplace.environment.s3_endpoint, cache=workplace.cache)
