"""Estimators of other families through skl2onnx, in float32; the parity check decides whether they are exact enough."""

import re
from typing import Any

import numpy as np
from skl2onnx import to_onnx
from sklearn.base import is_classifier

from tiltyard.bundle.graph_nodes import OPSET, TREES, Answer, Nodes
from tiltyard.errors import BundleError

_CURE = "Use a family of Tiltyard, or an estimator that skl2onnx converts exactly."


def foreign(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write whatever skl2onnx can convert.

    Args:
        nodes: The graph.
        model: Fitted scikit-learn estimator or pipeline.
        rows: Matrix it was fitted on.

    Raises:
        BundleError: It cannot be converted; says why.
    """
    name = type(model).__name__
    options = {"zipmap": False} if is_classifier(model) else None
    sample = np.zeros((1, model.n_features_in_), dtype=np.float32)
    try:
        converted = to_onnx(model, sample, options=options, target_opset={"": OPSET, TREES: 3})
    except Exception as error:  # skl2onnx raises whatever it stumbles over
        raise BundleError(f"`{name}` has no graph: {_reason(error)}", cure=_CURE) from error
    outputs = [output.name for output in converted.graph.output]
    if is_classifier(model):
        if len(outputs) != 2:
            raise BundleError(f"`{name}` has no probabilities", cure="Calibrate it with CalibratedClassifierCV.")
        return Answer(probabilities=nodes.double(nodes.adopt(converted, nodes.single(rows), outputs[1])))
    value = nodes.op(
        "Reshape", nodes.adopt(converted, nodes.single(rows), outputs[0]), nodes.constant([-1]), single=True
    )
    return Answer(values=nodes.double(value))


def _reason(error: Exception) -> str:
    """Return the first sentence of what skl2onnx says."""
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    return text.split(". ")[0].split(" It usually means")[0][:200].rstrip(".")
