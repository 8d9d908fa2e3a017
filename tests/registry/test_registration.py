from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import mlflow
import pandas as pd
import pytest

from tiltyard.registry import registration
from tiltyard.registry.client import Registry, quiet
from tiltyard.registry.models import (
    challenger,
    champion,
    download,
    download_bundle,
    models,
    set_tags,
    version,
    versions,
)
from tiltyard.registry.records import ModelRef, TrackedRun
from tiltyard.registry.registration import Submission, register_version
from tiltyard.registry.tracking import RUN_KEY, start_run

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


def test_a_version_has_its_evidence_and_is_challenger(
    registry: Registry, run: TrackedRun, submission: Submission
) -> None:
    ref = register_version(registry, run, submission)
    info = version(registry, ref)
    assert info.ref == ModelRef(name=submission.project, version=1)
    assert info.tags["tiltyard.verdict"] == "promote"
    assert info.tags[RUN_KEY] == "key-1"
    assert info.tags["tiltyard.serialization"] == "skops"
    assert info.description == "Better than the champion."
    assert info.aliases == ("challenger",)
    assert info.run == run.run
    assert challenger(registry, submission.project) == ref
    assert champion(registry, submission.project) is None
    assert submission.project in models(registry)


def test_registering_again_finds_the_version(registry: Registry, run: TrackedRun, submission: Submission) -> None:
    first = register_version(registry, run, submission)
    assert register_version(registry, run, submission) == first
    assert len(versions(registry, submission.project)) == 1


def test_the_bundle_and_files_come_back(
    registry: Registry, run: TrackedRun, submission: Submission, tmp_path: Path
) -> None:
    ref = register_version(registry, run, submission)
    folder = download_bundle(registry, ref, tmp_path / "cache" / "1")
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.onnx"]
    assert (folder / "model.onnx").read_bytes() == b"graph"
    assert download_bundle(registry, ref, folder) == folder
    seen = download(registry, ref, "tiltyard/seen.bin", tmp_path / "cache" / "seen.bin")
    assert seen.read_bytes() == b"keys"
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["1", "seen.bin"]


def test_a_version_copied_by_mlflow_is_one_like_any_other(
    registry: Registry, run: TrackedRun, submission: Submission, tmp_path: Path
) -> None:
    ref = register_version(registry, run, submission)
    other = f"{submission.project}-copy"
    registry.client.copy_model_version(f"models:/{ref.name}/{ref.version}", other)
    copied = version(registry, ModelRef(name=other, version=1))
    assert copied.tags["tiltyard.verdict"] == "promote"
    folder = download_bundle(registry, copied.ref, tmp_path / "copy")
    assert (folder / "model.onnx").read_bytes() == b"graph"


def test_mlflow_loads_the_model_with_signature_and_example(
    registry: Registry, run: TrackedRun, submission: Submission, tmp_path: Path
) -> None:
    ref = register_version(registry, run, submission)
    files = download(registry, ref, "", tmp_path / "files")
    with quiet():
        loaded = mlflow.sklearn.load_model(str(files))
        served = mlflow.pyfunc.load_model(str(files))
    rows = pd.DataFrame({"age": [20.0, None], "income": [1.0, -1.0]})
    assert list(loaded.predict(rows.fillna(0.0))) == [True, False]
    inputs = served.metadata.signature.inputs.to_dict()
    assert [(spec["name"], spec["type"], spec["required"]) for spec in inputs] == [
        ("age", "double", False),
        ("income", "double", True),
    ]
    assert served.metadata.load_input_example(str(files)).shape == (5, 2)
    assert "mlflow==" in (files / "requirements.txt").read_text()


def test_killed_before_the_version_nothing_is_doubled(
    registry: Registry, run: TrackedRun, submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registration, "_create_version", die)
        with pytest.raises(KeyboardInterrupt):
            register_version(registry, run, submission)
    assert versions(registry, submission.project) == ()
    register_version(registry, run, submission)
    assert [info.ref.version for info in versions(registry, submission.project)] == [1]
    assert len(registry.client.search_logged_models([run.experiment])) == 1


def test_killed_while_files_are_sent_the_half_model_is_dropped(
    registry: Registry, run: TrackedRun, submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry.client, "log_model_artifacts", die)
        with pytest.raises(KeyboardInterrupt):
            register_version(registry, run, submission)
    ref = register_version(registry, run, submission)
    assert ref.version == 1
    assert len(registry.client.search_logged_models([run.experiment])) == 1


def test_a_request_sent_twice_leaves_one_version(
    embedded: Registry, name: str, submission: Submission, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = registration_run(embedded, name)
    once = embedded.client.create_model_version

    def twice(*args: object, **kwargs: object) -> object:
        once(*args, **kwargs)  # type: ignore[arg-type]
        return once(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(embedded.client, "create_model_version", twice)
    assert register_version(embedded, run, submission).version == 1
    assert len(versions(embedded, name)) == 1


def registration_run(registry: Registry, name: str) -> TrackedRun:
    return start_run(registry, name, "key-1", name="run")


def test_what_skops_cannot_keep_is_pickled_and_says_so(embedded: Registry, name: str, submission: Submission) -> None:
    run = registration_run(embedded, name)
    ref = register_version(embedded, run, replace(submission, model=Awkward()))
    assert version(embedded, ref).tags["tiltyard.serialization"].startswith("cloudpickle (not skops: ")


class Awkward:
    """A model with something inside that skops does not know."""

    def __init__(self) -> None:
        self.inside = iter(range(3))

    def predict(self, rows: pd.DataFrame) -> list[int]:
        return [0] * len(rows)


def test_two_who_set_a_tag_at_the_same_moment_both_succeed(
    registry: Registry, run: TrackedRun, submission: Submission
) -> None:
    ref = register_version(registry, run, submission)
    together = Barrier(2)

    def note(value: str) -> None:
        for number in range(20):
            together.wait(30)
            set_tags(registry, ref, {f"note {number}": value})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(note, ("one", "other")))
    assert {version(registry, ref).tags[f"note {number}"] for number in range(20)} <= {"one", "other"}
