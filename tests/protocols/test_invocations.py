"""MLflow's scoring protocol without any transport: every row of its table, every form of a table, every refusal."""

import dataclasses
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow.version
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.protocols.models import FLOWERS
from tests.serving.bundles import ROW
from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, RequestError
from tiltyard.serving.handler import handle, refuse
from tiltyard.serving.protocols.invocations import MLFLOW_VERSION
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Candidate, Served

CHURN = "/v1/models/churn/invocations"
DEMAND = "/v1/models/demand/invocations"
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
SECRET = "c0ffee-secret"
SPLIT = {"columns": list(ROW), "data": [list(ROW.values())]}


def send(served: Served, body: bytes, kind: str | None = JSON, path: str = CHURN, method: str = "POST") -> Answer:
    headers = {} if kind is None else {b"content-type": kind.encode("latin-1")}
    return handle(served, Request(method, path, body, headers, "id-1", 0.0))


def invoke(served: Served, content: object, path: str = CHURN) -> tuple[int, Any]:
    answer = send(served, json.dumps(content).encode(), path=path)
    return answer.status, json.loads(answer.body)


def alone(served: Served, name: str) -> Served:
    return Served(names=(name,), slots={name: served.slots[name]}, limits=served.limits)


def parquet(columns: Mapping[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), sink, **options)
    return sink.getvalue()


ONE_ROW: dict[str, object] = {
    "split": {"dataframe_split": SPLIT},
    "split with an index": {"dataframe_split": {**SPLIT, "index": [7]}},
    "records": {"dataframe_records": [ROW]},
    "instances, rows": {"instances": [ROW]},
    "instances, columns": {"instances": {name: [value] for name, value in ROW.items()}},
    "inputs, rows": {"inputs": [ROW]},
    "inputs, columns": {"inputs": {name: [value] for name, value in ROW.items()}},
    "inputs, one row": {"inputs": ROW},
    "another order and a column more": {"dataframe_records": [{"more": 1, **dict(reversed(ROW.items()))}]},
    "parameters that no model asks for": {"inputs": [ROW], "params": {"temperature": 1}},
    "no parameters": {"inputs": [ROW], "params": None},
    "a key that is not read": {"inputs": [ROW], "signature": "x"},
}


@pytest.mark.parametrize("form", ONE_ROW)
def test_every_form_of_json_is_answered(served: Served, form: str) -> None:
    assert invoke(served, ONE_ROW[form]) == (200, {"predictions": [True]})


def test_a_regression_answers_numbers(served: Served) -> None:
    table = {"dataframe_split": {"columns": ["price"], "data": [[1], [None], ["NA"]]}}
    assert invoke(served, table, DEMAND) == (200, {"predictions": [3.5, 3.5, 3.5]})
    assert invoke(served, {"instances": [1.5, None]}, DEMAND) == (200, {"predictions": [3.5, 3.5]})


def test_probabilities_come_when_asked_for(served: Served) -> None:
    table = {"inputs": [ROW], "params": {"probabilities": True}}
    entry = {"prediction": True, "probabilities": {"False": 0.25, "True": 0.75}}
    assert invoke(served, table) == (200, {"predictions": [entry]})
    status, answer = invoke(served, {"inputs": {"price": [1]}, "params": {"probabilities": True}}, DEMAND)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_the_answer_names_the_prediction(served: Served) -> None:
    answer = send(served, json.dumps({"inputs": [ROW]}).encode())
    assert answer.id == "id-1"
    assert answer.about is not None
    assert (answer.about.model, answer.about.version) == ("churn", 3)


def test_what_pandas_writes_for_missing_is_missing(served: Served) -> None:
    body = b'{"dataframe_records": [{"age": 1, "plan": NaN, "region": "a NaN \\" NaN"}]}'
    assert b"`region` has a level" in send(served, body).body
    assert send(served, body.replace(b'"a NaN \\" NaN"', b"NaN")).status == 200
    assert b"`age` is missing" in send(served, b'{"dataframe_records": [{"age": NaN}]}').body


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_csv_is_read_with_its_delimiter(served: Served, mark: str) -> None:
    frame = pd.DataFrame([ROW, {**ROW, "plan": f'a "new"{mark} plan\nof two lines', "visits": None}])
    for text in (frame.to_csv(sep=mark, index=False), frame.to_csv(sep=mark), frame.to_csv(sep=mark, quoting=1)):
        for coded in (text.encode(), text.encode("utf-8-sig"), text.replace("\n", "\r\n").encode()):
            assert json.loads(send(served, coded, CSV).body) == {"predictions": [True, True]}


