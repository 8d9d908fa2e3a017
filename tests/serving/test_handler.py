"""Requests and answers, without any transport: the shapes of both, and every bad request's one clear answer."""

import dataclasses
import gzip
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.serving.bundles import ROW
from tiltyard.bundle.reading import Reader
from tiltyard.bundle.runtime import Runtime
from tiltyard.serving.handler import handle
from tiltyard.serving.plan import Refusal
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

PREDICT = "/v1/models/churn/predict"
SECRET = "c0ffee-secret"


def ask(served: Served, method: str, path: str, body: bytes = b"", encoding: str = "") -> tuple[int, Any]:
    answer = handle(served, Request(method, path, body, {b"content-encoding": encoding.encode()}))
    return answer.status, json.loads(answer.body)


def post(served: Served, content: object, path: str = PREDICT) -> tuple[int, Any]:
    return ask(served, "POST", path, json.dumps(content).encode())


def test_a_classification_answers_class_and_probabilities(served: Served) -> None:
    status, answer = post(served, {"rows": [ROW, {"age": 3}]})
    entry = {"prediction": True, "probabilities": {"False": 0.25, "True": 0.75}}
    assert status == 200
    assert answer == {"model": "churn", "version": 3, "id": "", "predictions": [entry, entry], "notes": []}


def test_a_regression_answers_a_value(served: Served) -> None:
    status, answer = post(served, {"features": [[1.0], [None]]}, "/v1/models/demand/predict")
    assert (status, answer["predictions"]) == (200, [{"prediction": 3.5}, {"prediction": 3.5}])


def test_features_in_order_are_a_row(served: Served) -> None:
    assert post(served, {"features": list(ROW.values())}) == post(served, {"rows": [ROW]})


def test_a_new_level_and_an_unknown_column_are_noted(served: Served) -> None:
    rows = [ROW, {**ROW, "plan": SECRET, "plann": 1}]
    status, answer = post(served, {"rows": rows})
    level, column = answer["notes"]
    assert (status, level["column"], level["rows"]) == (200, "plan", [1])
    assert column["column"] == "plann"
    assert "Did you mean `plan`?" in column["note"]
    assert SECRET not in json.dumps(answer)


