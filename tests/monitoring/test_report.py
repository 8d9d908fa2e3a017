"""Evidently takes seconds to import and to draw: few reports, looked at from many sides."""

import json
import os
import re
import socket
from typing import Any

import numpy as np
import pytest

from tests.monitoring.checks import EVIL, finding, sample, verdict
from tiltyard.bundle.model import Predictions
from tiltyard.monitoring import report
from tiltyard.monitoring.findings import DriftVerdict
from tiltyard.monitoring.report import Answered, Quality, drifted_columns, evidently_report
from tiltyard.monitoring.sample import Sample
from tiltyard.project.metrics import Task


def _content(page: str) -> Any:
    found = re.search(r"var tiltyard_report = (\{.*?\}); var additional", page, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def _groups(page: str) -> dict[str, Any]:
    return {group["title"]: group["widgets"] for group in _content(page)["widgets"]}


def _texts(part: Any) -> str:
    return json.dumps(part, ensure_ascii=False)


def _verdicts_of(page: str) -> dict[str, str]:
    """Return what Evidently's table says of each column."""
    (table,) = [one for one in _groups(page)["Data drift"] if one["type"] == "big_table"]
    return {row["column_name"]: row["data_drift"] for row in table["params"]["data"]}


def _report(found: DriftVerdict, quality: Quality | None = None, **more: Any) -> str:
    current = sample(280, shift=2.0, seed=1, emptied=True)
    page = evidently_report(sample(300), current, found, quality, **more)
    assert page is not None
    return page


@pytest.fixture(scope="module")
def alarmed() -> tuple[DriftVerdict, str]:
    """A verdict that names columns of every kind, and its report, drawn where nothing can be dialled."""
    found = verdict(
        finding("feature_pay", "missing"),
        finding("prediction", "distribution"),
        finding("feature_gaps", "correlation", "warning", other="feature_same"),
        finding("feature_time", "location", "warning"),
        finding("feature_region", "new_level", "note", sentence=f"`region` is `{EVIL}`"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _refuse)
        return found, _report(found, most=200)


def _refuse(*_: object) -> None:
    raise AssertionError("a report dials nobody")


def test_a_column_is_drifted_in_the_report_when_the_verdict_names_it_and_only_then(
    alarmed: tuple[DriftVerdict, str],
) -> None:
    found, page = alarmed
    said = _verdicts_of(page)
    assert {name for name, what in said.items() if what == "Detected"} == drifted_columns(found)
    assert drifted_columns(found) == {"feature_pay", "prediction", "feature_gaps", "feature_same", "feature_time"}
    assert set(said) == set(sample(10).columns)
    assert "5 out of 12" in page
    assert "Dataset Drift is detected" in page


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without the summary of the columns, which takes the most time."""
    monkeypatch.setattr(report, "_summary", lambda _: [])


@pytest.mark.usefixtures("brief")
def test_the_verdict_decides_even_against_what_the_rows_look_like() -> None:
    page = _report(verdict(finding("feature_flag", level="note")))
    assert set(_verdicts_of(page).values()) == {"Not Detected"}
    assert "Dataset Drift is NOT detected" in page


def test_the_report_says_whose_verdict_it_is_and_what_is_drawn(alarmed: tuple[DriftVerdict, str]) -> None:
    opening = _texts(_groups(alarmed[1])["What this is"])
    assert "Drift of some columns." in opening
    assert "200 drawn of 1,960" in opening
    assert "200 drawn of 2,100" in opening
    assert "every predicted class, or fifth" in opening
    assert "all 12." in opening
    assert "Tiltyard, correlation with same: warning" in alarmed[1]


@pytest.mark.usefixtures("brief")
def test_rows_are_also_drawn_by_day_where_days_are_known() -> None:
    days = np.repeat(np.arange(28), 10)
    page = _report(verdict(level="too_few_rows"), days=days, most=100)
    assert "every day, and in it every predicted class" in _texts(_groups(page)["What this is"])


def test_nothing_that_a_client_sent_can_end_the_script(alarmed: tuple[DriftVerdict, str]) -> None:
    page = alarmed[1]
    assert EVIL not in page
    assert EVIL in _texts(_content(page)).replace('\\"', '"')
    assert "default-src 'none'" in page[: page.index("<script>")]


def test_nothing_is_told_to_anybody() -> None:
    assert os.environ["DO_NOT_TRACK"]


@pytest.mark.usefixtures("brief")
def test_no_drift_is_neither_claimed_nor_denied_where_nothing_was_tested() -> None:
    page = _report(verdict(level="too_few_rows"))
    assert list(_groups(page)) == ["What this is", "Data summary"]


def test_there_is_no_report_without_rows() -> None:
    empty = Sample(0, 0, {name: type(one)(one.kind, one.values[:0]) for name, one in sample(5).columns.items()})
    assert evidently_report(sample(5), empty, verdict()) is None
    assert evidently_report(empty, sample(5), verdict()) is None
    assert evidently_report(Sample(9, 9), Sample(9, 9), verdict()) is None


def test_what_evidently_cannot_draw_does_not_end_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(report, "_run", fail)
    page = _report(verdict(finding("feature_age")))
    assert "Evidently could not draw this (ZeroDivisionError)" in _texts(_groups(page)["Data drift"])


def _answered(classes: int, rows: int = 400, seed: int = 0) -> Answered:
    random = np.random.default_rng(seed)
    chances = random.dirichlet([1.0] * classes, rows)
    y = (chances.cumsum(axis=1) > random.random((rows, 1))).argmax(axis=1)
    return Answered(y, Predictions(probabilities=chances))


def _figures(quality: Quality) -> str:
    return report._json([widget.dict() for widget in report._quality(quality, 5_000, 0)])


def test_the_quality_of_two_classes_is_measured_at_the_models_own_threshold() -> None:
    answered = _answered(2)
    right = float(np.mean(answered.predictions.labels(0.2) == answered.y))
    wrong = float(np.mean(answered.predictions.labels(0.5) == answered.y))
    figures = _figures(Quality(Task.BINARY, ("no", "yes"), answered, _answered(2, seed=1), threshold=0.2))
    assert f'"{right:.3f}"'.rstrip("0") in figures or f'"{round(right, 3)}"' in figures
    assert f'"{round(wrong, 3)}"' not in figures


def test_the_quality_of_many_classes_and_of_numbers_is_drawn() -> None:
    answered = _answered(3)
    right = float(np.mean(answered.predictions.labels(0.5) == answered.y))
    assert f'"{round(right, 3)}"' in _figures(Quality(Task.MULTICLASS, ("a", "b", "c"), answered))
    y, errors = np.random.default_rng(0).normal(size=(2, 200))
    numbers = Answered(y, Predictions(values=y + errors))
    assert f'"{np.abs(errors).mean():.2f} (' in _figures(Quality(Task.REGRESSION, (), numbers, numbers))


def test_labels_of_one_class_are_not_drawn_and_the_report_says_why() -> None:
    answered = _answered(2)
    one = Answered(np.zeros_like(answered.y), answered.predictions)
    assert "Labels of two classes are needed" in _figures(Quality(Task.BINARY, ("no", "yes"), one))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("seed", range(12))
def test_report_and_verdict_agree_whatever_was_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = list(sample(2).columns)
    tests = ["distribution", "location", "scale", "missing", "new_level", "outside", "correlation"]
    found = []
    for name in random.choice(names, random.integers(0, 8), replace=False):
        test = str(random.choice(tests))
        other = str(random.choice([one for one in names if one != name])) if test == "correlation" else ""
        level = str(random.choice(["note", "warning", "alarm"]))
        found.append(finding(str(name), test, level, other=other, effect=float(random.normal())))
    page = _report(verdict(*found))
    said = {name for name, what in _verdicts_of(page).items() if what == "Detected"}
    assert said == drifted_columns(verdict(*found))
    assert ("Dataset Drift is detected" in page) == (verdict(*found).level != "none")
