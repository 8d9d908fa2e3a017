"""The two views as graphs; the same operations in the same order as in `tiltyard.bundle.transforms`."""

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tiltyard.bundle.graph_nodes import Nodes
from tiltyard.bundle.transforms import CLIP, DenseView, FilledView

_MISSING = -2.0
"""Code of a missing level within the graph; -1 is an unknown one."""


def filled(nodes: Nodes, view: FilledView, rows: str) -> str:
    """Write a filled view; returns a float32 matrix."""
    rows = nodes.single(rows)
    return nodes.op("Where", nodes.op("IsNaN", rows), nodes.constant(view.fill_), rows, single=True)


def dense(nodes: Nodes, view: DenseView, rows: str) -> str:
    """Write a dense view; returns a double matrix."""
    table = nodes.double(nodes.single(rows))
    missing = nodes.op("IsNaN", table)
    whole = nodes.op("Where", missing, nodes.constant(_fill(view)), table)
    blocks = []
    if view.numbers_.size:
        blocks.append(_numbers(nodes, view, whole))
    if view.holes_.size:
        blocks.append(nodes.op("Cast", nodes.columns(missing, view.holes_), to=TensorProto.DOUBLE))
    if len(view.codes_):
        blocks.append(_one_hot(nodes, view, whole))
    return nodes.op("Concat", *blocks, axis=1)


def _fill(view: DenseView) -> NDArray[np.float64]:
    """Return what stands for missing in each column: the median of a number, a code of its own for a category."""
    fill = np.full(view.n_features_in_, _MISSING)
    fill[view.numbers_] = view.fill_
    return fill


def _numbers(nodes: Nodes, view: DenseView, whole: str) -> str:
    numbers = nodes.columns(whole, view.numbers_)
    if view.skewed_.any():
        size = nodes.op("Log", nodes.op("Add", nodes.constant(1.0), nodes.op("Abs", numbers)))
        logs = nodes.op("Mul", nodes.op("Sign", numbers), size)
        numbers = nodes.op("Where", nodes.constant(view.skewed_), logs, numbers)
    scaled = nodes.op("Div", nodes.op("Sub", numbers, nodes.constant(view.mean_)), nodes.constant(view.scale_))
    return nodes.op("Clip", scaled, nodes.constant(-CLIP), nodes.constant(CLIP))


def _one_hot(nodes: Nodes, view: DenseView, whole: str) -> str:
    values = nodes.columns(whole, view.codes_[:, 0].astype(np.int64))
    codes = np.where(np.isnan(view.codes_[:, 1]), _MISSING, view.codes_[:, 1])
    return nodes.op("Cast", nodes.op("Equal", values, nodes.constant(codes)), to=TensorProto.DOUBLE)
