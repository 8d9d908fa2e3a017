"""Small bundles made by hand, whose answers tell which version gave them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.golden import Cell, Golden
from tiltyard.bundle.manifest import CONTRACT, ENCODER, FILES, GOLDEN, GRAPH, MANIFEST, Manifest, Parity, sha256
from tiltyard.data.contract import Column, Contract, Kind, Level, Role
from tiltyard.project.metrics import Task

CONTRACT_OF_CHURN = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="age", kind=Kind.NUMBER),
        Column(name="plan", kind=Kind.CATEGORY, nullable=True, levels=("basic", "gold")),
        Column(name="region", kind=Kind.CATEGORY, nullable=True, levels=("north", "south"), new_levels="refuse"),
        Column(name="visits", kind=Kind.INTEGER, nullable=True),
        Column(name="seen", kind=Kind.TIME, nullable=True),
        Column(name="churned", kind=Kind.BOOLEAN, role=Role.TARGET),
    ),
    classes=(False, True),
)
CONTRACT_OF_DEMAND = Contract(
    task=Task.REGRESSION,
    columns=(
        Column(name="price", kind=Kind.NUMBER, nullable=True),
        Column(name="sold", kind=Kind.NUMBER, role=Role.TARGET),
    ),
)
ROW = {"age": 41, "plan": "basic", "region": None, "visits": 3, "seen": "2026-11-20T10:00:00Z"}


Manner = Literal["sloping", "broken"]
SLOPE = 1000.0


def _tensor(name: str, values: Sequence[float], kind: type = np.float64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=kind), name)


def _graph(features: int, answer: Sequence[float], task: Task) -> bytes:
    """A graph that gives every row the same answer."""
    width = len(answer)
    nodes = [
        helper.make_node("Shape", ["rows"], ["shape"], start=0, end=1),
        helper.make_node("Concat", ["shape", "one"], ["repeats"], axis=0),
    ]
    if task is Task.REGRESSION:
        nodes.append(helper.make_node("Tile", ["answer", "shape"], ["values"]))
        output = helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["n"])
    else:
        nodes.append(helper.make_node("Tile", ["answers", "repeats"], ["probabilities"]))
        output = helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["n", width])
    constants = [_tensor("one", [1], np.int64), _tensor("answer", answer)]
    constants.append(numpy_helper.from_array(np.array([answer]), "answers"))
    source = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", features])
    graph = helper.make_graph(nodes, "constant", [source], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def weighing_graph(features: int, answers: int, task: Task) -> bytes:
    """A graph whose answer depends on every bit of a row: a weighted sum, missing values as zero."""
    weights = np.sin(np.arange(1.0, 1.0 + features * answers)).reshape(features, answers)
    nodes = [
        helper.make_node("IsNaN", ["rows"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "rows"], ["filled"]),
        helper.make_node("Cast", ["filled"], ["numbers"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["numbers", "weights"], ["sums"]),
    ]
    if task is Task.REGRESSION:
        nodes.append(helper.make_node("Reshape", ["sums", "flat"], ["values"]))
        output = helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["n"])
    else:
        nodes.append(helper.make_node("Softmax", ["sums"], ["probabilities"], axis=1))
        output = helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["n", answers])
    constants = [_tensor("zero", [0], np.float32), _tensor("flat", [-1], np.int64)]
    constants.append(numpy_helper.from_array(weights, "weights"))
    source = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", features])
    graph = helper.make_graph(nodes, "weighing", [source], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_weighing_bundle(folder: Path, contract: Contract) -> str:
    """Write a bundle whose answers depend on every bit of a row; return its digest."""
    width = len(contract.classes) or 1
    answer = [1 / width] * width if contract.classes else [0.0]
    graph = weighing_graph(len(Encoder.of(contract).features), width, contract.task)
    return write_bundle(folder, contract, answer, graph=graph)


def telling_graph(number: int, manner: Manner) -> bytes:
    """A graph of a regression on one feature whose answers tell its number, the remainder of a division by `SLOPE`.

    A row without the feature is answered with the number itself; any other one with `SLOPE` times the feature more, or,
    by a broken graph, with NaN.
    """
    nodes = [
        helper.make_node("Cast", ["rows"], ["doubles"], to=TensorProto.DOUBLE),
        helper.make_node("Reshape", ["doubles", "flat"], ["x"]),
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["known"]),
        helper.make_node("Mul", ["known", "slope"], ["part"]),
        helper.make_node("Add", ["part", "answer"], ["sum"]),
        helper.make_node("Where", ["missing", "answer", "nan" if manner == "broken" else "sum"], ["values"]),
    ]
    constants = [_tensor("flat", [-1], np.int64), _tensor("zero", [0.0]), _tensor("slope", [SLOPE])]
    constants += [_tensor("answer", [float(number)]), _tensor("nan", [np.nan])]
    source = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", 1])
    output = helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["n"])
    graph = helper.make_graph(nodes, manner, [source], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_bundle(
    folder: Path,
    contract: Contract,
    answer: Sequence[float],
    *,
    expected: Sequence[float] | None = None,
    graph: bytes | None = None,
) -> str:
    """Write a bundle whose every answer is `answer`; return its digest. With `expected`, its golden rows are wrong.

    With a `graph` of its own, `answer` is the one to a row whose every value is missing.
    """
    encoder = Encoder.of(contract)
    classes: tuple[Level, ...] = contract.classes
    cells: dict[str, tuple[Cell, ...]] = {column.name: (None,) for column in contract.features}
    golden = Golden(columns=cells, labels=("empty",), expected=(tuple(expected or answer),))
    contents = {
        CONTRACT: contract.model_dump_json().encode(),
        ENCODER: encoder.model_dump_json().encode(),
        GOLDEN: golden.model_dump_json().encode(),
        GRAPH: graph or _graph(len(encoder.features), answer, contract.task),
    }
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(contents[name])
    manifest = Manifest(
        project="churn",
        task=contract.task,
        classes=classes,
        files={name: sha256(content) for name, content in contents.items()},
        parity=Parity(rows=1, max_difference=0.0, tolerance=1e-5),
        latency_ms=0.1,
        size_bytes=sum(map(len, contents.values())),
        created=datetime(2026, 11, 20, tzinfo=UTC),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return manifest.digest
