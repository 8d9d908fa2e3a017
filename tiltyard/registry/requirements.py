"""What a logged model needs to run: exact versions, and the commit it was made from."""

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_NEEDED = (
    "cloudpickle",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "scikit-learn",
    "scipy",
    "skops",
    "tiltyard",
)
_GIT_SECONDS = 5.0


def pip_requirements() -> list[str]:
    """Return the requirements of a logged model as `name==version`.

    Given explicitly, because MLflow would otherwise load the model in a process of its own to find them, which takes
    half a minute. A package that is not installed (Tiltyard itself, run from a checkout) is left out.
    """
    return [f"{name}=={found}" for name in _NEEDED if (found := _installed(name))]


def git_tags(folder: Path) -> dict[str, str]:
    """Return MLflow's tags for the commit a folder is at; empty outside of a git repository.

    Args:
        folder: The project's folder.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": branch,
        "tiltyard.git_changed": "true" if changed else "false",
    }


def _installed(name: str) -> str:
    """Return the version of an installed package; empty when it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _git(folder: Path, *arguments: str) -> str:
    """Return what git answers; nothing when it is not installed or refuses."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
