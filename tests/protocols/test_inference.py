"""The Open Inference Protocol without any transport: every endpoint, both forms of tensors, every bad request."""

import gzip
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocols.models import CONTRACTS, FLOWERS, STAYS
from tests.protocols.tensors import body_of, columns_of, numbers, read_binary
from tests.serving.bundles import ROW
from tiltyard.data.contract import Guard, Kind
from tiltyard.project.coarsening import Coarsen
from tiltyard.serving.answers import Answer, RequestError
from tiltyard.serving.handler import handle, refuse
from tiltyard.serving.protocols.signature import Signature
from tiltyard.serving.protocols.tensors import InputTensor
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Candidate, Served

SECRET = "c0ffee-secret"
INFER = "/v2/models/{}/infer"
ONE: dict[str, Any] = {"name": "price", "shape": [1], "datatype": "FP64", "data": [1.5]}


def send(weighing: Served, path: str, body: bytes = b"", method: str = "POST", **headers: str) -> Answer:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return handle(weighing, Request(method, path, body, named, "abc00000001", 1.0))


def get(weighing: Served, path: str) -> tuple[int, Any]:
    answer = send(weighing, path, method="GET")
    return answer.status, json.loads(answer.body)


def infer(weighing: Served, model: str, inputs: list[dict[str, Any]], **more: Any) -> tuple[int, Any]:
    answer = send(weighing, INFER.format(model), json.dumps({"inputs": inputs, **more}).encode())
    return answer.status, json.loads(answer.body)


