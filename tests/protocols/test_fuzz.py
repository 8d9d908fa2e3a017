"""Whatever is sent anywhere, the answer has its protocol's shape, blames no server and repeats no value."""

import gzip
import io
import json
import os
import time
import zlib
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from tests.protocols.models import CONTRACTS, FLOWERS, STAYS
from tests.serving.bundles import ROW
from tiltyard.serving.answers import Answer
from tiltyard.serving.handler import handle
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

SECRET = "c0ffee-secret"
SECONDS = float(os.environ.get("TILTYARD_FUZZ_SECONDS", "60"))
"""How long the thorough hunt goes on; an hour is 3600."""

TABLES: Mapping[str, list[dict[str, Any]]] = {
    "stays": STAYS,
    "flowers": FLOWERS,
    "churn": [ROW],
    "demand": [{"price": 1.5}],
}
ACTIONS = {"v1": ("", "/predict", "/feedback", "/invocations", "/explain"), "v2": ("", "/ready", "/infer")}
PATHS = [
    *(
        f"/{root}/models/{name}{action}"
        for root in ACTIONS
        for name in (*CONTRACTS, "waiting")
        for action in ACTIONS[root]
    ),
    *("/v2/models/stays/versions/3/infer", "/v2/models/stays/versions/x/infer", "/v2", "/v2/", "/v2/health/ready"),
    *("/invocations", "/ping", "/health", "/version", "/v1/models", "/health/live", "/health/ready"),
    *("/openapi.json", "/docs", "/", "//", "/v1/models/", "/v1/models//predict", "/v2/models//infer"),
]
OF_MLFLOW = ("/invocations", "/ping", "/health", "/version")
LEAVES = (  # no object alone: as a whole body its key is a field, and fields of other names are named
    st.sampled_from([SECRET, f" {SECRET}\n", [SECRET], [[{SECRET: SECRET}]], None, True, "", "NA", "1,5", "2026-01-31"])
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
)
NAMES = st.sampled_from(["age", "plan", "Age", "price", "length", "remark", "columns", "data", "rows"]) | st.text(
    max_size=6
)
ANYTHING = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4))


def mapped(table: list[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return a table with some of its values changed, and columns left out or added."""
    row = st.sampled_from(table).flatmap(
        lambda row: st.fixed_dictionaries({}, optional={name: st.just(row[name]) | LEAVES for name in row})
    )
    return st.lists(row | row.flatmap(lambda made: NAMES.map(lambda name: {**made, name: SECRET})), max_size=4)


def tensors(rows: list[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return an inference request of rows, more or less."""
    kinds = st.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "FP16", "UINT8", "STRING"])
    shapes = st.just([len(rows)]) | st.just([len(rows), 1]) | st.lists(st.integers(-1, 9), max_size=3)
    names = sorted({name for row in rows for name in row}) or ["age"]

    def tensor(name: str) -> st.SearchStrategy[dict[str, Any]]:
        data = st.just([row.get(name) for row in rows]) | ANYTHING
        parameters = st.none() | st.dictionaries(st.just("binary_data_size"), st.integers(-1, 99) | LEAVES)
        parts = {"name": st.just(name), "shape": shapes, "datatype": kinds}
        return st.fixed_dictionaries(parts, optional={"data": data, "parameters": parameters})

    return st.fixed_dictionaries({"inputs": st.tuples(*map(tensor, names)).map(list)}, optional={"outputs": ANYTHING})


def jsons(name: str) -> st.SearchStrategy[object]:
    """Return what is nearly a request of some protocol for a model."""

    def forms(rows: list[dict[str, Any]]) -> st.SearchStrategy[object]:
        names = list(TABLES[name][0])
        lists = [[row.get(column) for column in names] for row in rows]
        columns = {column: [row.get(column) for row in rows] for column in names}
        labels = [{"id": f"{'9f' * 12}-{number}", "label": SECRET, "time": number} for number in range(len(rows))]
        usual = (
            {"rows": rows},
            {"features": lists},
            {"dataframe_records": rows},
            {"dataframe_split": {"columns": names, "data": lists}},
            {"instances": rows},
            {"inputs": columns},
            {"inputs": rows, "params": {"probabilities": True}},
            {"feedback": labels},
        )
        return st.sampled_from(usual) | tensors(rows)

    return mapped(TABLES[name]).flatmap(forms) | ANYTHING


