"""Requests of the Open Inference Protocol with one thing or a few gone wrong: always an answer, never a failure."""

import copy
import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocols.models import CONTRACTS, FLOWERS, STAYS
from tests.protocols.tensors import body_of, columns_of
from tiltyard.serving.answers import Answer
from tiltyard.serving.handler import handle
from tiltyard.serving.protocols.tensors import DATATYPES
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

ROWS = {"stays": STAYS, "flowers": FLOWERS}
OUTPUTS = [[], [{"name": "prediction"}], [{"name": "probabilities", "parameters": {"binary_data": True}}]]
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 1, 2**31 - 1, 2**63])
    | st.floats()
    | st.sampled_from([*DATATYPES, "age", "prediction"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "x"]), inner, max_size=2),
    max_leaves=8,
)


def _places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything inside of some JSON."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    return [place for key in keys for place in ((*path, key), *_places(content[key], (*path, key)))]


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a model and a JSON request of which up to three parts are others, away, or there twice."""
    model = draw(st.sampled_from(sorted(ROWS)))
    inputs = columns_of(CONTRACTS[model], ROWS[model])
    content: Any = copy.deepcopy({"id": "mine", "inputs": inputs, "outputs": draw(st.sampled_from(OUTPUTS))})
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(_places(content)))
        inside = content
        for key in parents:
            inside = inside[key]
        change = draw(st.sampled_from(["replace", "replace", "remove", "repeat"]))
        if change == "replace":
            inside[last] = draw(JUNK)
        elif change == "remove":
            del inside[last]
        elif isinstance(inside, list):
            inside.append(copy.deepcopy(inside[last]))
    return model, json.dumps(content).encode()


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes, int]:
    """Draw a model, a binary request of which some bytes are others, and the length of its JSON, or nearly that."""
    model = draw(st.sampled_from(sorted(ROWS)))
    body, length = body_of(CONTRACTS[model], ROWS[model], {"outputs": draw(st.sampled_from(OUTPUTS))})
    changed = bytearray(body)
    for _ in range(draw(st.integers(0, 4))):
        changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([0, 0, 0, 1, 8]))
    return model, bytes(changed[: len(changed) - cut]), length + draw(st.sampled_from([0, 0, 0, -1, 1, 10**6]))


def _check(answer: Answer) -> None:
    assert answer.status in {200, 400, 413}
    length = int(dict(answer.headers).get(b"inference-header-content-length", len(answer.body)))
    content = json.loads(answer.body[:length])
    if answer.status != 200:
        assert set(content) == {"error"}
        assert len(content["error"]) < 900
        assert answer.record == b""


def _check_document(weighing: Served, drawn: tuple[str, bytes]) -> None:
    _check(handle(weighing, Request("POST", f"/v2/models/{drawn[0]}/infer", drawn[1], {}, "id1", 1.0)))


def _check_body(weighing: Served, drawn: tuple[str, bytes, int]) -> None:
    model, body, length = drawn
    headers = {b"inference-header-content-length": str(length).encode()}
    _check(handle(weighing, Request("POST", f"/v2/models/{model}/infer", body, headers, "id1", 1.0)))


@given(documents())
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
def test_a_changed_document_is_answered(weighing: Served, drawn: tuple[str, bytes]) -> None:
    _check_document(weighing, drawn)


@given(bodies())
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
def test_a_changed_body_is_answered(weighing: Served, drawn: tuple[str, bytes, int]) -> None:
    _check_body(weighing, drawn)


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3))
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
def test_a_changed_stream_is_answered(weighing: Served, noise: bytes, changes: list[tuple[int, int]]) -> None:
    content = json.dumps({"inputs": columns_of(CONTRACTS["flowers"], FLOWERS)}).encode()
    stream = bytearray(gzip.compress(content) + noise[:1])
    for place, value in changes:
        stream[place % len(stream)] = value
    headers = {b"content-encoding": b"gzip"}
    _check(handle(weighing, Request("POST", "/v2/models/flowers/infer", bytes(stream), headers, "id1", 1.0)))


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
@given(documents())
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=4_000)
def test_many_changed_documents_are_answered(weighing: Served, drawn: tuple[str, bytes]) -> None:
    _check_document(weighing, drawn)


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
@given(bodies())
@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=4_000)
def test_many_changed_bodies_are_answered(weighing: Served, drawn: tuple[str, bytes, int]) -> None:
    _check_body(weighing, drawn)
