"""Linear models, neural networks and baselines as graphs in double."""

from typing import Any

import numpy as np

from tiltyard.bundle.graph_nodes import Answer, Nodes
from tiltyard.errors import BundleError

_ACTIVATIONS = {"identity": "", "logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softmax": "Softmax"}


def affine(nodes: Nodes, rows: str, weights: Any, intercept: Any) -> str:
    """Write rows · weights + intercept.

    Args:
        nodes: The graph.
        rows: Matrix, shape (n, f).
        weights: Shape (f, k).
        intercept: Scalar or shape (k,).
    """
    matrix = np.ascontiguousarray(weights, dtype=np.float64)
    shift = np.broadcast_to(np.asarray(intercept, dtype=np.float64), matrix.shape[1:]).copy()
    return nodes.op("Gemm", nodes.double(rows), nodes.constant(matrix), nodes.constant(shift))


def linear_scores(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a linear classifier that has scores and no probabilities."""
    return Answer(decision=affine(nodes, rows, np.atleast_2d(model.coef_).T, model.intercept_))


def logistic(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a logistic regression: sigmoid for two classes, softmax for more."""
    decision = affine(nodes, rows, model.coef_.T, model.intercept_)
    if len(model.classes_) == 2:
        return Answer(decision=decision, probabilities=nodes.binary(nodes.op("Sigmoid", decision)))
    return Answer(decision=decision, probabilities=nodes.op("Softmax", decision, axis=1))


def linear_value(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a linear regression."""
    return Answer(values=nodes.flat(affine(nodes, rows, np.reshape(model.coef_, (1, -1)).T, model.intercept_)))


def network(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a multi-layer perceptron; classifiers end in a sigmoid or softmax, regressors in the identity."""
    layer = rows
    for number, (weights, intercept) in enumerate(zip(model.coefs_, model.intercepts_, strict=True), start=1):
        layer = affine(nodes, layer, weights, intercept)
        name = model.out_activation_ if number == len(model.coefs_) else model.activation
        if name not in _ACTIVATIONS:
            raise BundleError(f"a network with the activation `{name}` has no graph")
        if _ACTIVATIONS[name]:
            layer = nodes.op(_ACTIVATIONS[name], layer)
    if not hasattr(model, "classes_"):
        return Answer(values=nodes.flat(layer))
    return Answer(probabilities=nodes.binary(layer) if len(model.classes_) == 2 else layer)


def constant_probabilities(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a dummy classifier: the same probabilities for every row."""
    if model.strategy == "stratified":
        raise BundleError("a dummy that draws its answers at random has no graph", cure="Use the strategy `prior`.")
    row = np.asarray(model.predict_proba(np.zeros((1, nodes.features))), dtype=np.float64)
    return Answer(probabilities=_repeat(nodes, rows, row))


def constant_value(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a dummy regressor: the same value for every row."""
    row = np.asarray(model.constant_, dtype=np.float64).reshape(1, 1)
    return Answer(values=nodes.flat(_repeat(nodes, rows, row)))


def _repeat(nodes: Nodes, rows: str, row: Any) -> str:
    """Write a constant row once per input row."""
    count = nodes.op("Shape", rows, start=0, end=1)
    shape = nodes.op("Concat", count, nodes.constant([row.shape[1]]), axis=0)
    return nodes.op("Expand", nodes.constant(row), shape)
