"""From a fitted model to a verified bundle."""

from pathlib import Path

from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.manifest import Manifest
from tiltyard.bundle.sandbox import Verification, verify_bundle
from tiltyard.data.coercion import feature_columns
from tiltyard.data.parts import Part
from tiltyard.errors import BundleError
from tiltyard.project.section import Section
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.run import TrainingRun
from tiltyard.steps.training import FittedRef, load_model


class BundleRef(Section):
    """Where a bundle lies, and what it is.

    Attributes:
        folder: Its folder on this machine.
        digest: Digest of its manifest.
        manifest: The manifest.
    """

    folder: Path
    digest: str
    manifest: Manifest


def build(run: TrainingRun, fitted: FittedRef) -> BundleRef:
    """Build the bundle and hold it against the fitted model on every test row.

    Raises:
        BundleError: The model cannot be converted exactly; says why.
    """
    frame = load_table(run)
    test = frame.iloc[load_split(run).rows(Part.TEST)].reset_index(drop=True)
    folder = run.file("bundle/manifest.json").parent
    manifest = build_bundle(
        load_model(fitted.model),
        run.contract,
        feature_columns(test, run.contract),
        folder,
        project=run.project.name,
        parity=run.project.bundle.parity,
    )
    return BundleRef(folder=folder, digest=manifest.digest, manifest=manifest)


def verify(run: TrainingRun, bundle: BundleRef) -> Verification:  # noqa: ARG001  # the run names the step's result
    """Load and query the bundle in a fresh process, as a serving worker would.

    Raises:
        BundleError: It cannot be loaded there or answers otherwise.
    """
    verification = verify_bundle(bundle.folder)
    if not verification.passed:
        raise BundleError(verification.sentence, where=str(bundle.folder), cure="Report this; the champion stays.")
    return verification
