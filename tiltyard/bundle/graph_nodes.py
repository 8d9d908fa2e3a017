"""Writing an ONNX graph node by node: names, types, constants, and the one form every bundle's graph has."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiltyard.bundle.runtime import INPUT

OPSET = 21
IR_VERSION = 10
TREES = "ai.onnx.ml"


class Answer(NamedTuple):
    """Names of what an estimator answers, all double.

    Attributes:
        probabilities: Shape (n, k).
        decision: Shape (n, 1) for two classes, else (n, k); None where the estimator has no `decision_function`.
        values: Shape (n,).
    """

    probabilities: str | None = None
    decision: str | None = None
    values: str | None = None


class Nodes:
    """A graph under construction. Results are double unless said otherwise.

    Args:
        features: Columns of the float32 input `rows`.
    """

    def __init__(self, features: int) -> None:
        self.features = features
        self.opsets = {"": OPSET}
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._types = {INPUT: TensorProto.FLOAT}
        self._count = 0

    def constant(self, array: NDArray[Any] | float | list[int]) -> str:
        """Return the name of a constant; floats are double, lists are int64."""
        name = self._name("c")
        self._constants[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", single: bool = False, **attributes: Any) -> str:
        """Add a node with one output and return its name.

        Args:
            kind: Operator.
            inputs: Names.
            domain: Operator domain.
            single: Whether the result is float32 instead of double.
            attributes: Of the operator.
        """
        name = self._name(kind.lower())
        self._nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        self._types[name] = TensorProto.FLOAT if single else TensorProto.DOUBLE
        return name

    def two(self, kind: str, *inputs: str, **attributes: Any) -> tuple[str, str]:
        """Add a node with two outputs and return their names."""
        names = self._name(kind.lower()), self._name(kind.lower())
        self._nodes.append(helper.make_node(kind, list(inputs), list(names), **attributes))
        return names

    def double(self, name: str) -> str:
        """Return a float tensor as double."""
        if self._types[name] == TensorProto.DOUBLE:
            return name
        return self.op("Cast", name, to=TensorProto.DOUBLE)

    def single(self, name: str) -> str:
        """Return a float tensor as float32."""
        if self._types[name] == TensorProto.FLOAT:
            return name
        return self.op("Cast", name, to=TensorProto.FLOAT, single=True)

    def columns(self, name: str, indices: NDArray[np.int64] | list[int]) -> str:
        """Return some columns of a matrix, of its type."""
        single = self._types[name] == TensorProto.FLOAT
        return self.op("Gather", name, self.constant(np.asarray(indices, dtype=np.int64)), axis=1, single=single)

    def binary(self, positive: str) -> str:
        """Return (1 - p, p) from p, shape (n, 1)."""
        return self.op("Gemm", positive, self.constant(np.array([[-1.0, 1.0]])), self.constant(np.array([1.0, 0.0])))

    def flat(self, name: str) -> str:
        """Return shape (n,) from (n, 1)."""
        return self.op("Squeeze", name, self.constant([1]))

    def adopt(self, model: onnx.ModelProto, source: str, output: str) -> str:
        """Append another model's nodes.

        Args:
            model: A model with one input.
            source: Name here that becomes its input.
            output: Name of its output that is wanted.

        Returns:
            The name of that output here; it counts as float32.
        """
        prefix = self._name("f") + "_"
        renamed = onnx.compose.add_prefix(model, prefix)
        self.opsets |= {item.domain: item.version for item in model.opset_import if item.domain}
        self._constants |= {item.name: item for item in renamed.graph.initializer}
        for node in renamed.graph.node:
            for position, name in enumerate(node.input):
                if name == prefix + model.graph.input[0].name:
                    node.input[position] = source
            self._nodes.append(node)
        self._types[prefix + output] = TensorProto.FLOAT
        return prefix + output

    def model(self, result: str, name: str, shape: list[Any]) -> onnx.ModelProto:
        """Return the finished model: the nodes that lead to `result`, which is named `name`.

        Args:
            result: Name of the answer, double.
            name: Name of the graph's output.
            shape: Its shape.
        """
        self._nodes.append(helper.make_node("Identity", [result], [name]))
        nodes, constants = self._needed(name)
        graph = helper.make_graph(
            nodes,
            "tiltyard",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, self.features])],
            [helper.make_tensor_value_info(name, TensorProto.DOUBLE, shape)],
            constants,
        )
        imports = [helper.make_opsetid(domain, version) for domain, version in sorted(self.opsets.items())]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="tiltyard")
        onnx.checker.check_model(model)
        return model

    def _needed(self, output: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Return the nodes and constants that an output depends on, in order."""
        wanted, kept = {output}, []
        for node in reversed(self._nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                wanted.update(_captured(node))
                kept.append(node)
        return kept[::-1], [tensor for name, tensor in self._constants.items() if name in wanted]

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


def _captured(node: onnx.NodeProto) -> set[str]:
    """Return every name the inner graphs of a node read, their own included."""
    inner = [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    names: set[str] = set()
    for graph in inner:
        for child in graph.node:
            names.update(child.input)
            names.update(_captured(child))
    return names


def tree_opset(nodes: Nodes, attributes: Mapping[str, Any], table: str) -> str:
    """Add a tree ensemble (ai.onnx.ml 5, the first whose splits and sums may be double) and return its name."""
    nodes.opsets[TREES] = 5
    return nodes.op("TreeEnsemble", table, domain=TREES, **attributes)
