"""The roll call: what the living workers of a server say that they have loaded."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import ValidationError

from tiltyard.serving.reports import FOLDER, Report


def read_reports(plan: Path, parent: int) -> list[Report]:
    """Return the reports of the living workers; those of the dead are removed.

    Args:
        plan: Path of the plan file.
        parent: Process id of the supervisor, whose children the workers are.
    """
    return list(_living(plan.parent / FOLDER, parent))


def _living(folder: Path, parent: int) -> Iterator[Report]:
    for file in folder.glob("*.json"):
        if _parent_of(file.stem) != parent:
            with suppress(OSError):
                file.unlink()
            continue
        with suppress(OSError, ValidationError):
            yield Report.model_validate_json(file.read_bytes())


def _parent_of(process: str) -> int | None:
    """Return the parent of a process that is alive; None for any other."""
    try:
        found = psutil.Process(int(process))
        return None if found.status() == psutil.STATUS_ZOMBIE else found.ppid()
    except (psutil.Error, ValueError):
        return None