def test_csv_of_one_column_keeps_its_missing_values(served: Served) -> None:
    assert json.loads(send(served, b'price\n1\n""\nN/A\n\n2\n', CSV, DEMAND).body) == {"predictions": [3.5] * 4}


def test_parquet_is_read_whatever_wrote_it(served: Served) -> None:
    moment = datetime(2026, 11, 20, 10, tzinfo=UTC)
    columns = {
        "age": pa.array([41, 42], pa.int16()),
        "plan": pa.array(["basic", None]).dictionary_encode(),
        "region": pa.array([None, None], pa.null()),
        "visits": pa.array([3.0, float("nan")]),
        "seen": pa.array([moment, None], pa.timestamp("ns", "Asia/Tokyo")),
        "more": pa.array([b"x", b"y"]),
    }
    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        body = parquet(columns, compression=codec, row_group_size=1)
        assert json.loads(send(served, body, PARQUET).body) == {"predictions": [True, True]}, codec


@pytest.mark.parametrize(
    "kind",
    [
        JSON,
        None,
        "",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON; charset="utf-8"',
        "application/json;",
    ],
)
def test_content_types_that_mean_json(served: Served, kind: str | None) -> None:
    assert send(served, json.dumps({"inputs": [ROW]}).encode(), kind).status == 200


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        f"application/{SECRET}",
        "application/json; charset=latin-1",
        "application/json; format=pandas-split",
        "text/csv; charset=utf-8; header=present",
        "application/x-www-form-urlencoded",
        "\xff",
    ],
)
def test_other_content_types_are_refused_as_plain_text(served: Served, kind: str) -> None:
    answer = send(served, b"{}", kind)
    assert (answer.status, dict(answer.headers)[b"content-type"]) == (415, b"text/plain; charset=utf-8")
    assert SECRET.encode() not in answer.body
    assert b"text/csv" in answer.body


def test_the_same_customer_meets_the_same_version_however_the_table_is_sent(weighing: Served) -> None:
    slot = weighing.slots["flowers"]
    candidate = Candidate(dataclasses.replace(slot, version=4, arm="candidate"), share=0.5, key="id", salt="flowers-1")
    served = dataclasses.replace(weighing, candidates={"flowers": candidate})
    versions: list[int] = []
    for customer in range(8):
        table = pd.DataFrame([{"id": f"customer {customer}", **FLOWERS[0]}])
        bodies = {
            JSON: json.dumps({"dataframe_records": table.to_dict("records")}).encode(),
            CSV: table.to_csv(index=False).encode(),
            PARQUET: table.to_parquet(),
        }
        answers = [send(served, body, kind, "/v1/models/flowers/invocations") for kind, body in bodies.items()]
        met = {answer.about.version for answer in answers if answer.about is not None}
        assert len(met) == 1
        versions += met
    assert set(versions) == {3, 4}


