"""The champion in force, as a challenger meets it."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.runtime import Runtime
from tiltyard.registry import models
from tiltyard.registry.promotion import observe
from tiltyard.registry.records import ModelRef
from tiltyard.steps.place import Place
from tiltyard.steps.run import Assignment, TrainingRun

Mode = Literal["first", "superiority", "non_inferiority"]

VERDICT_MODE = "tiltyard.verdict_mode"
"""Tag of a version: the mode of its verdict."""

SEEN_ROWS = "seen_rows.npy"
"""File beside a version's bundle: sorted content hashes of the rows that the model learnt from, uint64."""


def find_champion(assignment: Assignment) -> ModelRef | None:
    """Return the champion in force; a move made by hand in MLflow since the last look is recorded in the ledger.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    place = Place(assignment.project, assignment.workplace)
    observe(place.ledger, place.registry)
    return models.champion(place.registry, assignment.project.name)


def champion_runtime(run: TrainingRun, champion: ModelRef) -> Runtime:
    """Return the champion, ready to answer, from its bundle.

    Raises:
        RegistryError: The version has no bundle, or MLflow cannot be reached.
        BundleError: Its bundle is damaged.
    """
    return Runtime.load(_file(run, champion, models.BUNDLE))


def champion_mode(run: TrainingRun, champion: ModelRef) -> Mode | None:
    """Return the mode of the verdict that put the champion there; None when no verdict of the gate did.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    registry = Place(run.project, run.workplace).registry
    said = models.version(registry, champion).tags.get(VERDICT_MODE, "")
    return said if said in get_args(Mode) else None  # type: ignore[return-value]  # just checked


def seen_rows(run: TrainingRun, champion: ModelRef) -> NDArray[np.uint64]:
    """Return the content hashes of the rows that the champion learnt from.

    Raises:
        RegistryError: The version does not tell, or MLflow cannot be reached.
    """
    found: NDArray[np.uint64] = np.load(_file(run, champion, SEEN_ROWS), allow_pickle=False)
    return found


def _file(run: TrainingRun, champion: ModelRef, name: str) -> Path:
    """Return a file or folder of the champion's, downloaded once a run."""
    registry = Place(run.project, run.workplace).registry
    return models.download(registry, champion, name, run.file(f"champion-{champion.version}/{name}"))