def test_a_number_outside_the_range_is_noted(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = served.slots["churn"].runtime.contract
    ranges = {"age": {"minimum": 19.0, "maximum": 75.0}, "visits": {"maximum": 4.5}}
    columns = tuple(column.model_copy(update=ranges.get(column.name, {})) for column in contract.columns)
    ranged = contract.model_copy(update={"columns": columns})
    slot = served.slots["churn"]
    monkeypatch.setattr(slot.runtime, "contract", ranged)
    slots = {"churn": dataclasses.replace(slot, reader=Reader(ranged, slot.runtime.encoder))}
    served = dataclasses.replace(served, slots=slots)
    rows = [ROW, {**ROW, "age": 18.5}, {**ROW, "age": 75, "visits": 5}, {**ROW, "age": 1e6, "visits": None}]
    status, answer = post(served, {"rows": rows})
    assert status == 200
    assert answer["notes"] == [
        {"column": "age", "rows": [1, 3], "note": "outside 19 to 75, the range in training"},
        {"column": "visits", "rows": [2], "note": "above 4.5, the range in training"},
    ]


BAD: list[tuple[bytes, int, str]] = [
    (b"", 400, "not valid JSON"),
    (b"{", 400, "not valid JSON"),
    (b'{"rows": [{"age": 1}]} x', 400, "trailing"),
    (b'{"rows": [{"age": NaN}]}', 400, "null for a missing value"),
    (b'{"rows": [{"age": -Infinity}]}', 400, "null for a missing value"),
    (b'{"rows": [{"age": Infinity}]}', 400, "null for a missing value"),
    (b'{"rows": [{"age": nan}]}', 400, "null for a missing value"),
    (b'{"rows": [{age: 1}]}', 400, 'Send {"rows"'),
    (b"{'rows': []}", 400, 'Send {"rows"'),
    (b"<rows><age>1</age></rows>", 400, 'is XML or HTML, not JSON  Send {"rows"'),
    ('{"rows": [{"age": 1}]}'.encode("utf-16"), 400, "Encode the JSON as UTF-8"),
    ('{"rows": [{"age": 1}]}'.encode("utf-16-le"), 400, "Encode the JSON as UTF-8"),
    ('{"rows": [{"age": 1}]}'.encode("utf-16-be"), 400, "Encode the JSON as UTF-8"),
    ('{"rows": [{"age": 1}]}'.encode("utf-8-sig"), 400, "Encode the JSON as UTF-8"),
    (b'{"rows": [{"age": "\xff"}]}', 400, "UTF-8"),
    (b'{"rows": [{"age": 1, "plan": "\\ud800"}]}', 400, "not valid JSON"),
    (b'{"rows": [{"age": 1e999}]}', 400, "$.rows[0]"),
    (b'{"rows": [{"age": ' + b"9" * 5000 + b"}]}", 400, "$.rows[0]"),
    (b'{"rows": [{"age": ' + b"9" * 400 + b"}]}", 422, "`age`"),
    (b'{"rows": [{"age": ' + b"[" * 90_000, 400, "nested too deeply"),
    (b'{"rows": ' + b"[" * 90_000, 400, "expected `object`"),
    (b'{"x": ' + b'{"x": ' * 9_000, 400, "`x`"),
    (b"[]", 400, "expected `object`"),
    (b"null", 400, "expected `object`"),
    (b"{}", 400, "neither `rows` nor `features`"),
    (b'{"row": []}', 400, "unknown field `row`"),
    (b'{"rows": {}}', 400, "$.rows"),
    (b'{"rows": [1]}', 400, "$.rows[0]"),
    (b'{"rows": []}', 400, "no rows"),
    (b'{"features": []}', 400, "no rows"),
    (b'{"rows": [{"age": 1}], "features": [1]}', 400, "exclude each other"),
    (b'{"features": [1]}', 422, "5 features"),
    (b'{"features": [[1, null, null, null, null], [1]]}', 422, "row 1"),
    (b'{"rows": [{"age": 1}, {"age": "c0ffee-secret"}]}', 422, "row 1"),
    (b'{"rows": [{"age": true}]}', 422, "`age`"),
    (b'{"rows": [{"age": [1]}]}', 422, "`age`"),
    (b'{"rows": [{"age": 1, "plan": {"c0ffee-secret": 1}}]}', 422, "`plan`"),
    (b'{"rows": [{"age": 1, "visits": 1.5}]}', 422, "`visits`"),
    (b'{"rows": [{"age": 1, "seen": "c0ffee-secret"}]}', 422, "`seen`"),
    (b'{"rows": [{"age": 1, "region": "c0ffee-secret"}]}', 422, "`region`"),
    (b'{"rows": [{"plan": "c0ffee-secret"}]}', 422, "`age`"),
    (b'{"rows": [{"age": null}]}', 422, "`age`"),
    (json.dumps({"rows": [ROW] * 101}).encode(), 413, "at most 100"),
    (json.dumps({"features": [[1]] * 101}).encode(), 413, "at most 100"),
]


@pytest.mark.parametrize(("body", "status", "words"), BAD, ids=range(len(BAD)))
def test_a_bad_body_gets_one_clear_answer(served: Served, body: bytes, status: int, words: str) -> None:
    found, answer = ask(served, "POST", PREDICT, body)
    error = answer["error"]
    assert found == status
    assert words in f"{error['what']} {error['where']} {error['cure']}"
    assert error["cure"]
    assert set(answer) == {"error"}
    assert set(error) == {"what", "where", "cure"}
    assert SECRET not in json.dumps(answer)


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", PREDICT, 405, "Send POST"),
        ("DELETE", "/v1/models", 405, "Send GET"),
        ("POST", "/health/ready", 405, "Send GET"),
        ("PUT", "/v1/models/churn", 405, "Send GET"),
        ("GET", "/", 404, "/v1/models"),
        ("GET", "/v1/models/", 404, "/v1/models"),
        ("GET", "/v1/models/churn/", 404, "/v1/models"),
        ("POST", "/v1/models/churn/explain", 404, "/v1/models"),
        ("POST", "/v1/models/chrun/predict", 404, "Did you mean `churn`?"),
        ("GET", "/v1/models/../../etc/passwd", 404, "/v1/models"),
        ("GET", "/v1/models/" + "z" * 9_000, 404, "churn, demand"),
        ("POST", "/v1/models/waiting/predict", 503, "no champion"),
        ("GET", "/v1/models/waiting", 503, "no champion"),
    ],
)
def test_a_wrong_address_gets_one_clear_answer(served: Served, method: str, path: str, status: int, words: str) -> None:
    found, answer = ask(served, method, path, b"{}")
    assert found == status
    assert words in json.dumps(answer, ensure_ascii=False)
    assert len(json.dumps(answer)) < 1_000


