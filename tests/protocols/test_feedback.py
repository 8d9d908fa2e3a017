"""Labels through the handler: taken with a line for the log, refused without one."""

import json
from typing import Any

import pytest

from tiltyard.predictions.record import Feedback, read_line
from tiltyard.serving.answers import Answer
from tiltyard.serving.handler import handle
from tiltyard.serving.ids import Ids
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

NOON = 1_795_176_000.0
ID = "9f" * 12


def sent(served: Served, content: Any, *, name: str = "churn", method: str = "POST") -> Answer:
    body = json.dumps(content).encode()
    return handle(served, Request(method, f"/v1/models/{name}/feedback", body, id="9f", time=NOON))


def test_labels_are_taken_with_a_line_for_the_log(served: Served) -> None:
    answer = sent(served, [{"id": f"{ID}-0", "label": True}, {"id": f"{ID}-1", "label": "no", "time": 5}])
    assert (answer.status, json.loads(answer.body)) == (202, {"model": "churn", "accepted": 2})
    assert answer.about is None
    line = read_line(answer.record)
    assert isinstance(line, Feedback)
    assert (line.model, line.kind, line.received) == ("churn", "boolean", NOON)
    assert [(entry.id, entry.label, entry.time) for entry in line.feedback] == [
        (f"{ID}-0", True, NOON),
        (f"{ID}-1", False, 5),
    ]


def test_an_id_that_an_answer_named_is_one_of_a_prediction(served: Served) -> None:
    asked = Ids().next()
    labels = [{"id": name, "label": True} for name in (asked, f"{asked}-0", f"{asked}-9999")]
    assert sent(served, labels).status == 202


def test_a_regression_takes_numbers(served: Served) -> None:
    line = read_line(sent(served, {"id": ID, "label": 12}, name="demand").record)
    assert isinstance(line, Feedback)
    assert (line.kind, line.feedback[0].label) == ("number", 12.0)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        ({"id": f"{ID}-0", "label": "s3cret"}, 422, "feedback[0]"),
        ([{"id": ID, "label": True}, {"id": "s3cret", "label": True}], 422, "feedback[1]"),
        ({"id": f"{ID}-0"}, 400, "missing required field `label`"),
        ([], 400, "there are no labels"),
        ([{"id": f"{ID}-0", "label": True}] * 101, 413, "101 labels are too many"),
    ],
)
def test_what_is_no_feedback_is_refused_without_a_line(served: Served, content: Any, status: int, words: str) -> None:
    answer = sent(served, content)
    assert answer.status == status
    assert words in answer.body.decode()
    assert answer.record == b""
    assert b"s3cret" not in answer.body


def test_only_models_of_this_server_take_labels_and_only_by_post(served: Served) -> None:
    label = {"id": f"{ID}-0", "label": True}
    assert sent(served, label, name="nobody").status == 404
    assert sent(served, label, name="waiting").status == 503
    assert sent(served, label, method="GET").status == 405
