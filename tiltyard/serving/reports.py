"""What every worker has loaded, written down for the sidecar: a small file a worker, beside the plan."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import Field, ValidationError

from tiltyard.project.section import Section
from tiltyard.serving.files import write_whole
from tiltyard.serving.slots import Served

_FOLDER = "workers"


class Report(Section):
    """What one worker has loaded.

    Attributes:
        champions: Version by model.
        candidates: Version by model.
        failed: By model, why its candidate could not be loaded.
    """

    champions: dict[str, int] = Field(default_factory=dict)
    candidates: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, str] = Field(default_factory=dict)


def report_of(served: Served, failed: Mapping[str, str]) -> Report:
    """Return the report of a worker.

    Args:
        served: What it answers with.
        failed: By model, why its candidate could not be loaded.
    """
    return Report(
        champions={name: slot.version for name, slot in served.slots.items()},
        candidates={name: candidate.slot.version for name, candidate in served.candidates.items()},
        failed=dict(failed),
    )


def write_report(plan: Path, report: Report) -> None:
    """Write this process's report beside the plan; where that cannot be done, the sidecar goes without it."""
    write_whole(plan.parent / _FOLDER / f"{os.getpid()}.json", report.model_dump_json())


def read_reports(plan: Path, parent: int) -> list[Report]:
    """Return the reports of the living workers; those of the dead are removed.

    Args:
        plan: Path of the plan file.
        parent: Process id of the supervisor, whose children the workers are.
    """
    return list(_living(plan.parent / _FOLDER, parent))


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