def own(weighing: Served, model: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = send(weighing, f"/v1/models/{model}/predict", json.dumps({"rows": rows}).encode())
    predictions: list[dict[str, Any]] = json.loads(answer.body)["predictions"]
    return predictions


def outputs(answer: dict[str, Any]) -> dict[str, list[Any]]:
    return {output["name"]: output["data"] for output in answer["outputs"]}


def _expected(weighing: Served, model: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What the own protocol answers, as tensors."""
    entries = own(weighing, model, rows)
    found = {"prediction": [entry["prediction"] for entry in entries]}
    if weighing.slots[model].classes:
        found["probabilities"] = [number for entry in entries for number in entry["probabilities"].values()]
    return found


ROWS: list[tuple[str, list[dict[str, Any]]]] = [
    ("stays", STAYS),
    ("flowers", FLOWERS),
    ("churn", [ROW, {**ROW, "age": 0.1, "plan": None, "region": "north"}]),
    ("demand", [{"price": 1 / 7}, {"price": None}]),
]


@pytest.mark.parametrize(("model", "rows"), ROWS)
def test_json_answers_as_the_own_protocol_to_the_last_bit(weighing: Served, model: str, rows: list[Any]) -> None:
    status, answer = infer(weighing, model, columns_of(CONTRACTS[model], rows))
    assert status == 200
    assert outputs(answer) == _expected(weighing, model, rows)


@pytest.mark.parametrize(("model", "rows"), ROWS)
def test_bytes_answer_as_the_own_protocol_to_the_last_bit(weighing: Served, model: str, rows: list[Any]) -> None:
    body, length = body_of(CONTRACTS[model], rows, {"parameters": {"binary_data_output": True}})
    answer = send(weighing, INFER.format(model), body, inference_header_content_length=str(length))
    assert answer.status == 200
    assert dict(answer.headers)[b"content-type"] == b"application/octet-stream"
    assert read_binary(answer) == _expected(weighing, model, rows)


@pytest.mark.parametrize(("model", "rows"), ROWS)
def test_the_log_cannot_tell_the_protocol(weighing: Served, model: str, rows: list[dict[str, Any]]) -> None:
    body, length = body_of(CONTRACTS[model], rows, {})
    path = INFER.format(model)
    records = [
        send(weighing, f"/v1/models/{model}/predict", json.dumps({"rows": rows}).encode()).record,
        send(weighing, path, json.dumps({"inputs": columns_of(CONTRACTS[model], rows)}).encode()).record,
        send(weighing, path, body, inference_header_content_length=str(length)).record,
    ]
    kept = [{**json.loads(record), "seconds": 0} for record in records]
    assert kept[0].get("rows") or kept[0]["columns"]
    assert kept[0] == kept[1] == kept[2]


@given(
    st.lists(
        st.tuples(numbers(), st.none() | numbers(), st.none() | st.integers(-(2**53), 2**53)), min_size=1, max_size=5
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_numbers_answer_alike_in_every_form(weighing: Served, values: list[tuple[Any, ...]]) -> None:
    rows = [{"length": length, "width": width, "petals": petals, "wild": None} for length, width, petals in values]
    expected = _expected(weighing, "flowers", rows)
    table = [[math.nan if value is None else float(value) for value in row.values()] for row in rows]
    matrix = {"name": "input-0", "shape": [len(rows), 4], "datatype": "FP64"}
    as_null = [[None if math.isnan(value) else value for value in row] for row in table]
    binary = json.dumps({"inputs": [{**matrix, "parameters": {"binary_data_size": 32 * len(rows)}}]}).encode()
    in_bytes = send(
        weighing,
        INFER.format("flowers"),
        binary + np.array(table).tobytes(),
        inference_header_content_length=str(len(binary)),
    )
    assert outputs(infer(weighing, "flowers", columns_of(CONTRACTS["flowers"], rows))[1]) == expected
    assert outputs(infer(weighing, "flowers", [{**matrix, "data": as_null}])[1]) == expected
    assert outputs(infer(weighing, "flowers", [{**matrix, "data": table}])[1]) == expected
    assert outputs(json.loads(in_bytes.body)) == expected


def test_an_answer_names_model_version_request_and_prediction(weighing: Served) -> None:
    status, answer = infer(weighing, "demand", [ONE], id="mine")
    assert status == 200
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("demand", "3", "mine")
    assert answer["parameters"] == {"prediction_id": "abc00000001", "notes": 0}
    assert [sorted(output) for output in answer["outputs"]] == [["data", "datatype", "name", "shape"]]
    assert answer["outputs"][0]["shape"] == [1]


def test_without_an_id_none_is_given_back(weighing: Served) -> None:
    assert "id" not in infer(weighing, "demand", [ONE])[1]
    assert "id" not in infer(weighing, "demand", [ONE], id=None, outputs=None, parameters=None)[1]


def test_an_answer_has_the_prediction_id(weighing: Served) -> None:
    answer = send(weighing, INFER.format("demand"), json.dumps({"inputs": [ONE]}).encode())
    assert answer.id == "abc00000001"
    assert answer.about is not None
    assert (answer.about.model, answer.about.version) == ("demand", 3)


def test_notes_are_counted_by_column(weighing: Served) -> None:
    answer = infer(weighing, "stays", columns_of(CONTRACTS["stays"], STAYS))[1]
    assert answer["parameters"]["notes"] == 2


def test_classes_keep_their_type(weighing: Served) -> None:
    for model, rows, datatype in (
        ("stays", STAYS, "INT64"),
        ("churn", [dict(ROW)], "BOOL"),
        ("flowers", FLOWERS, "BYTES"),
    ):
        told = {
            output["name"]: output
            for output in infer(weighing, model, columns_of(CONTRACTS[model], rows))[1]["outputs"]
        }
        assert told["prediction"]["datatype"] == datatype
        assert told["prediction"]["shape"] == [len(rows)]
        assert told["probabilities"]["shape"] == [len(rows), len(CONTRACTS[model].classes)]


@pytest.mark.parametrize("names", [["probabilities"], ["prediction"], ["probabilities", "prediction"]])
def test_outputs_come_as_they_are_asked_for(weighing: Served, names: list[str]) -> None:
    wanted = [{"name": name} for name in names]
    answer = infer(weighing, "flowers", columns_of(CONTRACTS["flowers"], FLOWERS), outputs=wanted)[1]
    assert [output["name"] for output in answer["outputs"]] == names


def test_no_outputs_means_all(weighing: Served) -> None:
    assert len(infer(weighing, "churn", columns_of(CONTRACTS["churn"], [ROW]), outputs=[])[1]["outputs"]) == 2


def test_one_output_may_come_as_bytes_and_another_as_json(weighing: Served) -> None:
    asked = {
        "inputs": columns_of(CONTRACTS["flowers"], FLOWERS),
        "parameters": {"binary_data_output": True},
        "outputs": [{"name": "prediction", "parameters": {"binary_data": False}}, {"name": "probabilities"}],
    }
    answer = send(weighing, INFER.format("flowers"), json.dumps(asked).encode())
    told = json.loads(answer.body[: int(dict(answer.headers)[b"inference-header-content-length"])])["outputs"]
    assert "data" in told[0]
    assert told[1]["parameters"] == {"binary_data_size": 72}
    assert read_binary(answer) == _expected(weighing, "flowers", FLOWERS)


def test_columns_of_n_by_one_and_nested_data_are_read(weighing: Served) -> None:
    flat = infer(weighing, "demand", [{"name": "price", "shape": [2], "datatype": "FP64", "data": [1.5, None]}])
    column = {"name": "price", "shape": [2, 1], "datatype": "FP64"}
    assert infer(weighing, "demand", [{**column, "data": [[1.5], [None]]}]) == flat
    assert infer(weighing, "demand", [{**column, "data": [1.5, None]}]) == flat


@pytest.mark.parametrize("datatype", ["INT8", "UINT64", "INT32", "FP16", "FP32", "FP64"])
def test_every_width_of_number_is_read(weighing: Served, datatype: str) -> None:
    tensor = {"name": "price", "shape": [1], "datatype": datatype, "data": [3]}
    assert outputs(infer(weighing, "demand", [tensor])[1]) == _expected(weighing, "demand", [{"price": 3}])


def test_columns_that_may_be_missing_may_be_left_out(weighing: Served) -> None:
    age = {"name": "age", "shape": [1], "datatype": "FP64", "data": [41.1]}
    assert outputs(infer(weighing, "stays", [age])[1]) == _expected(weighing, "stays", [{"age": 41.1}])


def test_a_column_that_is_no_feature_is_not_looked_at(weighing: Served) -> None:
    more = {"name": "id", "shape": [3], "datatype": "BYTES", "data": ["a", "b", "c"]}
    given_more = infer(weighing, "flowers", [*columns_of(CONTRACTS["flowers"], FLOWERS), more])
    assert outputs(given_more[1]) == _expected(weighing, "flowers", FLOWERS)


def test_missing_values_have_a_spelling_in_every_form(weighing: Served) -> None:
    expected = _expected(weighing, "stays", [{"age": 1, "visits": None, "member": None, "plan": None}])
    age = {"name": "age", "shape": [1], "datatype": "INT8", "data": [1]}
    for visits, member, plan in (("null", "null", "null"), ("NaN", "NaN", '""')):
        rest = [
            f'{{"name": "visits", "shape": [1], "datatype": "FP64", "data": [{visits}]}}',
            f'{{"name": "member", "shape": [1], "datatype": "FP32", "data": [{member}]}}',
            f'{{"name": "plan", "shape": [1], "datatype": "BYTES", "data": [{plan}]}}',
        ]
        body = f'{{"inputs": [{json.dumps(age)}, {", ".join(rest)}]}}'.encode()
        assert outputs(json.loads(send(weighing, INFER.format("stays"), body).body)) == expected


def test_a_protected_column_takes_its_values_in_the_clear() -> None:
    price = CONTRACTS["demand"].features[0]
    guarded = price.model_copy(update={"protection": Guard(method=Coarsen(coarsen="month"), kind=Kind.TIME)})
    contract = CONTRACTS["demand"].model_copy(update={"columns": (guarded, CONTRACTS["demand"].target)})
    signature = Signature(contract, ())
    assert signature.inputs == [{"name": "price", "datatype": "BYTES", "shape": [-1]}]
    with pytest.raises(RequestError, match="datatype"):
        signature.read([InputTensor(**ONE)], [None], 100)


def test_a_column_that_is_no_feature_may_decide_which_version_answers(weighing: Served) -> None:
    other = replace(weighing.slots["flowers"], version=4, arm="candidate")
    candidate = Candidate(other, share=0.5, key="id", salt="s")
    split = replace(weighing, candidates={"flowers": candidate})
    answered: dict[str, str] = {}
    for name in "abcdefgh":
        key = {"name": "id", "shape": [1], "datatype": "BYTES", "data": [name]}
        for _ in range(2):
            answer = infer(split, "flowers", [*columns_of(CONTRACTS["flowers"], FLOWERS[:1]), key])[1]
            assert answered.setdefault(name, answer["model_version"]) == answer["model_version"]
    assert set(answered.values()) == {"3", "4"}


BAD: list[tuple[str, Any, int, str]] = [
    ("demand", b"", 400, "not valid JSON"),
    ("demand", b"{", 400, "not valid JSON"),
    ("demand", b'{"inputs": [NaN', 400, "not valid JSON"),
    ("demand", b'{"inputs": NaN}', 400, "inputs"),
    ("demand", b'{"inputs": ' + b"[" * 90_000, 400, "inputs"),
    ("demand", b'{"inputs": [{"data": ' + b"[" * 90_000, 400, "not valid JSON"),
    ("demand", b'{"x": NaN, "inputs": ' + b"[" * 90_000, 400, "inputs"),
    ("demand", b'{"inputs": [{"data": [' + b"9" * 5000 + b"]}]}", 400, "inputs[0].data[0]"),
    ("demand", '{"inputs": []}'.encode("utf-16"), 400, "UTF-8"),
    ("demand", b'{"inputs": [{"name": "\xff"}]}', 400, "UTF-8"),
    ("demand", [], 400, "array"),
    ("demand", {}, 400, "`inputs`"),
    ("demand", {"inputs": {}}, 400, "inputs"),
    ("demand", {"inputs": []}, 400, "there are no inputs"),
    ("demand", {"inputs": [1]}, 400, "inputs[0]"),
    ("demand", {"inputs": [{"name": "price"}]}, 400, "inputs[0]"),
    ("demand", {"inputs": [ONE], "id": 1}, 400, "$.id"),
    ("demand", {"inputs": [ONE], "id": "x" * 1001}, 400, "$.id"),
    ("demand", {"inputs": [ONE], "parameters": []}, 400, "parameters"),
    ("demand", {"inputs": [{**ONE, "name": "prize"}]}, 400, "Did you mean `price`?"),
    ("demand", {"inputs": [{**ONE, "name": SECRET * 90}]}, 400, "there is no input"),
    ("demand", {"inputs": [ONE, ONE]}, 400, "`price` comes twice"),
    ("demand", {"inputs": [{**ONE, "shape": []}]}, 400, "`price` has 0 dimensions"),
    ("demand", {"inputs": [{**ONE, "shape": [1, 2]}]}, 400, "`price` has 2 columns"),
    ("demand", {"inputs": [{**ONE, "shape": [1, 1, 1]}]}, 400, "`price` has 3 dimensions"),
    ("demand", {"inputs": [{**ONE, "shape": [2]}]}, 400, "`price` has 1 values where its shape asks for 2"),
    ("demand", {"inputs": [{**ONE, "shape": [0], "data": []}]}, 400, "no rows"),
    ("demand", {"inputs": [{**ONE, "shape": [-1]}]}, 400, "shape"),
    ("demand", {"inputs": [{**ONE, "shape": [2**31 - 1]}]}, 413, "too many"),
    ("demand", {"inputs": [{**ONE, "shape": [101], "data": [1] * 101}]}, 413, "at most 100"),
    ("demand", {"inputs": [{**ONE, "datatype": "BYTES", "data": [SECRET]}]}, 400, "`price` has the datatype `BYTES`"),
    ("demand", {"inputs": [{**ONE, "datatype": "BOOL", "data": [True]}]}, 400, "`price` has the datatype `BOOL`"),
    ("demand", {"inputs": [{**ONE, "datatype": "FP23"}]}, 400, "Did you mean `FP32`?"),
    ("demand", {"inputs": [{**ONE, "data": [SECRET]}]}, 400, "`price` has a value, number 0, that is no FP64"),
    ("demand", {"inputs": [{**ONE, "data": None}]}, 400, "no data"),
    (
        "demand",
        b'{"inputs": [{"name": "price", "shape": [1], "datatype": "FP64", "data": [Infinity]}]}',
        400,
        "`price`",
    ),
    ("demand", {"inputs": [{**ONE, "parameters": {"binary_data_size": 8}}]}, 400, "twice"),
    ("demand", {"inputs": [ONE], "outputs": [{"name": "prediktion"}]}, 400, "Did you mean `prediction`?"),
    ("demand", {"inputs": [ONE], "outputs": [{"name": "probabilities"}]}, 400, "no output `probabilities`"),
    ("demand", {"inputs": [ONE], "outputs": [{"name": "prediction"}] * 2}, 400, "asked for twice"),
    ("demand", {"inputs": [ONE], "outputs": [{}]}, 400, "outputs[0]"),
    ("demand", {"inputs": [ONE], "parameters": {"binary_data_output": "yes"}}, 400, "binary_data_output"),
    (
        "demand",
        {"inputs": [ONE], "outputs": [{"name": "prediction", "parameters": {"binary_data": 1}}]},
        400,
        "binary_data",
    ),
    (
        "demand",
        {"inputs": [ONE], "outputs": [{"name": "prediction", "parameters": {"classification": 3}}]},
        400,
        "does not offer",
    ),
    ("churn", {"inputs": [{**ONE, "name": "plan", "datatype": "BYTES", "data": ["gold"]}]}, 400, "no input `age`"),
    ("churn", {"inputs": [{**ONE, "name": "x", "shape": [1, 5], "data": [1] * 5}]}, 400, "`plan` is none"),
    ("churn", {"inputs": [{**ONE, "name": "age"}, {**ONE, "name": "visits", "shape": [2]}]}, 400, "`visits` 2"),
    ("churn", {"inputs": [{**ONE, "name": "age", "data": [None]}]}, 400, "`age` is missing"),
    ("churn", {"inputs": [{**ONE, "name": "age"}, {**ONE, "name": "visits"}]}, 400, "row 0: the value of `visits`"),
    (
        "churn",
        {"inputs": [{**ONE, "name": "age"}, {**ONE, "name": "seen", "datatype": "BYTES", "data": [SECRET]}]},
        400,
        "`seen`",
    ),
    (
        "churn",
        {"inputs": [{**ONE, "name": "age"}, {**ONE, "name": "region", "datatype": "BYTES", "data": [SECRET]}]},
        400,
        "`region`",
    ),
    (
        "churn",
        {"inputs": [{**ONE, "name": "age"}, {**ONE, "name": "seen", "datatype": "INT64", "data": [1]}]},
        400,
        "BYTES",
    ),
    ("flowers", {"inputs": [{**ONE, "name": "x", "shape": [1, 3], "data": [1] * 3}]}, 400, "[n, 4], in this order"),
    ("flowers", {"inputs": [{**ONE, "name": "x", "shape": [4], "data": [1] * 4}]}, 400, "no input `x`"),
    ("flowers", {"inputs": [{**ONE, "name": "x", "shape": [0, 4], "data": []}]}, 400, "no rows"),
    ("flowers", {"inputs": [{**ONE, "name": "x", "shape": [2**31 - 1, 4], "data": []}]}, 413, "too many"),
    ("flowers", {"inputs": [{**ONE, "name": "x", "shape": [1, 4], "data": [SECRET] * 4}]}, 400, "number 0"),
    ("waiting", {"inputs": [ONE]}, 503, "no champion"),
    ("demond", {"inputs": [ONE]}, 404, "Did you mean `demand`?"),
]


@pytest.mark.parametrize(("model", "content", "status", "words"), BAD, ids=range(len(BAD)))
def test_a_bad_request_gets_one_clear_sentence(
    weighing: Served, model: str, content: Any, status: int, words: str
) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = send(weighing, INFER.format(model), body)
    _check_error(answer, status, words)


def _check_error(answer: Answer, status: int, words: str) -> None:
    content = json.loads(answer.body)
    assert answer.status == status
    assert set(content) == {"error"}
    assert words in content["error"]
    assert len(content["error"]) < 900
    assert SECRET * 9 not in content["error"]
    assert dict(answer.headers)[b"content-type"] == b"application/json"
    assert answer.record == b""


@pytest.mark.parametrize(
    "length", ["", "-1", "0", "1", "9999", "99999999999999999999", "1.0", "+5", " 5", "five", "\u0665", "0x10"]
)
def test_a_wrong_header_length_is_refused(weighing: Served, length: str) -> None:
    body, _ = body_of(CONTRACTS["demand"], [{"price": 1.5}], {})
    answer = send(weighing, INFER.format("demand"), body, inference_header_content_length=length)
    _check_error(answer, 400, "")


def test_bytes_without_the_header_are_refused(weighing: Served) -> None:
    body, length = body_of(CONTRACTS["demand"], [{"price": 1.5}], {})
    _check_error(send(weighing, INFER.format("demand"), body), 400, "JSON")
    _check_error(send(weighing, INFER.format("demand"), body[:length]), 400, "8 bytes behind the JSON, and there are 0")


def test_bytes_left_over_are_refused(weighing: Served) -> None:
    body, length = body_of(CONTRACTS["demand"], [{"price": 1.5}], {})
    more = send(weighing, INFER.format("demand"), body + b"x", inference_header_content_length=str(length))
    _check_error(more, 400, "8 bytes behind the JSON, and there are 9")


def test_json_alone_may_come_with_its_length(weighing: Served) -> None:
    body = json.dumps({"inputs": [ONE]}).encode()
    assert send(weighing, INFER.format("demand"), body, inference_header_content_length=str(len(body))).status == 200


def test_a_compressed_body_has_its_header_length_from_before(weighing: Served) -> None:
    body, length = body_of(CONTRACTS["stays"], STAYS, {})
    headers = {"content_encoding": "gzip", "inference_header_content_length": str(length)}
    answer = send(weighing, INFER.format("stays"), gzip.compress(body), **headers)
    assert outputs(json.loads(answer.body)) == _expected(weighing, "stays", STAYS)


def test_a_body_that_inflates_too_far_is_refused_in_the_shape_of_the_protocol(weighing: Served) -> None:
    _check_error(
        send(weighing, INFER.format("demand"), gzip.compress(b" " * 200_000), content_encoding="gzip"), 413, "inflated"
    )
    _check_error(send(weighing, INFER.format("demand"), b"x", content_encoding="br"), 415, "encoding")


def test_failures_of_the_transport_have_the_shape_of_the_protocol() -> None:
    _check_error(refuse("/v2/models/demand/infer", RequestError.of(413, "the body is too large")), 413, "too large")


def test_the_server_tells_about_itself(weighing: Served) -> None:
    for path in ("/v2", "/v2/"):
        status, told = get(weighing, path)
        assert status == 200
        assert told["name"] == "tiltyard"
        assert told["version"]
        assert told["extensions"] == ["binary_tensor_data"]


def test_a_model_tells_about_itself(weighing: Served) -> None:
    status, told = get(weighing, "/v2/models/stays")
    assert status == 200
    assert told == {
        "name": "stays",
        "versions": ["3"],
        "platform": "tiltyard_bundle",
        "inputs": [
            {"name": "age", "datatype": "FP64", "shape": [-1]},
            {"name": "visits", "datatype": "INT64", "shape": [-1]},
            {"name": "member", "datatype": "BOOL", "shape": [-1]},
            {"name": "plan", "datatype": "BYTES", "shape": [-1]},
            {"name": "remark", "datatype": "BYTES", "shape": [-1]},
            {"name": "seen", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "prediction", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP64", "shape": [-1, 2]},
        ],
        "properties": {"task": "binary", "classes": "[0,1]"},
    }
    assert get(weighing, "/v2/models/demand")[1]["outputs"] == [
        {"name": "prediction", "datatype": "FP64", "shape": [-1]}
    ]


def test_what_the_metadata_tells_can_be_sent(weighing: Served) -> None:
    for model in CONTRACTS:
        told = get(weighing, f"/v2/models/{model}")[1]
        sample = {"FP64": 1.5, "INT64": 2, "BOOL": True, "BYTES": "2026-01-31"}
        inputs = [
            {**one, "shape": [1], "data": [sample[one["datatype"]]]}
            for one in told["inputs"]
            if one["name"] != "region"
        ]
        status, answer = infer(weighing, model, inputs)
        assert status == 200
        found = [(output["name"], output["datatype"], len(output["shape"])) for output in answer["outputs"]]
        assert found == [(output["name"], output["datatype"], len(output["shape"])) for output in told["outputs"]]


def test_health(weighing: Served) -> None:
    assert get(weighing, "/v2/health/live") == (200, {"live": True})
    status, told = get(weighing, "/v2/health/ready")
    assert (status, told["ready"]) == (503, False)
    assert "waiting" in told["error"]
    ready = replace(weighing, names=tuple(CONTRACTS))
    assert get(ready, "/v2/health/ready") == (200, {"live": True, "ready": True})
    assert get(replace(ready, draining=True), "/v2/health/ready")[0] == 503
    assert get(weighing, "/v2/models/demand/ready") == (200, {"name": "demand", "ready": True})
    for model, expected in (("waiting", 503), ("nobody", 404)):
        status, told = get(weighing, f"/v2/models/{model}/ready")
        assert status == expected
        assert set(told) == {"error"}


def test_a_loaded_version_answers_by_its_number(weighing: Served) -> None:
    other = replace(weighing.slots["demand"], version=4, arm="candidate")
    before = replace(weighing.slots["demand"], version=2, arm="previous")
    candidate = Candidate(other, share=0.0, key=None, salt="")
    more = replace(weighing, candidates={"demand": candidate}, previous={"demand": before})
    assert get(more, "/v2/models/demand")[1]["versions"] == ["2", "3", "4"]
    for version in (2, 3, 4):
        root = f"/v2/models/demand/versions/{version}"
        answer = send(more, f"{root}/infer", json.dumps({"inputs": [ONE]}).encode())
        assert json.loads(answer.body)["model_version"] == str(version)
        assert get(more, root)[1]["name"] == "demand"
        assert get(more, f"{root}/ready")[0] == 200


@pytest.mark.parametrize("version", ["5", "0", "-3", "x", "", "3.0", "٣", "9" * 5000])
def test_another_version_is_not_there(weighing: Served, version: str) -> None:
    root = f"/v2/models/demand/versions/{version}"
    for path in (root, f"{root}/ready"):
        _check_error(send(weighing, path, method="GET"), 404, "version")
    _check_error(send(weighing, f"{root}/infer", json.dumps({"inputs": [ONE]}).encode()), 404, "version")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models//versions/3/infer",
        "/v2/models/demand/config",
        "/v2/models/demand/infer/more",
        "/v2/repository/index",
        "/v2/x" * 900,
    ],
)
def test_other_paths_are_not_there(weighing: Served, path: str) -> None:
    _check_error(send(weighing, path, method="GET"), 404, "there is nothing at")
    _check_error(send(weighing, path), 404, "there is nothing at")


def test_a_slash_at_the_end_is_ignored(weighing: Served) -> None:
    for path in (
        "/v2",
        "/v2/health/live",
        "/v2/models/demand",
        "/v2/models/demand/ready",
        "/v2/models/demand/versions/3",
    ):
        assert get(weighing, f"{path}/") == get(weighing, path)
    assert send(weighing, "/v2/models/demand/infer/", json.dumps({"inputs": [ONE]}).encode()).status == 200


def test_other_methods_are_refused(weighing: Served) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/models/demand", "/v2/models/demand/ready"):
        assert send(weighing, path, method="HEAD").status == 200
        answer = send(weighing, path)
        _check_error(answer, 405, "Send GET")
        assert (b"allow", b"GET, HEAD") in answer.headers
    answer = send(weighing, "/v2/models/demand/infer", method="GET")
    _check_error(answer, 405, "Send POST")
    assert (b"allow", b"POST") in answer.headers


def test_a_long_answer_is_compressed_for_a_client_that_asks(weighing: Served) -> None:
    rows = json.dumps({"inputs": columns_of(CONTRACTS["flowers"], FLOWERS * 33)}).encode()
    plain = send(weighing, INFER.format("flowers"), rows)
    packed = send(weighing, INFER.format("flowers"), rows, accept_encoding="gzip")
    assert dict(packed.headers)[b"content-encoding"] == b"gzip"
    assert gzip.decompress(packed.body) == plain.body


@given(st.binary(max_size=300), st.none() | st.integers(0, 300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_get_an_answer(weighing: Served, body: bytes, length: int | None) -> None:
    headers = {} if length is None else {"inference_header_content_length": str(length)}
    answer = send(weighing, INFER.format("stays"), body, **headers)
    assert answer.status in {200, 400}
    json.loads(answer.body)
