"""The two views as graphs; the same operations in the same order as in `tiltyard.bundle.transforms`."""

import numpy as np
from onnx import TensorProto

from tiltyard.bundle.graph_nodes import Nodes
from tiltyard.bundle.transforms import CLIP, DenseView, FilledView


def filled(nodes: Nodes, view: FilledView, rows: str) -> str:
    """Write a filled view; returns a float32 matrix."""
    rows = nodes.single(rows)
    return nodes.op("Where", nodes.op("IsNaN", rows), nodes.constant(view.fill_), rows, single=True)


def dense(nodes: Nodes, view: DenseView, rows: str) -> str:
    """Write a dense view; returns a double matrix."""
    rows = nodes.single(rows)
    blocks = []
    if view.numbers_.size:
        blocks.append(_numbers(nodes, view, rows))
    if view.holes_.size:
        holes = nodes.op("IsNaN", nodes.columns(rows, view.holes_))
        blocks.append(nodes.op("Cast", holes, to=TensorProto.DOUBLE))
    if len(view.codes_):
        blocks.append(_one_hot(nodes, view, rows))
    return nodes.op("Concat", *blocks, axis=1)


def _numbers(nodes: Nodes, view: DenseView, rows: str) -> str:
    raw = nodes.double(nodes.columns(rows, view.numbers_))
    numbers = nodes.op("Where", nodes.op("IsNaN", raw), nodes.constant(view.fill_), raw)
    if view.skewed_.any():
        size = nodes.op("Log", nodes.op("Add", nodes.constant(1.0), nodes.op("Abs", numbers)))
        logs = nodes.op("Mul", nodes.op("Sign", numbers), size)
        numbers = nodes.op("Where", nodes.constant(view.skewed_), logs, numbers)
    scaled = nodes.op("Div", nodes.op("Sub", numbers, nodes.constant(view.mean_)), nodes.constant(view.scale_))
    return nodes.op("Clip", scaled, nodes.constant(-CLIP), nodes.constant(CLIP))


def _one_hot(nodes: Nodes, view: DenseView, rows: str) -> str:
    values = nodes.columns(rows, view.codes_[:, 0].astype(np.int64))
    codes = view.codes_[:, 1].astype(np.float32)
    same = nodes.op("Equal", values, nodes.constant(codes))
    if np.isnan(codes).any():
        missing = nodes.op("And", nodes.op("IsNaN", values), nodes.constant(np.isnan(codes)))
        same = nodes.op("Or", same, missing)
    return nodes.op("Cast", same, to=TensorProto.DOUBLE)
