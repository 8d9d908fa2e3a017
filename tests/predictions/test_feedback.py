"""The door of feedback: three forms, labels by the contract's target, errors that name the entry and no value."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.predictions.lines import CONTRACT, DEMAND
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import DataError, TiltyardError, UsageError
from tiltyard.predictions.feedback import read_feedback
from tiltyard.predictions.record import Entry
from tiltyard.project.metrics import Task

NOW = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
SECRET = "s3cret-value"
ID = "3f09c1d2a4b5e6f700000012"


WRONG_IDS = (
    "ü",
    "x" * 24,
    "a-0",
    ID[1:],
    ID * 2,
    ID.upper(),
    f"{ID}-",
    f"{ID}-01",
    f"{ID}--1",
    f"{ID}-0-0",
    f"{ID}\n",
    "4711",
)


def of(kind: Kind, classes: tuple[Any, ...]) -> Contract:
    target = Column(name="y", kind=kind, role=Role.TARGET)
    return Contract(task=Task.BINARY, columns=(Column(name="x", kind=Kind.NUMBER), target), classes=classes)


def read(content: Any, contract: Contract = CONTRACT) -> tuple[Entry, ...]:
    return read_feedback(json.dumps(content).encode(), contract, NOW)


@pytest.mark.parametrize("form", [lambda one: one, lambda one: [one], lambda one: {"feedback": [one]}])
def test_the_three_forms_say_the_same(form: Any) -> None:
    assert read(form({"id": f"{ID}-0", "label": "yes", "time": 5.0})) == (Entry(f"{ID}-0", "yes", 5.0),)


@pytest.mark.parametrize(
    ("contract", "sent", "label"),
    [
        (CONTRACT, " yes ", "yes"),
        (of(Kind.BOOLEAN, (False, True)), True, True),
        (of(Kind.BOOLEAN, (False, True)), "no", False),
        (of(Kind.BOOLEAN, (False, True)), 1, True),
        (of(Kind.INTEGER, (0, 1)), 1, 1),
        (of(Kind.INTEGER, (0, 1)), 1.0, 1),
        (of(Kind.CATEGORY, ("1", "2")), 1, "1"),
        (DEMAND, 12, 12.0),
        (DEMAND, "12.5", 12.5),
    ],
)
def test_a_label_is_typed_as_in_training(contract: Contract, sent: object, label: object) -> None:
    (entry,) = read({"id": ID, "label": sent}, contract)
    assert (entry.label, type(entry.label)) == (label, type(label))


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (None, NOW),
        (12, 12.0),
        ("2026-11-20T10:00:00Z", datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()),
        ("2026-11-20T12:00:00+02:00", datetime(2026, 11, 20, 10, tzinfo=UTC).timestamp()),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC).timestamp()),
    ],
)
def test_times_are_read(time: object, seconds: float) -> None:
    assert read({"id": ID, "label": "no", "time": time})[0].time == seconds


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": SECRET}, r"feedback\[1\]: the label is no class of `churned`\. There is: no, yes\."),
        ({"label": None}, r"feedback\[1\]: the label is missing"),
        ({"label": ""}, r"feedback\[1\]: the label is missing"),
        ({"label": [SECRET]}, r"feedback\[1\]: the label is not a category"),
        ({"label": {"x": SECRET}}, r"feedback\[1\]: the label is not a category"),
        ({"id": ""}, r"feedback\[1\]: the id is none of a prediction\. Send the one that the answer named, as in 3f09"),
        *(({"id": wrong}, r"feedback\[1\]: the id is none") for wrong in WRONG_IDS),
        ({"time": SECRET}, r"feedback\[1\]: the time is none\. Write it as"),
        ({"time": "2200-01-01"}, r"feedback\[1\]: the time lies before 1970 or in the future"),
        ({"time": -1}, r"feedback\[1\]: the time lies"),
        ({"time": True}, r"feedback\[1\]\.time: the body is no feedback: expected"),
        ({"id": 5}, r"feedback\[1\]\.id: the body is no feedback: expected `str`, got `int`"),
    ],
)
def test_errors_name_the_entry_and_no_value(changed: dict[str, object], words: str) -> None:
    good = {"id": ID, "label": "yes"}
    with pytest.raises(TiltyardError, match=words) as caught:
        read([good, good | changed])
    assert SECRET not in str(caught.value)
    assert caught.value.http_status in {400, 422}


def test_a_regression_wants_numbers() -> None:
    with pytest.raises(DataError, match=r"feedback\[0\]: the label is not a number"):
        read({"id": ID, "label": "many"}, DEMAND)
    with pytest.raises(DataError, match="the label is not a number"):
        read({"id": ID, "label": True}, DEMAND)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"5", b'"text"', b"[1]", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"feedback":5}'),
        *(b'{"id":"a"}', b'{"id":"a","label":1,"labl":2}', b'{"id":"\xff","label":1}', b'{"feedback":[]}'),
    ],
)
def test_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        read_feedback(body, CONTRACT, NOW)
    assert '{"id"' in str(caught.value)
    assert caught.value.http_status == 400


def test_too_many_labels_are_refused() -> None:
    body = json.dumps([{"id": ID, "label": "yes"}] * 11).encode()
    assert len(read_feedback(body, CONTRACT, NOW, most=11)) == 11
    with pytest.raises(UsageError, match="11 labels are too many"):
        read_feedback(body, CONTRACT, NOW, most=10)


@given(
    st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda one: json.dumps(one).encode())
)
def test_no_body_makes_it_fail(body: bytes) -> None:
    with suppress(UsageError, DataError):
        assert read_feedback(body, CONTRACT, NOW)
