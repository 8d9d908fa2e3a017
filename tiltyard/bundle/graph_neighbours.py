"""Nearest neighbours as a graph: distances on a grid, the first of equals wins (see `tiltyard.bundle.neighbours`)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiltyard.bundle.graph_kernels import squared_distances
from tiltyard.bundle.graph_nodes import Answer, Nodes
from tiltyard.bundle.neighbours import FARTHEST, GRID


def neighbour_probabilities(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a classifier: the share of each class among the nearest rows."""
    return Answer(probabilities=_mean_answer(nodes, model, rows))


def neighbour_value(nodes: Nodes, model: Any, rows: str) -> Answer:
    """Write a regressor: the mean target of the nearest rows."""
    return Answer(values=nodes.flat(_mean_answer(nodes, model, rows)))


def _mean_answer(nodes: Nodes, model: Any, rows: str) -> str:
    distances = squared_distances(nodes, rows, model.points_) if model.p == 2 else _blocks(nodes, rows, model.points_)
    steps = nodes.op("Round", nodes.op("Mul", distances, nodes.constant(GRID)))
    steps = nodes.op("Min", steps, nodes.constant(FARTHEST))
    count = min(model.n_neighbors, len(model.points_))
    _, nearest = nodes.two("TopK", steps, nodes.constant([count]), axis=1, largest=0, sorted=1)
    answers = nodes.op("Gather", nodes.constant(model.answers_), nearest, axis=0)
    return nodes.op("ReduceMean", answers, nodes.constant([1]), keepdims=0)


def _blocks(nodes: Nodes, rows: str, points: NDArray[np.float64]) -> str:
    """Write Manhattan distances, row by row, since all at once they need rows * points * columns of memory."""
    make = helper.make_node
    body = helper.make_graph(
        [
            make("Sub", ["row", "points"], ["apart"]),
            make("Abs", ["apart"], ["size"]),
            make("ReduceSum", ["size", "axis"], ["distance"], keepdims=0),
        ],
        "blocks",
        [helper.make_tensor_value_info("row", TensorProto.DOUBLE, [points.shape[1]])],
        [helper.make_tensor_value_info("distance", TensorProto.DOUBLE, [len(points)])],
        [numpy_helper.from_array(points, "points"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    return nodes.op("Scan", nodes.double(rows), body=body, num_scan_inputs=1)
