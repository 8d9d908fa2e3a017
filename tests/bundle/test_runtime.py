"""The runtime answers quickly, for any number of rows, and only for a graph of the bundle's form."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.bundle.tables import TEST, make_table
from tiltyard.bundle.manifest import GOLDEN, GRAPH, MANIFEST, sha256
from tiltyard.bundle.runtime import BATCH_ROWS, GraphSession, Runtime, row_differences
from tiltyard.errors import BundleError, DataError
from tiltyard.project.metrics import Task


def replace(bundle: Path, name: str, content: bytes) -> None:
    """Replace a file and make the manifest agree, as an attacker would."""
    (bundle / name).write_bytes(content)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"][name] = sha256(content)
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def test_many_rows_are_answered_as_each_alone(built: Path) -> None:
    runtime = Runtime.load(built)
    table = make_table(BATCH_ROWS + 10, seed=9)
    together = runtime.predict(table).array
    for row in (0, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 9):
        alone = runtime.predict({name: values[row : row + 1] for name, values in table.items()}).array
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-12)


def test_no_rows_have_no_answers(built: Path) -> None:
    runtime = Runtime.load(built)
    answer = runtime.predict({name: values[:0] for name, values in TEST.items()})
    assert answer.array.shape == (0, 2)
    assert runtime.labels(answer) == []


def test_rows_of_a_request_are_typed_by_the_contract(built: Path) -> None:
    runtime = Runtime.load(built)
    answer, typed = runtime.predict_rows([{"age": 41, "plan": "pro"}, {"age": "41", "plan": "gold"}])
    assert answer.array.shape == (2, 2)
    assert typed.unknown_levels == {"plan": [1]}
    assert set(runtime.labels(answer)) <= {"no", "yes"}
    with pytest.raises(DataError, match="age"):
        runtime.predict_rows([{"age": "old"}])


def test_labels_follow_the_threshold(built: Path) -> None:
    runtime = Runtime.load(built)
    answer = runtime.predict(TEST)
    runtime.threshold = 0.0
    assert set(runtime.labels(answer)) == {"yes"}


def test_an_answer_off_the_golden_one_is_named(bundle: Path) -> None:
    golden = json.loads((bundle / GOLDEN).read_text())
    golden["expected"][-1][0] += 0.01
    replace(bundle, GOLDEN, json.dumps(golden).encode())
    with pytest.raises(BundleError, match="the golden row `age to since extreme` is answered"):
        Runtime.load(bundle).replay()


def test_golden_rows_without_a_column_or_answers_are_refused(bundle: Path) -> None:
    golden = json.loads((bundle / GOLDEN).read_text())
    replace(bundle, GOLDEN, json.dumps(golden | {"expected": golden["expected"][:1]}).encode())
    with pytest.raises(BundleError, match="has not 2 answers"):
        Runtime.load(bundle)
    del golden["columns"]["age"]
    replace(bundle, GOLDEN, json.dumps(golden).encode())
    with pytest.raises(BundleError, match="no full column `age`"):
        Runtime.load(bundle)


def identity(name: str, elements: int, width: int | None, *, opset: int = 21) -> bytes:
    node = helper.make_node("Identity" if elements == TensorProto.FLOAT else "Cast", ["rows"], [name])
    if elements != TensorProto.FLOAT:
        node.attribute.append(helper.make_attribute("to", elements))
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info(name, elements, [None, 2] if width else [None])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10).SerializeToString()  # type: ignore[no-any-return]  # onnx has no types


@pytest.mark.parametrize(
    "graph",
    [
        identity("probabilities", TensorProto.FLOAT, 2),
        identity("scores", TensorProto.DOUBLE, 2),
        b"",
        b"not a graph",
        identity("probabilities", TensorProto.DOUBLE, 2)[:-20],
    ],
    ids=["float32 answers", "other name", "empty", "no graph", "cut off"],
)
def test_a_graph_of_another_form_is_refused(graph: bytes, bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx"):
        GraphSession(graph, features=2, task=Task.BINARY, classes=2)
    replace(bundle, GRAPH, graph)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        Runtime.load(bundle)


def test_a_graph_of_the_form_is_taken() -> None:
    graph = identity("probabilities", TensorProto.DOUBLE, 2)
    session = GraphSession(graph, features=2, task=Task.BINARY, classes=2)
    assert session.predict(np.ones((1, 2), dtype=np.float32)).array.tolist() == [[1.0, 1.0]]
    with pytest.raises(BundleError, match="where"):
        GraphSession(graph, features=3, task=Task.BINARY, classes=2)


def test_external_data_is_refused_at_loading(bundle: Path) -> None:
    model = onnx.load_from_string((bundle / GRAPH).read_bytes())
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    replace(bundle, GRAPH, model.SerializeToString())
    with pytest.raises(BundleError, match="another file"):
        Runtime.load(bundle)


def test_differences_are_relative_above_one_and_nan_when_not_finite() -> None:
    got = np.array([[0.5, 0.0], [101.0, 0.0], [np.nan, 0.0], [np.inf, 0.0]])
    wanted = np.array([[0.4, 0.0], [100.0, 0.0], [1.0, 0.0], [np.inf, 0.0]])
    assert row_differences(got, wanted)[:2] == pytest.approx([0.1, 0.01])
    assert np.isnan(row_differences(got, wanted)[2:]).all()
