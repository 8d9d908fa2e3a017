"""Is this machine fit for Tiltyard: Python, packages, disk, home."""

import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tiltyard.project.diagnosis import Diagnosis, doubtful, fine, wrong

PACKAGE = "tiltyard"
INSTALL_AGAIN = "Install Tiltyard again in an environment of its own; in its checkout, `make install`."

_LITTLE_DISK = 5.0
_NO_DISK = 0.5


def check_python() -> Iterator[Diagnosis]:
    """Compare the running Python with the versions that Tiltyard is made for."""
    running, wanted = platform.python_version(), metadata.metadata(PACKAGE)["Requires-Python"]
    if SpecifierSet(wanted).contains(running, prereleases=True):
        yield fine("python", f"Python {running}.")
    else:
        yield wrong("python", f"Python {running} runs, and Tiltyard needs {wanted}.", INSTALL_AGAIN)


def check_packages() -> Iterator[Diagnosis]:
    """Compare the installed packages with what Tiltyard asks for."""
    asked = [Requirement(text) for text in metadata.requires(PACKAGE) or ()]
    found = missing_packages(asked, _installed)
    yield from (wrong("packages", sentence, INSTALL_AGAIN) for sentence in found)
    if not found:
        versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("prefect", "mlflow", "scikit-learn"))
        yield fine("packages", f"All packages have the versions asked for ({versions}).")


def missing_packages(asked: list[Requirement], installed: Callable[[str], str | None]) -> list[str]:
    """Say what is missing, or has a version that is not asked for; those of extras are not looked at.

    Args:
        asked: What is asked for.
        installed: Returns the version of a package, None when it is not there.

    Example:
        >>> missing_packages([Requirement("pandas>=2.3,<3"), Requirement("numpy")], {"pandas": "3.1"}.get)
        ['pandas 3.1 is installed, and <3,>=2.3 is needed.', 'numpy is not installed.']
    """
    found = []
    for requirement in asked:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = installed(requirement.name)
        if version is None:
            found.append(f"{requirement.name} is not installed.")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} {version} is installed, and {requirement.specifier} is needed.")
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_home(home: Path) -> Iterator[Diagnosis]:
    """See whether the home, or the first folder above it that is there, can be written.

    Args:
        home: Folder of runs, caches and the embedded registry; need not be there yet.
    """
    folder = _existing(home)
    cure = "Give yourself the right to write there, or set TILTYARD_HOME to another folder."
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield wrong("home", f"{folder} cannot be written ({error.strerror}).", cure)
        return
    made = "" if folder == home else "; the first run makes it"
    yield fine("home", f"{home}{made}.")


def check_disk(home: Path) -> Iterator[Diagnosis]:
    """See whether the disk of the home has room.

    Args:
        home: Folder of runs, caches and the embedded registry; need not be there yet.
    """
    free = shutil.disk_usage(_existing(home)).free / 1e9
    yield judge_disk(free, home)


def judge_disk(free: float, home: Path) -> Diagnosis:
    """Say whether that is room enough.

    Args:
        free: Free space, gigabytes.
        home: Folder it is about.
    """
    sentence = f"{free:.1f} GB are free for {home}."
    cure = "Make room, or set TILTYARD_HOME to a folder on another disk."
    if free < _NO_DISK:
        return wrong("disk", sentence, cure)
    return doubtful("disk", sentence, cure) if free < _LITTLE_DISK else fine("disk", sentence)


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())
