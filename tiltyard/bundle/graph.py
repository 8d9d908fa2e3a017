"""From a fitted estimator to an ONNX graph that answers the same.

The families of the house have graphs of their own, written in double from their fitted numbers; anything else goes
through skl2onnx. What has no exact graph is refused here with the reason, or by the parity check of
`tiltyard.bundle.build`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tiltyard.bundle.fold import fold
from tiltyard.bundle.folded import NOTE
from tiltyard.bundle.graph_foreign import foreign
from tiltyard.bundle.graph_kernels import support_vector_scores, support_vector_value
from tiltyard.bundle.graph_linear import (
    constant_probabilities,
    constant_value,
    linear_scores,
    linear_value,
    logistic,
    network,
)
from tiltyard.bundle.graph_neighbours import neighbour_probabilities, neighbour_value
from tiltyard.bundle.graph_nodes import Answer, Nodes
from tiltyard.bundle.graph_trees import boosted_probabilities, boosted_value, tree_probabilities, tree_value
from tiltyard.bundle.graph_views import dense, filled
from tiltyard.bundle.model import FittedModel
from tiltyard.bundle.neighbours import NeighboursClassifier, NeighboursRegressor
from tiltyard.bundle.runtime import INPUT, PROBABILITIES, VALUES
from tiltyard.bundle.transforms import DenseView, FilledView, ScaledTarget
from tiltyard.errors import BundleError

Writer = Callable[[Nodes, Any, str], Answer]


def build_graph(model: FittedModel) -> onnx.ModelProto:
    """Return a fitted model's graph, with its folded form as a note where it has one.

    Args:
        model: The model; its estimator takes the encoder's matrix.

    Returns:
        An ONNX model with the float32 input `rows` (n, features) and one double output: `probabilities` (n, k), or
        `values` (n,).

    Raises:
        BundleError: The estimator, or a part of it, has no exact graph; says which and why.
    """
    graph, folded = _graph(model), fold(model)
    if folded is not None:
        onnx.helper.set_model_props(graph, {NOTE: folded.model_dump_json()})
    return graph


def _graph(model: FittedModel) -> onnx.ModelProto:
    """Return the graph alone."""
    nodes = Nodes(len(model.encoder.features))
    answer = write(nodes, model.estimator, INPUT)
    if not model.task.is_classification:
        if answer.values is None:
            raise BundleError(f"`{type(model.estimator).__name__}` answers no values, and the task is regression")
        return nodes.model(answer.values, VALUES, [None])
    if answer.probabilities is None:
        raise BundleError(
            f"`{type(model.estimator).__name__}` has no probabilities", cure="Calibrate it with CalibratedClassifierCV."
        )
    return nodes.model(answer.probabilities, PROBABILITIES, [None, len(model.classes)])


def write(nodes: Nodes, estimator: Any, rows: str) -> Answer:
    """Write one estimator; parts call it again for theirs.

    Args:
        nodes: The graph.
        estimator: Fitted.
        rows: Name of the matrix it takes.
    """
    return WRITERS.get(type(estimator), foreign)(nodes, estimator, rows)


def _pipeline(nodes: Nodes, pipeline: Any, rows: str) -> Answer:
    """Write views until a step comes that is none; the rest is one estimator."""
    for position, (_, step) in enumerate(pipeline.steps):
        if isinstance(step, DenseView):
            rows = dense(nodes, step, rows)
        elif isinstance(step, FilledView):
            rows = filled(nodes, step, rows)
        elif step is not None and step != "passthrough":
            rest = pipeline.steps[position:]
            return write(nodes, step, rows) if len(rest) == 1 else foreign(nodes, Pipeline(rest), rows)
    raise BundleError("a pipeline without a model at its end has no graph")


def _frozen(nodes: Nodes, frozen: Any, rows: str) -> Answer:
    return write(nodes, frozen.estimator, rows)


def _scaled_target(nodes: Nodes, scaled: Any, rows: str) -> Answer:
    inner = write(nodes, scaled.estimator_, rows)
    if inner.values is None:
        raise BundleError(f"`{type(scaled.estimator_).__name__}` answers no values")
    grown = nodes.op("Mul", inner.values, nodes.constant(scaled.scale_))
    return Answer(values=nodes.op("Add", grown, nodes.constant(scaled.mean_)))


def _calibrated(nodes: Nodes, calibrated: Any, rows: str) -> Answer:
    """Write the mean of the calibrated classifiers."""
    members = [_calibrated_member(nodes, member, rows) for member in calibrated.calibrated_classifiers_]
    total = nodes.op("Sum", *members) if len(members) > 1 else members[0]
    if len(members) > 1:
        total = nodes.op("Div", total, nodes.constant(float(len(members))))
    return Answer(probabilities=total)


def _calibrated_member(nodes: Nodes, member: Any, rows: str) -> str:
    """Write Platt's sigmoid 1/(1+exp(a·s+b)) of each class's score s, normalised over the classes."""
    if member.method != "sigmoid":
        raise BundleError(f"{member.method} calibration has no exact graph", cure="Use `calibration: sigmoid`.")
    scores = _scores(nodes, member.estimator, rows)
    slopes = np.array([-calibrator.a_ for calibrator in member.calibrators], dtype=np.float64)
    shifts = np.array([-calibrator.b_ for calibrator in member.calibrators], dtype=np.float64)
    if len(member.classes) > 2 and len(slopes) != len(member.classes):
        raise BundleError("a class is missing from the rows that calibrate", cure="Give the calibration more rows.")
    line = nodes.op("Add", nodes.op("Mul", scores, nodes.constant(slopes)), nodes.constant(shifts))
    shares = nodes.op("Sigmoid", line)
    if len(member.classes) == 2:
        return nodes.binary(shares)
    total = nodes.op("ReduceSum", shares, nodes.constant([1]), keepdims=1)
    nothing = nodes.op("Equal", total, nodes.constant(0.0))
    uniform = nodes.constant(np.full((1, len(slopes)), 1.0 / len(slopes)))
    return nodes.op("Where", nothing, uniform, nodes.op("Div", shares, total))


def _scores(nodes: Nodes, estimator: Any, rows: str) -> str:
    """Write what calibration starts from: the decision function, else the probabilities."""
    answer = write(nodes, estimator, rows)
    if hasattr(estimator, "decision_function"):
        if answer.decision is None:
            raise BundleError(f"the calibrated `{type(estimator).__name__}` has no exact graph of its scores")
        return answer.decision
    if answer.probabilities is None:
        raise BundleError(f"the calibrated `{type(estimator).__name__}` has neither scores nor probabilities")
    return nodes.columns(answer.probabilities, [1]) if len(estimator.classes_) == 2 else answer.probabilities


WRITERS: dict[type[Any], Writer] = {
    Pipeline: _pipeline,
    FrozenEstimator: _frozen,
    ScaledTarget: _scaled_target,
    CalibratedClassifierCV: _calibrated,
    LogisticRegression: logistic,
    LinearSVC: linear_scores,
    RidgeClassifier: linear_scores,
    LinearRegression: linear_value,
    Ridge: linear_value,
    Lasso: linear_value,
    ElasticNet: linear_value,
    LinearSVR: linear_value,
    MLPClassifier: network,
    MLPRegressor: network,
    DummyClassifier: constant_probabilities,
    DummyRegressor: constant_value,
    SVC: support_vector_scores,
    SVR: support_vector_value,
    DecisionTreeClassifier: tree_probabilities,
    RandomForestClassifier: tree_probabilities,
    ExtraTreesClassifier: tree_probabilities,
    DecisionTreeRegressor: tree_value,
    RandomForestRegressor: tree_value,
    ExtraTreesRegressor: tree_value,
    HistGradientBoostingClassifier: boosted_probabilities,
    HistGradientBoostingRegressor: boosted_value,
    NeighboursClassifier: neighbour_probabilities,
    NeighboursRegressor: neighbour_value,
}
"""Exact types only: a subclass may answer differently."""
