"""From a fitted linear model to its folded form (see `tiltyard.bundle.folded`)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import LinearSVC, LinearSVR

from tiltyard.bundle.folded import CLIP, Folded, LevelTerm, NumberTerm
from tiltyard.bundle.model import FittedModel
from tiltyard.bundle.transforms import DenseView, ScaledTarget, signed_log

_SCORES = (LogisticRegression, LinearSVC, RidgeClassifier)
_VALUES = (LinearRegression, Ridge, Lasso, ElasticNet, LinearSVR)


@dataclass(frozen=True)
class Line:
    """A linear function of the dense view.

    Attributes:
        weights: Shape (columns of the view,).
        intercept: Added to the sum.
        is_logit: Whether the answer is the logistic function of it.
        view: The view; None while it has not been met.
    """

    weights: NDArray[np.float64]
    intercept: float
    is_logit: bool = False
    view: DenseView | None = None

    def stretched(self, slope: float, shift: float, *, is_logit: bool) -> "Line":
        """Return slope · line + shift."""
        return replace(self, weights=self.weights * slope, intercept=self.intercept * slope + shift, is_logit=is_logit)


def fold(model: FittedModel) -> Folded | None:
    """Return a model's folded form; None for one that is not linear, or has more than one output."""
    line = _line(model.estimator)
    if line is None or line.view is None or line.is_logit != model.task.is_classification:
        return None
    terms = _terms(line.view, line.weights)
    numbers = [line.intercept, *line.weights.tolist()]
    if not np.isfinite(numbers).all() or len(terms) != len(model.encoder.features):
        return None
    return Folded(terms=terms, intercept=line.intercept, answer="probability" if line.is_logit else "value")


def _line(estimator: Any) -> Line | None:
    """Return an estimator as a line; exact types only, as in `tiltyard.bundle.graph`."""
    kind = type(estimator)
    if kind in _SCORES:
        is_logit = kind is LogisticRegression
        return _single(estimator, is_logit=is_logit) if len(estimator.classes_) == 2 else None
    if kind in _VALUES:
        return _single(estimator, is_logit=False)
    wrapped = _WRAPPERS.get(kind)
    return None if wrapped is None else wrapped(estimator)


def _single(estimator: Any, *, is_logit: bool) -> Line | None:
    """Return a model with one output."""
    weights = np.ravel(np.asarray(estimator.coef_, dtype=np.float64))
    if len(weights) != estimator.n_features_in_:
        return None
    return Line(weights, float(np.ravel(estimator.intercept_)[0]), is_logit)


def _pipeline(pipeline: Any) -> Line | None:
    views = [step for _, step in pipeline.steps[:-1] if step is not None and step != "passthrough"]
    line = _line(pipeline.steps[-1][1])
    if line is None or line.view is not None or len(views) != 1 or type(views[0]) is not DenseView:
        return None
    return replace(line, view=views[0])


def _frozen(frozen: Any) -> Line | None:
    return _line(frozen.estimator)


def _scaled(scaled: Any) -> Line | None:
    line = _line(scaled.estimator_)
    return None if line is None else line.stretched(scaled.scale_, scaled.mean_, is_logit=False)


def _calibrated(calibrated: Any) -> Line | None:
    """Return Platt's sigmoid of one machine's scores."""
    members = calibrated.calibrated_classifiers_
    if len(members) != 1 or members[0].method != "sigmoid" or len(members[0].classes) != 2:
        return None
    if not hasattr(members[0].estimator, "decision_function"):
        return None
    line, sigmoid = _line(members[0].estimator), members[0].calibrators[0]
    return None if line is None else line.stretched(-float(sigmoid.a_), -float(sigmoid.b_), is_logit=True)


_WRAPPERS = {
    Pipeline: _pipeline,
    FrozenEstimator: _frozen,
    ScaledTarget: _scaled,
    CalibratedClassifierCV: _calibrated,
}


def _terms(view: DenseView, weights: NDArray[np.float64]) -> tuple[NumberTerm | LevelTerm, ...]:
    """Return the terms by column of the matrix; in the view numbers come first, then holes, then levels."""
    count, holes = len(view.numbers_), len(view.holes_)
    hole = dict(zip(view.holes_.tolist(), weights[count : count + holes].tolist(), strict=True))
    levels: dict[int, dict[float, float]] = {}
    missing: dict[int, float] = {}
    for (column, code), weight in zip(view.codes_.tolist(), weights[count + holes :].tolist(), strict=True):
        if np.isnan(code):
            missing[int(column)] = weight
        else:
            levels.setdefault(int(column), {})[code] = weight
    terms: dict[int, NumberTerm | LevelTerm] = {
        column: LevelTerm(weights=tuple(by_code[code] for code in sorted(by_code)), missing=missing.get(column, 0.0))
        for column, by_code in levels.items()
    }
    for at, column in enumerate(view.numbers_.tolist()):
        terms[column] = _number(view, at, float(weights[at]), hole.get(column, 0.0))
    return tuple(terms[column] for column in sorted(terms))


def _number(view: DenseView, at: int, weight: float, hole: float) -> NumberTerm:
    """Return the term of a number; a missing one is the median, and a hole."""
    mean, scale, skewed = float(view.mean_[at]), float(view.scale_[at]), bool(view.skewed_[at])
    fill = float(signed_log(view.fill_)[at] if skewed else view.fill_[at])
    missing = weight * min(max((fill - mean) / scale, -CLIP), CLIP) + hole
    return NumberTerm(mean=mean, scale=scale, weight=weight, skewed=skewed, missing=missing)