BAD: list[tuple[object, str, str]] = [
    ([], "BAD_REQUEST", "exactly one of dataframe_split"),
    (None, "BAD_REQUEST", "exactly one of dataframe_split"),
    ({}, "BAD_REQUEST", "there is none of them"),
    ({"prompt": SECRET}, "BAD_REQUEST", "there is none of them"),
    ({"inputs": [ROW], "instances": [ROW]}, "BAD_REQUEST", "there are 2 of them"),
    ({"inputs": [ROW], "params": SECRET}, "INVALID_PARAMETER_VALUE", "`params` is no object"),
    ({"inputs": [ROW], "params": {"probabilities": SECRET}}, "INVALID_PARAMETER_VALUE", "neither true nor false"),
    ({"inputs": [[1, SECRET]]}, "INVALID_PARAMETER_VALUE", "no names"),
    ({"instances": [[1, SECRET]]}, "INVALID_PARAMETER_VALUE", "no names"),
    ({"inputs": [1, 2]}, "INVALID_PARAMETER_VALUE", "no names"),
    ({"inputs": SECRET}, "INVALID_PARAMETER_VALUE", "no names"),
    ({"inputs": []}, "BAD_REQUEST", "no rows"),
    ({"inputs": {}}, "BAD_REQUEST", "no rows"),
    ({"inputs": {"age": []}}, "BAD_REQUEST", "no rows"),
    ({"inputs": {"age": [1], "plan": SECRET}}, "BAD_REQUEST", "not of one length"),
    ({"inputs": {"age": [1], "plan": ["a", SECRET]}}, "BAD_REQUEST", "not of one length"),
    ({"dataframe_records": ROW}, "BAD_REQUEST", "no list of objects"),
    ({"dataframe_records": [1]}, "BAD_REQUEST", "no list of objects"),
    ({"dataframe_records": []}, "BAD_REQUEST", "no rows"),
    ({"dataframe_records": [{"plan": SECRET}]}, "INVALID_PARAMETER_VALUE", "row 0: there is no `age`"),
    ({"dataframe_records": [{"age": SECRET}]}, "INVALID_PARAMETER_VALUE", "`age` is not a number"),
    ({"dataframe_records": [{"age": None}]}, "INVALID_PARAMETER_VALUE", "`age` is missing"),
    ({"dataframe_records": [{"age": [SECRET]}]}, "INVALID_PARAMETER_VALUE", "`age` is not a number"),
    ({"dataframe_records": [{"age": 1, "region": SECRET}]}, "INVALID_PARAMETER_VALUE", "`region` has a level"),
    ({"dataframe_split": [SECRET]}, "BAD_REQUEST", "no object of columns"),
    ({"dataframe_split": {**SPLIT, "names": 1}}, "BAD_REQUEST", "no object of columns"),
    ({"dataframe_split": {"columns": ["age"]}}, "BAD_REQUEST", "no list of lists"),
    ({"dataframe_split": {"columns": ["age"], "data": [1]}}, "BAD_REQUEST", "no list of lists"),
    ({"dataframe_split": {"data": [[SECRET]]}}, "INVALID_PARAMETER_VALUE", "no names"),
    ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "BAD_REQUEST", "no list of texts"),
    ({"dataframe_split": {"columns": ["age", "age"], "data": [[1, 2]]}}, "BAD_REQUEST", "stands twice"),
    ({"dataframe_split": {"columns": [], "data": [[]]}}, "BAD_REQUEST", "names no column"),
    ({"dataframe_split": {"columns": ["age"], "data": [[1], [1, 2]]}}, "BAD_REQUEST", "row 1: there are 2 values"),
    ({"dataframe_split": {"columns": ["age"], "data": []}}, "BAD_REQUEST", "no rows"),
]
BAD_BYTES: list[tuple[bytes, str, str]] = [
    (b"", JSON, "not valid JSON"),
    (b"{" + SECRET.encode(), JSON, "not valid JSON"),
    (b'{"inputs": [{"age": Infinity}]}', JSON, "not valid JSON"),
    (b'{"inputs": [{"age": NaN, "plan": "' + SECRET.encode(), JSON, "not valid JSON"),
    (b'{"inputs": "\xff"}', JSON, "not UTF-8"),
    (b'{"inputs": ' + b"[" * 90_000, JSON, "nested too deeply"),
    (b'{"inputs": NaN, "x": ' + b"[" * 90_000, JSON, "nested too deeply"),
    (b"", CSV, "names no column"),
    (b"\n\n", CSV, "names no column"),
    (b"age,plan\n", CSV, "no rows"),
    (b"age,age\n1,2\n", CSV, "stands twice"),
    (b"age,plan\n1\n", CSV, "row 0: there are 1 values for 2 columns"),
    (b'age,plan\n1,"' + SECRET.encode(), CSV, "never closed"),
    (b'age,plan\n1,"a" b\n', CSV, "inside a value"),
    (b"age\n\xff\n", CSV, "not UTF-8"),
    (b"age\n" + SECRET.encode() + b"\n", CSV, "row 0: the value of `age` is not a number"),
    (b"", PARQUET, "no Parquet file"),
    (b"PAR1" + SECRET.encode() + b"PAR1", PARQUET, "no Parquet file"),
    (parquet({"age": [1.0]})[:-20], PARQUET, "no Parquet file"),
    (parquet({"age": pa.array([], pa.float64())}), PARQUET, "no rows"),
    (parquet({"age": [[1.0]]}), PARQUET, "age: a column holds lists or structs"),
    (parquet({"age": [{"b": 1.0}]}), PARQUET, "age: a column holds lists or structs"),
    (parquet({"plan": [SECRET]}), PARQUET, "there is no `age`"),
]


@pytest.mark.parametrize(("content", "code", "message"), BAD)
def test_bad_json_is_refused(served: Served, content: object, code: str, message: str) -> None:
    status, answer = invoke(served, content)
    assert (status, answer["error_code"], set(answer)) == (400, code, {"error_code", "message"})
    assert message in answer["message"]
    assert SECRET not in answer["message"]


@pytest.mark.parametrize(("body", "kind", "message"), BAD_BYTES)
def test_bad_bytes_are_refused(served: Served, body: bytes, kind: str, message: str) -> None:
    answer = send(served, body, kind)
    content = json.loads(answer.body)
    assert answer.status == 400
    assert message in content["message"]
    assert SECRET not in content["message"]


