"""A bundle is written as a whole or not at all, holds no code, and is the same for the same model."""

import errno
import json
import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from tests.bundle.tables import CLASSES, ENCODER, TEST, fitted, make_contract
from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.manifest import FILES, MANIFEST, Manifest, read_manifest
from tiltyard.bundle.model import FittedModel
from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import BundleError
from tiltyard.project.metrics import Task

CONTRACT = make_contract(Task.BINARY)


def build_it(model: FittedModel, folder: Path) -> Manifest:
    return build_bundle(model, CONTRACT, TEST, folder, project="churn", parity=1e-5)


def test_a_bundle_is_five_files_without_pickle_or_import_path(built: Path) -> None:
    assert {file.name for file in built.iterdir()} == {*FILES, MANIFEST}
    for file in built.iterdir():
        content = file.read_bytes()
        assert not content.startswith(b"\x80")
        assert b"sklearn" not in content
        if file.suffix == ".json":
            json.loads(content)


def test_the_manifest_says_what_was_measured(built: Path) -> None:
    manifest = read_manifest(built)
    runtime = Runtime.load(built)
    assert manifest.parity.rows == len(TEST["age"]) + len(runtime.golden.labels)
    assert 0 <= manifest.parity.max_difference < 1e-9
    assert 0 < manifest.latency_ms < 100
    assert (manifest.classes, manifest.family, manifest.project) == (CLASSES[Task.BINARY], "linear", "churn")
    assert manifest.versions["onnxruntime"]


def test_the_same_model_gives_the_same_digest(model: FittedModel, built: Path, tmp_path: Path) -> None:
    assert build_it(model, tmp_path / "again").digest == read_manifest(built).digest


def test_a_bundle_that_is_there_is_replaced_as_a_whole(model: FittedModel, bundle: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"damaged")
    (bundle / "extra").touch()
    build_it(model, bundle)
    assert Runtime.load(bundle).replay() < 1e-9
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_leaves_the_old_bundle_and_nothing_else(
    failing: str, model: FittedModel, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, full)
    with pytest.raises(BundleError, match=r"cannot be written \(No space left on device\)"):
        build_it(model, bundle)
    monkeypatch.undo()
    assert [file.name for file in bundle.parent.iterdir()] == ["bundle"]
    assert Runtime.load(bundle).replay() < 1e-9


def test_a_difference_names_the_row_and_its_values(model: FittedModel, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as refusal:
        build_bundle(model, CONTRACT, TEST, tmp_path / "b", project="churn", parity=1e-300)
    assert "age=" in str(refusal.value)
    assert "of the test set" in str(refusal.value)


def test_a_model_that_fails_on_hostile_rows_is_refused(tmp_path: Path) -> None:
    model = fitted(Task.BINARY, HistGradientBoostingClassifier(max_iter=2))
    honest = model.estimator.predict_proba

    def picky(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        if np.isnan(matrix).all(axis=1).any():
            raise ValueError("Input X contains NaN.")
        return np.asarray(honest(matrix))

    model.estimator.predict_proba = picky
    with pytest.raises(BundleError, match=r"cannot answer the golden rows.*\(Input X contains NaN\)"):
        build_it(model, tmp_path / "b")


def test_a_model_of_another_contract_is_refused(model: FittedModel, tmp_path: Path) -> None:
    for contract in (make_contract(Task.MULTICLASS), CONTRACT.model_copy(update={"columns": CONTRACT.columns[1:]})):
        with pytest.raises(BundleError, match="trained"):
            build_bundle(model, contract, TEST, tmp_path / "b", project="churn", parity=1e-5)


def test_an_empty_test_set_is_refused(model: FittedModel, tmp_path: Path) -> None:
    nothing = {name: values[:0] for name, values in TEST.items()}
    with pytest.raises(BundleError, match="above 0"):
        build_bundle(model, CONTRACT, nothing, tmp_path / "b", project="churn", parity=1e-5)


def test_the_runtime_answers_as_the_model_does_on_new_rows(model: FittedModel, built: Path) -> None:
    wanted = model.predict(TEST).array
    assert np.abs(Runtime.load(built).predict(TEST).array - wanted).max() < 1e-12
    assert Runtime.load(built).encoder == ENCODER
