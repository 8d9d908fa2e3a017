"""The champion in force, as a challenger meets it."""

from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.runtime import Runtime
from tiltyard.registry import models
from tiltyard.registry.by_hand import settle
from tiltyard.registry.records import ModelRef
from tiltyard.registry.tracking import RUN_KEY
from tiltyard.steps.place import Place
from tiltyard.steps.run import TrainingRun

Mode = Literal["first", "superiority", "non_inferiority"]

VERDICT_MODE = "tiltyard.verdict_mode"
"""Tag of a version: the mode of its verdict."""

SEEN_ROWS = "seen_rows.npy"
"""File beside a version's bundle: sorted content hashes of the rows that the model learnt from, uint64."""


def find_opponent(run: TrainingRun) -> ModelRef | None:
    """Return the champion that the run's challenger must beat; None when there is none.

    A move made by hand in MLflow since the last look is recorded in the ledger, or put back, first. When the champion
    is this very run's version, because an earlier start of the run was cut off right after promoting it, it is the one
    before.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
    """
    place = Place(run.project, run.workplace)
    settle(place.ledger, place.registry, run.project.gates)
    champion = models.champion(place.registry, run.project.name)
    if champion is None or models.version(place.registry, champion).tags.get(RUN_KEY) != run.key:
        return champion
    state = place.ledger.state()
    move = state.open or state.since
    before = move.replaces if move and move.version == champion.version else None
    return None if before is None else ModelRef(name=run.project.name, version=before)


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