@pytest.mark.parametrize("kind", [JSON, CSV, PARQUET])
def test_too_many_rows_are_refused(served: Served, kind: str) -> None:
    prices = [1.0] * 101
    bodies = {
        JSON: json.dumps({"inputs": {"price": prices}}).encode(),
        CSV: pd.DataFrame({"price": prices}).to_csv(index=False).encode(),
        PARQUET: parquet({"price": prices}),
    }
    answer = send(served, bodies[kind], kind, DEMAND)
    assert (answer.status, json.loads(answer.body)["error_code"]) == (413, "BAD_REQUEST")


def test_parquet_that_grows_when_unpacked_is_refused(served: Served) -> None:
    body = parquet({"price": ["0" * 4_000_000]}, compression="zstd", use_dictionary=False)
    assert len(body) < served.limits.body_bytes
    answer = send(served, body, PARQUET, DEMAND)
    assert (answer.status, "too large when unpacked" in json.loads(answer.body)["message"]) == (413, True)


def test_one_model_answers_at_the_short_address(served: Served) -> None:
    body = b'{"inputs": {"price": [1]}}'
    assert send(alone(served, "demand"), body, path="/invocations").status == 200
    assert send(alone(served, "demand"), body, path=DEMAND).status == 200
    answer = send(served, body, path="/invocations")
    assert (answer.status, DEMAND.encode() in answer.body) == (404, True)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/models/unknown/invocations", 404, "ENDPOINT_NOT_FOUND"),
        ("/v1/models/waiting/invocations", 503, "TEMPORARILY_UNAVAILABLE"),
        ("/v1/models/a/b/invocations", 404, "ENDPOINT_NOT_FOUND"),
        ("/v1/models//invocations", 404, "ENDPOINT_NOT_FOUND"),
        ("/else/invocations", 404, "ENDPOINT_NOT_FOUND"),
    ],
)
def test_other_addresses_are_refused(served: Served, path: str, status: int, code: str) -> None:
    answer = send(served, b'{"inputs": {"price": [1]}}', path=path)
    assert (answer.status, json.loads(answer.body)["error_code"]) == (status, code)


@pytest.mark.parametrize("path", ["/ping", "/health", "/version", "/invocations", CHURN])
def test_other_methods_are_refused(served: Served, path: str) -> None:
    method = "GET" if path.endswith("/invocations") else "POST"
    answer = send(alone(served, "churn"), b"", path=path, method=method)
    assert (answer.status, json.loads(answer.body)["error_code"]) == (405, "BAD_REQUEST")
    assert dict(answer.headers)[b"allow"] == (b"POST" if method == "GET" else b"GET, HEAD")


def test_probes_answer_as_mlflow_does(served: Served) -> None:
    for path in ("/ping", "/health"):
        for method in ("GET", "HEAD"):
            answer = send(alone(served, "churn"), b"", path=path, method=method)
            assert (answer.status, answer.body, dict(answer.headers)[b"content-type"]) == (200, b"\n", JSON.encode())
        assert send(served, b"", path=path, method="GET").status == 404
    answer = send(served, b"", path="/version", method="GET")
    assert (answer.status, answer.body.decode()) == (200, mlflow.version.VERSION)
    assert mlflow.version.VERSION == MLFLOW_VERSION


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestError.of(401, "no token"), 401, "UNAUTHENTICATED"),
        (RequestError.of(403, "no scope"), 403, "PERMISSION_DENIED"),
        (RequestError.of(408, "slow"), 408, "BAD_REQUEST"),
        (RequestError.of(413, "long"), 413, "BAD_REQUEST"),
        (RequestError.of(503, "busy"), 503, "TEMPORARILY_UNAVAILABLE"),
        (TiltyardError("x" * 1000), 500, "INTERNAL_ERROR"),
    ],
)
def test_failures_of_the_transport_have_its_shape(error: TiltyardError, status: int, code: str) -> None:
    answer = refuse("/invocations", error, ((b"x", b"y"),))
    content = json.loads(answer.body)
    assert (answer.status, content["error_code"], (b"x", b"y") in answer.headers) == (status, code, True)
    assert len(content["message"]) <= 300


def test_golden_requests_of_mlflow_are_answered(served: Served, tmp_path: Path) -> None:
    """What MLflow stores beside a model with an input example is a request that its server answers."""
    from mlflow.models.utils import _Example  # noqa: PLC0415

    frame = pd.DataFrame([ROW]).astype({"region": "string"})
    example = _Example(frame)
    example.save(str(tmp_path))
    body = (tmp_path / "input_example.json").read_bytes()
    assert send(served, b'{"dataframe_split": ' + body + b"}").status == 200