def tables(name: str) -> st.SearchStrategy[bytes]:
    """Return CSV and Parquet bodies, whole ones and damaged ones."""

    def parquet(rows: list[dict[str, Any]]) -> bytes:
        sink = io.BytesIO()
        pd.DataFrame(rows).astype(str).to_parquet(sink)
        return sink.getvalue()

    whole = mapped(TABLES[name]).flatmap(
        lambda rows: st.sampled_from([pd.DataFrame(rows).to_csv(index=False).encode(), parquet(rows)])
    )
    return whole | st.tuples(whole, st.integers(0, 4000), st.binary(max_size=4)).map(_damaged)


def _damaged(parts: tuple[bytes, int, bytes]) -> bytes:
    body, place, other = parts
    place %= len(body) + 1
    return body[:place] + other + body[place + len(other) :]


BODIES = st.sampled_from(sorted(TABLES)).flatmap(
    lambda name: jsons(name).map(lambda content: json.dumps(content).encode()) | tables(name)
)
KINDS = ["application/json", "text/csv", "application/vnd.apache.parquet", "text/plain", "application/json; charset=x"]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        b"content-type": st.sampled_from([kind.encode() for kind in KINDS]) | st.binary(max_size=20),
        b"content-encoding": st.sampled_from([b"gzip", b"deflate", b"identity", b"br"]),
        b"accept-encoding": st.sampled_from([b"gzip", b"deflate, gzip;q=0", b"*"]),
        b"inference-header-content-length": st.integers(-1, 400).map(lambda length: b"%d" % length)
        | st.binary(max_size=9),
        b"authorization": st.just(SECRET.encode()),
    },
)
REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["POST"] * 6 + ["GET", "HEAD", "PUT", "TRACE", "x"]),
    path=st.sampled_from(PATHS) | st.text(max_size=12).map(lambda text: f"/{text}"),
    body=BODIES
    | BODIES.map(gzip.compress)
    | st.binary(max_size=60)
    | st.tuples(BODIES, st.integers(0, 4000), st.binary(max_size=4)).map(_damaged),
    headers=HEADERS,
    id=st.just("id-1"),
    time=st.just(1.8e9),
    query=st.text(max_size=5),
)


def told(answer: Answer) -> bytes:
    """Return an answer's body as it was before compression."""
    encoding = dict(answer.headers).get(b"content-encoding")
    if encoding == b"gzip":
        return gzip.decompress(answer.body)
    return answer.body if encoding is None else zlib.decompress(answer.body)


def check_shape(path: str, status: int, body: bytes, kind: bytes) -> None:
    """Look at the shape of a failure."""
    if kind.startswith(b"text/plain"):
        assert status == 415
        assert body.decode()
        return
    content = json.loads(body)
    if path == "/v2" or path.startswith("/v2/"):
        assert isinstance(content["error"], str)
        assert content.keys() <= {"error", "live", "ready"}
    elif path in OF_MLFLOW or path.endswith("/invocations"):
        assert content.keys() == {"error_code", "message"}
    elif path != "/health/ready":
        assert content["error"].keys() == {"what", "where", "cure"}


def try_one(served: Served, request: Request) -> None:
    """Answer a request and look at the answer."""
    answer = handle(served, request)
    body, kind = told(answer), dict(answer.headers)[b"content-type"]
    assert answer.status < 500 or (answer.status == 503 and (b"waiting" in body or b"no champion" in body)), body
    if answer.status >= 400 and body != b"\n":
        check_shape(request.path, answer.status, body, kind)
    assert SECRET.encode() not in body
    assert all(SECRET.encode() not in value for _, value in answer.headers)


FUZZ: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": False}


@settings(max_examples=150, **FUZZ)
@given(REQUESTS)
@example(Request("POST", "/v1/models/stays/invocations", b'{"inputs": [{"age": NaN, "\\ud800": 1}]}', {}))
@example(Request("POST", "/v1/models/stays/predict", b'{"rows": [{"Age\\ud800": 1}]}', {}))
def test_any_request_is_answered_in_shape(weighing: Served, request: Request) -> None:
    try_one(weighing, request)


@pytest.mark.exhaustive
@pytest.mark.timeout(0)
def test_any_request_is_answered_in_shape_for_long(weighing: Served) -> None:
    until, turn = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        turn += 1

        @seed(int(time.time()) + turn)
        @settings(max_examples=2000, database=None, **FUZZ)
        @given(REQUESTS)
        def hunt(request: Request) -> None:
            try_one(weighing, request)

        hunt()
