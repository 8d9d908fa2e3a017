"""A fitted model becomes a registered version, once per training run."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from skops import io as skops

from tiltyard.data.contract import Contract
from tiltyard.registry.client import TAKEN, Registry, quiet
from tiltyard.registry.models import BUNDLE, search, set_alias
from tiltyard.registry.records import CHALLENGER, ModelRef, TrackedRun
from tiltyard.registry.requirements import pip_requirements
from tiltyard.registry.signature import input_example, signature_of
from tiltyard.registry.tracking import RUN_KEY

SERIALIZATION = "tiltyard.serialization"
_EXAMPLE_ROWS = 5
_LINKED_VERSIONS = "mlflow.modelVersions"
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Submission:
    """What is registered.

    Attributes:
        project: Name of the project, which is the registered model's.
        run_key: Key of the training run; one version per key.
        model: The model as a scikit-learn style object on a frame of the contract's features.
        contract: The data contract, for the signature.
        example: A few typed rows, for the input example.
        bundle: Folder of the bundle.
        files: Further files that travel with the version, local path by path within it (not below `bundle`).
        tags: Evidence: verdict, digests, figures.
        description: The evidence in words.
    """

    project: str
    run_key: str
    model: Any
    contract: Contract
    example: pd.DataFrame
    bundle: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


def register_version(registry: Registry, tracked: TrackedRun, submission: Submission) -> ModelRef:
    """Register a model as the project's challenger; a version with the same key is found, never doubled.

    The version is created by one call, with its key among the tags, after every file is in place: killed before that
    call there is no version, killed after it there is a whole one.

    Args:
        registry: The connection.
        tracked: Run it comes from.
        submission: What is registered.

    Raises:
        RegistryError: MLflow cannot be reached or refuses; a repeated call carries on.
    """
    with registry.explained(f"register a version of `{submission.project}`"), quiet():
        ref = find_version(registry, submission.project, submission.run_key)
        if ref is None:
            logged = _ready_model(registry, tracked, submission)
            ref = _create_version(registry, tracked, submission, logged)
    set_alias(registry, ref, CHALLENGER)
    return ref


def find_version(registry: Registry, name: str, run_key: str) -> ModelRef | None:
    """Return the version that a training run has registered; None when it has not.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
    """
    with registry.explained(f"look for the version of the run `{run_key}`"):
        found = search(registry, f"name = '{name}' AND tags.`{RUN_KEY}` = '{run_key}'")
    numbers = sorted(int(version.version) for version in found)
    return ModelRef(name=name, version=numbers[0]) if numbers else None


def _create_version(registry: Registry, tracked: TrackedRun, submission: Submission, logged: LoggedModel) -> ModelRef:
    """Create the version with everything it says about itself.

    A server resolves `models:/…` itself and links the two; beside a database there is nobody to, so the place of the
    files is given instead.
    """
    client, name = registry.client, submission.project
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != TAKEN:
            raise
    made = client.create_model_version(
        name,
        source=f"models:/{logged.model_id}" if registry.is_server else logged.artifact_location,
        run_id=tracked.run,
        model_id=logged.model_id,
        tags={**logged.tags, **submission.tags, RUN_KEY: submission.run_key},
        description=submission.description or None,
    )
    ref = _only_one(registry, submission, int(made.version))
    links = json.dumps([{"name": name, "version": ref.version}])
    client.set_logged_model_tags(logged.model_id, {_LINKED_VERSIONS: links})
    return ref


def _only_one(registry: Registry, submission: Submission, made: int) -> ModelRef:
    """Return the first version of the key, and drop the one just made when there is an earlier one.

    MLflow's client sends a request again when its answer was lost, which may have made two.
    """
    first = find_version(registry, submission.project, submission.run_key)
    if first is None or first.version == made:
        return ModelRef(name=submission.project, version=made)
    registry.client.delete_model_version(submission.project, str(made))
    return first


def _ready_model(registry: Registry, tracked: TrackedRun, submission: Submission) -> LoggedModel:
    """Return the run's logged model with all its files: the one that is there, or a new one."""
    wanted = f"tags.`{RUN_KEY}` = '{submission.run_key}'"
    for logged in registry.client.search_logged_models([tracked.experiment], wanted):
        if logged.status == LoggedModelStatus.READY:
            return logged
        registry.client.delete_logged_model(logged.model_id)
    return _log_model(registry, tracked, submission)


def _log_model(registry: Registry, tracked: TrackedRun, submission: Submission) -> LoggedModel:
    """Log the model in MLflow's sklearn flavour, with the bundle and the further files beside it."""
    example = input_example(submission.example.head(_EXAMPLE_ROWS), submission.contract)
    serialization, trusted, reason = _serialization(submission.model, example)
    tags = {RUN_KEY: submission.run_key, SERIALIZATION: f"{serialization} ({reason})" if reason else serialization}
    client = registry.client
    logged = client.create_logged_model(tracked.experiment, submission.project, tracked.run, tags, model_type="sklearn")
    client.log_outputs(tracked.run, [LoggedModelOutput(logged.model_id, step=0)])
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "model"
        mlflow.sklearn.save_model(
            submission.model,
            str(files),
            mlflow_model=Model(
                logged.artifact_location, run_id=tracked.run, model_uuid=logged.model_id, model_id=logged.model_id
            ),
            signature=signature_of(submission.contract),
            input_example=example,
            pip_requirements=pip_requirements(),
            serialization_format=serialization,
            skops_trusted_types=trusted,
        )
        _copy_beside(submission, files)
        client.log_model_artifacts(logged.model_id, str(files))
    return client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _copy_beside(submission: Submission, files: Path) -> None:
    """Put the bundle and the further files beside the model."""
    shutil.copytree(submission.bundle, files / BUNDLE)
    for place, path in submission.files.items():
        target = files / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _serialization(model: Any, example: pd.DataFrame) -> tuple[str, list[str] | None, str]:
    """Choose how MLflow keeps the scikit-learn object: skops, which names every type it will load.

    The types trusted are those of this very object, known to us because we have just made it. Some objects cannot be
    kept that way (a user's own estimator, say); they are pickled, and a tag on the version gives the reason. Serving
    reads neither: it has the bundle.

    Returns:
        The format, the types trusted with skops, and the reason when it is not skops.
    """
    try:
        content = skops.dumps(model)
        trusted = skops.get_untrusted_types(data=content)
        answers = skops.loads(content, trusted=trusted).predict(example)
        if np.array_equal(np.asarray(answers), np.asarray(model.predict(example))):
            return "skops", trusted, ""
        reason = "skops gives back a model that answers differently"
    except Exception as error:  # noqa: BLE001  # whatever a user's own class raises; the reason goes on the version
        reason = f"not skops: {error}"
    return "cloudpickle", None, reason.splitlines()[0][:_LONGEST_REASON]
