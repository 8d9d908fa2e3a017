"""Registering by the real path: the model in MLflow is kept by skops and answers as the fitted one."""

from pathlib import Path

import mlflow.sklearn
import numpy as np
import pytest

from tests.steps.conftest import Trained
from tiltyard.bundle.table_model import TableModel
from tiltyard.registry import models
from tiltyard.registry.registration import SERIALIZATION
from tiltyard.steps.data import load_table
from tiltyard.steps.place import Place
from tiltyard.steps.training import load_model

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.mark.parametrize("family", ["linear", "boosting"])
def test_the_registered_model_is_kept_by_skops(family: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    trained: Trained = request.getfixturevalue(f"trained_{family}")
    run, registered = trained
    registry = Place(run.project, run.workplace).registry
    assert models.version(registry, registered.ref).tags[SERIALIZATION] == "skops"
    files = models.download(registry, registered.ref, "", tmp_path / "model")
    loaded = mlflow.sklearn.load_model(str(files))
    fitted = TableModel(load_model(run.folder / "model.joblib"), run.contract)
    frame = load_table(run)
    np.testing.assert_array_equal(loaded.predict_proba(frame), fitted.predict_proba(frame))
    assert loaded.predict(frame).tolist() == fitted.predict(frame).tolist()
    assert (loaded.contract, loaded.model.family, loaded.model.threshold) == (
        run.contract,
        fitted.model.family,
        fitted.model.threshold,
    )