def test_a_wrong_method_says_which_is_right(served: Served) -> None:
    assert (b"allow", b"POST") in handle(served, Request("GET", PREDICT)).headers
    assert (b"allow", b"GET, HEAD") in handle(served, Request("POST", "/v1/models")).headers


def test_a_compressed_body_is_read(served: Served) -> None:
    body = json.dumps({"rows": [ROW]}).encode()
    assert ask(served, "POST", PREDICT, gzip.compress(body), "gzip") == ask(served, "POST", PREDICT, body)
    assert ask(served, "POST", PREDICT, body, "gzip")[0] == 400
    assert ask(served, "POST", PREDICT, body, "br")[0] == 415
    assert ask(served, "POST", PREDICT, gzip.compress(b" " * 200_000), "gzip")[0] == 413


def test_readiness_waits_for_every_model(served: Served) -> None:
    status, answer = ask(served, "GET", "/health/ready")
    assert (status, answer["waiting"]) == (503, ["waiting"])
    ready = Served(names=("churn",), slots=served.slots)
    assert ask(ready, "GET", "/health/ready")[0] == 200
    leaving = Served(names=("churn",), slots=served.slots, draining=True)
    assert ask(leaving, "GET", "/health/ready")[1]["status"] == "draining"
    assert ask(leaving, "HEAD", "/health/live")[0] == 200


def test_a_model_describes_itself(served: Served) -> None:
    status, answer = ask(served, "GET", "/v1/models/churn")
    assert (status, answer["version"], answer["classes"]) == (200, 3, [False, True])
    assert [feature["name"] for feature in answer["features"]] == ["age", "plan", "region", "visits", "seen"]
    models = ask(served, "GET", "/v1/models")[1]["models"]
    assert [model["version"] for model in models] == [3, 3, None]


def test_a_refused_version_is_told_with_its_reason(served: Served) -> None:
    refusal = Refusal(version=4, reason="golden rows differ", since=served.slots["churn"].since)
    told = Served(names=("churn", "waiting"), slots=served.slots, refused={"churn": refusal, "waiting": refusal})
    assert ask(told, "GET", "/v1/models/churn")[1]["refused"]["reason"] == "golden rows differ"
    assert "golden rows differ" in ask(told, "POST", "/v1/models/waiting/predict", b"{}")[1]["error"]["cure"]
    assert ask(told, "POST", PREDICT, json.dumps({"rows": [ROW]}).encode())[1]["version"] == 3


def test_an_answer_that_is_not_finite_never_leaves(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runtime, "score_one", lambda *_: np.inf)
    status, answer = post(served, {"features": [1.0]}, "/v1/models/demand/predict")
    assert status == 500
    assert "not finite" in answer["error"]["what"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
cells = st.sampled_from([*ROW, "other"])
bodies = anything | st.fixed_dictionaries({"rows": st.lists(st.dictionaries(cells, anything), max_size=3)})


@given(content=bodies)
def test_no_json_brings_the_server_to_its_knees(served: Served, content: object) -> None:
    status, answer = post(served, content)
    assert status in {200, 400, 422}
    assert ("error" in answer) == (status != 200)


@given(body=st.binary(max_size=200))
def test_no_bytes_bring_the_server_to_its_knees(served: Served, body: bytes) -> None:
    assert ask(served, "POST", PREDICT, body)[0] in {400, 422}
