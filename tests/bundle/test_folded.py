"""A linear model's folded form answers as its graph does, and a row alone as among others, to the last bit."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Lasso, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from tests.bundle.tables import ENCODER, LEVELS, TEST, TRAIN, fitted, make_contract, make_target
from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.fold import fold
from tiltyard.bundle.folded import NOTE, Folded, LevelTerm, NumberTerm, logistic
from tiltyard.bundle.graph import build_graph
from tiltyard.bundle.manifest import GRAPH
from tiltyard.bundle.runtime import GraphSession, Runtime
from tiltyard.bundle.transforms import DenseView, FilledView, ScaledTarget
from tiltyard.bundle.wire import note_of
from tiltyard.errors import BundleError
from tiltyard.project.metrics import Task

Make = Callable[[], Any]


def dense(model: Any) -> Any:
    return make_pipeline(DenseView(LEVELS), model)


def calibrated_after() -> Any:
    learnt = dense(LogisticRegression(max_iter=300)).fit(ENCODER.encode(TRAIN), make_target(Task.BINARY, TRAIN, seed=3))
    return CalibratedClassifierCV(FrozenEstimator(learnt))


FOLDED: dict[str, tuple[Task, Make]] = {
    "logistic": (Task.BINARY, lambda: dense(LogisticRegression(max_iter=300))),
    "calibrated logistic": (Task.BINARY, calibrated_after),
    "calibrated machine": (Task.BINARY, lambda: dense(CalibratedClassifierCV(LinearSVC(), cv=3, ensemble=False))),
    "calibrated ridge": (Task.BINARY, lambda: dense(CalibratedClassifierCV(RidgeClassifier(), cv=3, ensemble=False))),
    "ridge": (Task.REGRESSION, lambda: dense(Ridge())),
    "lasso": (Task.REGRESSION, lambda: dense(Lasso())),
    "scaled ridge": (Task.REGRESSION, lambda: dense(ScaledTarget(Ridge()))),
}
NOT_FOLDED: dict[str, tuple[Task, Make]] = {
    "three classes": (Task.MULTICLASS, lambda: dense(LogisticRegression(max_iter=300))),
    "three machines": (Task.BINARY, lambda: dense(CalibratedClassifierCV(LinearSVC(), cv=3))),
    "calibrated twice": (
        Task.BINARY,
        lambda: dense(CalibratedClassifierCV(CalibratedClassifierCV(LinearSVC(), ensemble=False), ensemble=False)),
    ),
    "filled": (Task.BINARY, lambda: make_pipeline(FilledView(LEVELS), LogisticRegression(max_iter=300))),
    "boosting": (Task.BINARY, lambda: HistGradientBoostingClassifier(max_iter=3)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("task", "make"), FOLDED.values(), ids=FOLDED)
def test_a_linear_model_is_folded_and_answers_as_its_graph(task: Task, make: Make) -> None:
    model = fitted(task, make())
    graph = build_graph(model)
    assert [item.key for item in graph.metadata_props] == [NOTE]
    content = graph.SerializeToString()
    session = GraphSession(content, features=len(ENCODER.features), task=task, classes=len(model.classes))
    matrix = ENCODER.encode(TEST)
    matrix[:5] = [[value] * matrix.shape[1] for value in (np.nan, 1e30, -1e30, -1.0, 70.0)]
    wanted = np.asarray(model.estimator.predict_proba(matrix) if model.classes else model.estimator.predict(matrix))
    assert session.differences(matrix, wanted.astype(np.float64)).max() < 1e-9
    together = session.predict(matrix).array
    alone = np.concatenate([session.predict(matrix[row : row + 1]).array for row in range(len(matrix))])
    assert together.tobytes() == alone.tobytes()
    assert session.predict(matrix[:0]).array.shape == together[:0].shape


@pytest.mark.parametrize(("task", "make"), NOT_FOLDED.values(), ids=NOT_FOLDED)
def test_anything_else_is_answered_by_its_graph(task: Task, make: Make) -> None:
    model = fitted(task, make())
    assert fold(model) is None
    assert not build_graph(model).metadata_props


def test_a_worker_answers_a_linear_model_without_its_graph(built: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from tiltyard.bundle.runtime import Runtime\n"
        "runtime = Runtime.load(Path(sys.argv[1]), lean=True); runtime.replay()\n"
        "table = runtime.golden.table(runtime.encoder)\n"
        "print(runtime.predict(table).array.tobytes().hex(), 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(built)], capture_output=True, text=True, check=True)
    whole = Runtime.load(built)
    answers = whole.predict(whole.golden.table(whole.encoder)).array.tobytes().hex()
    assert done.stdout.split() == [answers, "False"]


def test_notes_are_read_as_the_onnx_library_reads_them() -> None:
    graph = build_graph(fitted(Task.BINARY, dense(LogisticRegression(max_iter=300))))
    onnx.helper.set_model_props(graph, {"other": "x", NOTE: "größer", "": "y"})
    content = graph.SerializeToString()
    assert [note_of(content, item.key) for item in graph.metadata_props] == [
        item.value.encode() for item in graph.metadata_props
    ]
    assert note_of(content, "absent") is None


def test_a_damaged_note_is_refused() -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        note_of(b"\x72\x02\x07\x07", NOTE)


finite = st.floats(-1e6, 1e6)
numbers = st.builds(
    NumberTerm, mean=finite, scale=st.floats(1e-3, 1e3), weight=finite, skewed=st.booleans(), missing=finite
)
levels = st.builds(LevelTerm, weights=st.lists(finite, max_size=4).map(tuple), missing=finite)
cells = st.floats(-(2.0**99), 2.0**99, width=32) | st.sampled_from([np.nan, -1.0, 0.0, -0.0, 1.0, 2.0, 3.0, 4.0, 70.0])


@given(data=st.data(), terms=st.lists(numbers | levels, min_size=1, max_size=5), intercept=finite)
def test_a_row_is_answered_alone_as_among_others(data: st.DataObject, terms: list[Any], intercept: float) -> None:
    matrix = data.draw(arrays.arrays(np.float32, (3, len(terms)), elements=cells.map(np.float32)))
    for at, term in enumerate(terms):
        if isinstance(term, LevelTerm):
            matrix[:, at] = np.where(np.abs(matrix[:, at]) > 100, -1.0, np.trunc(matrix[:, at]))
    for answer in ("probability", "value"):
        scorer = Folded.model_validate({"terms": tuple(terms), "intercept": intercept, "answer": answer}).scorer()
        alone = np.concatenate([scorer.predict(matrix[row : row + 1]).array for row in range(3)])
        assert scorer.predict(matrix).array.tobytes() == alone.tobytes()


@given(st.floats(allow_nan=False))
def test_the_logistic_function_never_overflows(total: float) -> None:
    assert 0.0 <= logistic(total) <= 1.0


def note(graph: onnx.ModelProto, change: Callable[[dict[str, Any]], object]) -> bytes:
    content = json.loads(graph.metadata_props[0].value)
    change(content)
    graph.metadata_props[0].value = json.dumps(content)
    return bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["terms"].pop(), "folded form of another model"),
        (lambda content: content.update(answer="value"), "folded form of another model"),
        (lambda content: content.update(intercept="1"), "not a valid folded at `intercept`"),
        (lambda content: content.update(intercept=float("inf")), "not a valid folded"),
        (lambda content: content["terms"][0].update(scale=0.0), "not a valid folded"),
    ],
)
def test_a_note_of_another_form_is_refused(change: Callable[[dict[str, Any]], object], words: str) -> None:
    model = fitted(Task.BINARY, dense(LogisticRegression(max_iter=300)))
    graph = note(build_graph(model), change)
    with pytest.raises(BundleError, match=words):
        GraphSession(graph, features=len(ENCODER.features), task=Task.BINARY, classes=2)


def test_a_note_that_answers_otherwise_is_found_by_the_golden_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fitted(Task.BINARY, dense(LogisticRegression(max_iter=300)))
    build_bundle(model, make_contract(Task.BINARY), TEST, tmp_path / "bundle", project="p", parity=1e-5)
    runtime = Runtime.load(tmp_path / "bundle")
    assert runtime.replay() < 1e-9
    altered = note(
        onnx.load(tmp_path / "bundle" / GRAPH), lambda content: content.update(intercept=content["intercept"] + 0.1)
    )
    session = GraphSession(altered, features=len(ENCODER.features), task=Task.BINARY, classes=2)
    monkeypatch.setattr(runtime, "_session", session)
    with pytest.raises(BundleError, match="golden row"):
        runtime.replay()
