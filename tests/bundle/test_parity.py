"""Graph and fitted model agree for every family and task, on a whole test set and on hostile rows; or are refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.bundle.tables import ENCODER, LEVELS, TEST, TRAIN, fitted, make_contract, make_target
from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.neighbours import NeighboursClassifier, NeighboursRegressor
from tiltyard.bundle.transforms import DenseView, FilledView, ScaledTarget
from tiltyard.errors import BundleError
from tiltyard.project.metrics import Task

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

Make = Callable[[], Any]


def dense(model: Any) -> Any:
    return make_pipeline(DenseView(LEVELS), model)


def filled(model: Any) -> Any:
    return make_pipeline(FilledView(LEVELS), model)


def platt(model: Any) -> Any:
    return CalibratedClassifierCV(model, cv=3, ensemble=False)


def frozen(model: Any) -> Any:
    y = make_target(Task.BINARY, TRAIN, seed=3)
    return CalibratedClassifierCV(FrozenEstimator(model.fit(ENCODER.encode(TRAIN), y)))


CLASSIFIERS: dict[str, Make] = {
    "logistic": lambda: dense(LogisticRegression(max_iter=300)),
    "svm rbf": lambda: dense(platt(SVC(C=3.0, gamma=0.05))),
    "svm linear": lambda: dense(platt(SVC(kernel="linear"))),
    "svm one versus one": lambda: dense(platt(SVC(decision_function_shape="ovo", break_ties=False))),
    "svm primal": lambda: dense(CalibratedClassifierCV(LinearSVC(), cv=3)),
    "ridge classifier": lambda: dense(platt(RidgeClassifier())),
    "tree": lambda: filled(DecisionTreeClassifier(max_depth=8)),
    "tree with missing": lambda: DecisionTreeClassifier(max_depth=8),
    "bare leaf": lambda: filled(DecisionTreeClassifier(min_samples_leaf=300)),
    "forest": lambda: filled(RandomForestClassifier(30)),
    "forest with missing": lambda: RandomForestClassifier(30),
    "forest on dense": lambda: dense(RandomForestClassifier(10)),
    "extra trees": lambda: filled(ExtraTreesClassifier(30)),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=30),
    "calibrated boosting": lambda: platt(HistGradientBoostingClassifier(max_iter=15)),
    "calibrated forest": lambda: filled(platt(RandomForestClassifier(10))),
    "calibrated network": lambda: dense(platt(MLPClassifier(hidden_layer_sizes=(8,), max_iter=10))),
    "neighbours": lambda: dense(NeighboursClassifier(15)),
    "neighbours by blocks": lambda: dense(NeighboursClassifier(7, p=1)),
    "network": lambda: dense(MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=20)),
    "network tanh": lambda: dense(MLPClassifier(hidden_layer_sizes=(8,), activation="tanh", max_iter=20)),
    "dummy": lambda: DummyClassifier(strategy="prior"),
    "foreign": lambda: filled(GradientBoostingClassifier(n_estimators=10)),
    "foreign pipeline": lambda: dense(make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))),
}

REGRESSORS: dict[str, Make] = {
    "least squares": lambda: dense(LinearRegression()),
    "ridge": lambda: dense(Ridge()),
    "lasso": lambda: dense(Lasso()),
    "elastic net": lambda: dense(ElasticNet(alpha=0.1)),
    "scaled ridge": lambda: dense(ScaledTarget(Ridge())),
    "svr rbf": lambda: dense(ScaledTarget(SVR(C=10.0))),
    "svr linear": lambda: dense(ScaledTarget(SVR(kernel="linear"))),
    "svr primal": lambda: dense(ScaledTarget(LinearSVR())),
    "unscaled svr": lambda: dense(SVR(C=1000.0)),
    "tree": lambda: filled(DecisionTreeRegressor()),
    "tree with missing": DecisionTreeRegressor,
    "forest": lambda: filled(RandomForestRegressor(30)),
    "extra trees": lambda: filled(ExtraTreesRegressor(30)),
    "boosting": lambda: HistGradientBoostingRegressor(max_iter=30),
    "boosting of absolute errors": lambda: HistGradientBoostingRegressor(max_iter=30, loss="absolute_error"),
    "neighbours": lambda: dense(NeighboursRegressor(15)),
    "neighbours by blocks": lambda: dense(NeighboursRegressor(7, p=1)),
    "network": lambda: dense(ScaledTarget(MLPRegressor(hidden_layer_sizes=(16,), max_iter=20))),
    "dummy": DummyRegressor,
}

CASES: list[tuple[Task, str, Make]] = [
    *((Task.BINARY, name, make) for name, make in CLASSIFIERS.items()),
    *((Task.MULTICLASS, name, make) for name, make in CLASSIFIERS.items()),
    *((Task.REGRESSION, name, make) for name, make in REGRESSORS.items()),
]


@pytest.mark.parametrize(
    ("task", "make"), [pytest.param(task, make, id=f"{task}-{name}") for task, name, make in CASES]
)
def test_a_graph_answers_as_the_fitted_model(task: Task, make: Make, tmp_path: Path) -> None:
    manifest = build_bundle(
        fitted(task, make()), make_contract(task), TEST, tmp_path / "bundle", project="p", parity=1e-5
    )
    assert manifest.parity.rows > 250 + 32
    assert manifest.parity.max_difference <= 1e-5


@pytest.mark.parametrize("name", ["logistic", "forest", "boosting", "network"])
def test_a_model_calibrated_after_its_fit_agrees(name: str, tmp_path: Path) -> None:
    model = fitted(Task.BINARY, frozen(CLASSIFIERS[name]()))
    contract = make_contract(Task.BINARY)
    manifest = build_bundle(model, contract, TEST, tmp_path / "bundle", project="p", parity=1e-9)
    assert manifest.parity.max_difference < 1e-9


class Own(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """A subclass, which may answer differently from its base: no graph is guessed for it."""


def isotonic() -> Any:
    return dense(CalibratedClassifierCV(LogisticRegression(max_iter=300), method="isotonic", cv=3))


def categorical_boosting() -> Any:
    mask = [levels > 0 for levels in LEVELS]
    return HistGradientBoostingClassifier(max_iter=5, categorical_features=mask, min_samples_leaf=5)


REFUSED: dict[str, tuple[Task, Make, str]] = {
    "isotonic": (Task.BINARY, isotonic, "isotonic calibration has no exact graph"),
    "random dummy": (Task.BINARY, lambda: DummyClassifier(strategy="stratified"), "draws its answers at random"),
    "polynomial kernel": (Task.BINARY, lambda: dense(platt(SVC(kernel="poly"))), "kernel `poly`"),
    "float32 sums": (Task.REGRESSION, lambda: filled(GradientBoostingRegressor(n_estimators=60)), "differ by"),
    "naive Bayes": (Task.BINARY, lambda: dense(GaussianNB()), "differ by .*age="),
    "no probabilities": (Task.BINARY, lambda: dense(LinearSVC()), "has no probabilities"),
    "own class": (Task.BINARY, lambda: dense(Own()), "`Own` has no graph"),
}


@pytest.mark.parametrize(("task", "make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_exact_is_refused_with_the_reason(task: Task, make: Make, reason: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with pytest.raises(BundleError) as refusal:
        build_bundle(fitted(task, make()), make_contract(task), TEST, folder, project="p", parity=1e-8)
    assert re.search(reason, str(refusal.value))
    assert list(tmp_path.iterdir()) == []
