"""The reference of a version by the real path: made by its training run, downloaded when it is watched."""

from pathlib import Path

import numpy as np
import pytest

from tests.steps.conftest import Trained
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.parts import Part
from tiltyard.errors import AbsentError
from tiltyard.registry.records import ModelRef
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.place import Place
from tiltyard.steps.reference import load_reference

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


def test_a_training_run_leaves_its_reference_with_the_version(trained_linear: Trained) -> None:
    run, registered = trained_linear
    place = Place(run.project, run.workplace)
    found = load_reference(place, registered.ref)
    parts, frame = load_split(run), load_table(run)
    test = frame.iloc[parts.rows(Part.TEST)]
    np.testing.assert_array_equal(found.labels, target_array(test, run.contract))
    answers = Runtime.load(run.folder / "bundle").predict(feature_columns(test, run.contract))
    np.testing.assert_array_equal(found.predictions.array, answers.array)
    assert found.training.rows == len(frame) - len(test)
    assert found.facts.contract == run.contract.digest
    assert set(found.importance) == {f"feature_{column.name}" for column in run.contract.features}
    again = load_reference(place, registered.ref)
    np.testing.assert_array_equal(again.predictions.array, answers.array)


def test_a_version_without_a_reference_is_named_with_a_cure(trained_linear: Trained, tmp_path: Path) -> None:
    run, registered = trained_linear
    place = Place(run.project, run.workplace)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "file").write_text("x")
    made = place.registry.client.create_model_version("churn", source=(tmp_path / "model").as_uri())
    try:
        with pytest.raises(AbsentError, match="has no reference to be watched against") as raised:
            load_reference(place, ModelRef(name="churn", version=int(made.version)))
        assert "tiltyard train" in str(raised.value)
    finally:
        place.registry.client.delete_model_version("churn", made.version)
    with pytest.raises(AbsentError, match="there is no churn version 99"):
        load_reference(place, ModelRef(name="churn", version=99))
    copied = place.registry.client.copy_model_version(f"models:/churn/{registered.ref.version}", "churn-production")
    found = load_reference(place, ModelRef(name="churn-production", version=int(copied.version)))
    assert found.test.rows == load_reference(place, registered.ref).test.rows
