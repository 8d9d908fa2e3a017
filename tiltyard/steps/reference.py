"""The reference of a version: written when it is registered, brought back when it is watched."""

from collections.abc import Mapping
from pathlib import Path

from tiltyard.bundle.runtime import Runtime
from tiltyard.data.parts import Part
from tiltyard.data.split import Split
from tiltyard.errors import AbsentError
from tiltyard.evaluation.records import Scorecard
from tiltyard.monitoring.reference import REFERENCE, RETRAIN, Clusters, Reference, Rows, read_reference, write_reference
from tiltyard.registry import models
from tiltyard.registry.records import ModelRef
from tiltyard.steps.bundling import BundleRef
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.place import Place
from tiltyard.steps.run import TrainingRun


def reference_files(run: TrainingRun, bundle: BundleRef, scorecard: Scorecard) -> Mapping[str, Path]:
    """Write the reference of a run's version; returns its files by their place within the version's."""
    split = load_split(run)
    return write_reference(
        run.file(f"{REFERENCE}/rows").parent,
        load_table(run),
        run.contract,
        Rows(split.rows(Part.TEST), split.rows(Part.TRAIN, Part.VALIDATION, Part.CALIBRATION), _clusters(run, split)),
        predict=Runtime.load(bundle.folder).predict,
        scorecard=scorecard,
        seed=run.project.search.seed,
    )


def load_reference(place: Place, ref: ModelRef) -> Reference:
    """Return what a version is held against, downloaded once.

    A version that MLflow's *Promote model* copied has the reference of its source.

    Raises:
        AbsentError: There is no such version, or it has no reference.
        RegistryError: MLflow or its artifacts cannot be reached.
        DataError: The reference is damaged.
    """
    made = models.version(place.registry, ref).created
    folder = place.workplace.home / "references" / ref.name / f"{ref.version}-{made}"
    if not folder.exists() and not models.has_files(place.registry, ref, REFERENCE):
        raise AbsentError(
            f"{ref} has no reference to be watched against: it was registered by an older Tiltyard, or by hand",
            where=place.registry.shown_uri,
            cure=RETRAIN,
        )
    return read_reference(models.download(place.registry, ref, REFERENCE, folder), where=str(ref))


def _clusters(run: TrainingRun, split: Split) -> Clusters:
    """Return what belonged together when the test rows were judged."""
    if run.project.data.group is not None:
        return "key"
    return "time" if split.order.any() else "row"
