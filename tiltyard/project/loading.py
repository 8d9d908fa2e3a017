"""From a YAML file to a project, or to one sentence that says which key is wrong and how to mend it."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tiltyard.errors import ProjectError
from tiltyard.project.digests import digest
from tiltyard.project.explaining import explain
from tiltyard.project.model import Project
from tiltyard.project.yamlfile import read_yaml

__all__ = ["PROJECT_FILE", "digest", "load_project", "parse_model", "project_file_of", "read_yaml"]

PROJECT_FILE = "tiltyard.yaml"

M = TypeVar("M", bound=BaseModel)


def parse_model(model: type[M], content: dict[str, Any], *, where: str) -> M:
    """Validate a mapping as `model`.

    Args:
        model: The pydantic model to build.
        content: Mapping as read from YAML or JSON.
        where: Name of the file, for the error.

    Raises:
        ProjectError: With one sentence a problem: the key, the value, and the near miss or what is allowed.

    Example:
        >>> parse_model(Project, {"nam": "churn"}, where="tiltyard.yaml")
        Traceback (most recent call last):
        tiltyard.errors.ProjectError: `name` is missing ...
    """
    try:
        plain = json.dumps(content, default=str)
    except (ValueError, TypeError, RecursionError) as error:
        raise ProjectError(
            f"holds something that is no text, number, list or mapping ({error})",
            where=where,
            cure="Remove anchors that contain themselves and keys that are lists.",
        ) from error
    try:
        return model.model_validate_json(plain)
    except ValidationError as error:
        raise ProjectError(explain(error, model, json.loads(plain)), where=where) from error


def project_file_of(path: Path) -> Path:
    """Return the project file that a path means: itself, or the one in the folder.

    Args:
        path: A file, or a folder that holds `tiltyard.yaml`.
    """
    return path / PROJECT_FILE if path.is_dir() else path


def load_project(path: Path) -> Project:
    """Load and validate a project file.

    Args:
        path: The file, or the folder that holds `tiltyard.yaml`.

    Raises:
        ProjectError: The file is missing or wrong; names the key and the cure.
    """
    file = project_file_of(path)
    return parse_model(Project, read_yaml(file), where=str(file))
