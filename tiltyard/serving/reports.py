"""What every worker has loaded, written down for the sidecar: a small file a worker, beside the plan."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from tiltyard.project.section import Section
from tiltyard.serving.files import write_whole
from tiltyard.serving.slots import Served

FOLDER = "workers"
"""Name of the reports' folder, beside the plan."""


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
    write_whole(plan.parent / FOLDER / f"{os.getpid()}.json", report.model_dump_json())
