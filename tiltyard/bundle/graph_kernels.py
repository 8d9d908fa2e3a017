"""Support vector machines as graphs in double.

The stock conversion is float32: it is off by 2e-4 for values and, on extreme rows, by 3e-5 for probabilities.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tiltyard.bundle.graph_linear import affine
from tiltyard.bundle.graph_nodes import Answer, Nodes
from tiltyard.errors import BundleError


def support_vector_scores(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write the `decision_function` of an SVC."""
    if model.probability is True:
        raise BundleError(
            "an SVC with `probability=True` has no exact graph", cure="Calibrate it with CalibratedClassifierCV."
        )
    classes = len(model.classes_)
    if classes == 2:
        return Answer(decision=_kernel_sum(nodes, model, rows, model.dual_coef_.T))
    pairs = _kernel_sum(nodes, model, rows, _pair_weights(model))
    return Answer(decision=pairs if model.decision_function_shape == "ovo" else _one_versus_rest(nodes, pairs, classes))


def support_vector_value(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write an SVR."""
    return Answer(values=nodes.flat(_kernel_sum(nodes, model, rows, model.dual_coef_.T)))


def squared_distances(nodes: Nodes, rows: str, points: NDArray[np.float64]) -> str:
    """Write |x - p|² for every row x and point p as |x|² - 2 x·p + |p|², never below 0; shape (n, points)."""
    rows = nodes.double(rows)
    own = nodes.op("ReduceSumSquare", rows, nodes.constant([1]), keepdims=1)
    mixed = affine(nodes, rows, -2.0 * points.T, (points**2).sum(axis=1))
    return nodes.op("Max", nodes.op("Add", mixed, own), nodes.constant(0.0))


def _kernel_sum(nodes: Nodes, model: Any, rows: str, weights: NDArray[np.float64]) -> str:
    """Write K(rows, support vectors) · weights + intercept."""
    vectors = np.asarray(model.support_vectors_, dtype=np.float64)
    if model.kernel == "linear":
        return affine(nodes, rows, vectors.T @ weights, model.intercept_)
    if model.kernel == "rbf":
        distances = squared_distances(nodes, rows, vectors)
        kernel = nodes.op("Exp", nodes.op("Mul", distances, nodes.constant(-float(model._gamma))))  # noqa: SLF001  # the value of `gamma="scale"` is public nowhere else
        return affine(nodes, kernel, weights, model.intercept_)
    raise BundleError(f"a support vector machine with the kernel `{model.kernel}` has no graph", cure="Use `rbf`.")


def _pair_weights(model: Any) -> NDArray[np.float64]:
    """Return the weight of each support vector in each one-versus-one machine, shape (vectors, pairs).

    libsvm keeps for a vector of class i its weight against class j in row j-1 (j > i) or j (j < i).
    """
    ends = np.cumsum(model.n_support_)
    blocks = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]
    pairs = list(combinations(range(len(blocks)), 2))
    weights = np.zeros((len(model.support_vectors_), len(pairs)))
    for column, (first, second) in enumerate(pairs):
        weights[blocks[first], column] = model.dual_coef_[second - 1, blocks[first]]
        weights[blocks[second], column] = model.dual_coef_[first, blocks[second]]
    return weights


def _one_versus_rest(nodes: Nodes, pairs: str, classes: int) -> str:
    """Write votes plus squeezed confidences, as scikit-learn's `_ovr_decision_function`."""
    both = list(combinations(range(classes), 2))
    first = np.array([[float(i == k) for k in range(classes)] for i, _ in both])
    second = np.array([[float(j == k) for k in range(classes)] for _, j in both])
    confidence = nodes.op("MatMul", pairs, nodes.constant(first - second))
    squeezed = nodes.op(
        "Div",
        confidence,
        nodes.op("Mul", nodes.constant(3.0), nodes.op("Add", nodes.op("Abs", confidence), nodes.constant(1.0))),
    )
    lost = nodes.op("Cast", nodes.op("Less", pairs, nodes.constant(0.0)), to=TensorProto.DOUBLE)
    votes = affine(nodes, lost, second - first, first.sum(axis=0))
    return nodes.op("Add", votes, squeezed)
