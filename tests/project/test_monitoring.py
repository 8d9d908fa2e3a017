"""The section `monitoring` of the project file: defaults, stretches of time, and how a mistake is named."""

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tiltyard.errors import ProjectError
from tiltyard.project.loading import load_project, parse_model
from tiltyard.project.model import Project
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.project.spans import parse_span

START = {"name": "churn", "task": {"kind": "binary"}, "data": {"source": "a.csv", "target": "y"}}


def test_the_defaults_are_those_of_the_design() -> None:
    section = Project.model_validate_json(
        '{"name": "a", "task": {"kind": "binary"}, "data": {"source": "a", "target": "y"}}'
    )
    watching = section.monitoring
    assert (watching.span, watching.rows, watching.label_delay) == (timedelta(days=7), None, timedelta(days=30))
    assert (watching.retrain, watching.cooldown_hours) == ("automatic", 24.0)
    assert (watching.most_per_day, watching.most_per_week, watching.sustained) == (1, 3, (2, 3))
    assert watching.cron is None
    assert watching.freshness_days is None


def test_a_project_file_says_it_in_plain_yaml(tmp_path: Path) -> None:
    text = (
        "name: churn\ntask: {kind: binary}\ndata: {source: a.csv, target: y}\n"
        "monitoring:\n  window: 5000\n  cron: 0 6 * * *\n  sustained: [3, 5]\n  cooldown_hours: 12\n"
        "  importance: {age: 2, plan: 0.5}\n  ignore: [row]\n  retrain: alert\n  freshness_days: 30\n"
    )
    (tmp_path / "tiltyard.yaml").write_text(text)
    watching = load_project(tmp_path).monitoring
    assert (watching.rows, watching.span, watching.sustained) == (5000, None, (3, 5))
    assert watching.importance == {"age": 2, "plan": 0.5}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"windw": "7d"}, "did you mean `window`?"),
        ({"window": "7 days"}, "`7 days` is no stretch of time; write a number and `m` (minutes)"),
        ({"window": "0d"}, "`0d` is no time at all"),
        ({"window": 0}, "`window: 0` has no rows; take 1 or more"),
        ({"labels_within": "20w0"}, "`20w0` is no stretch of time"),
        ({"labels_within": "999w"}, "longer than ten years"),
        ({"cron": "daily"}, "`monitoring.cron: daily` has 1 field"),
        ({"sustained": [3, 2]}, "`sustained: [3, 2]` asks for 3 of 2 windows"),
        ({"sustained": [2]}, "at least 2"),
        ({"retrain": "always"}, "automatic"),
        ({"most_per_day": -1}, "greater than or equal to 0"),
        ({"cooldown_hours": -1}, "greater than or equal to 0"),
        ({"importance": {"age": -1}}, "greater than or equal to 0"),
        ({"ignore": ["age"], "importance": {"age": 2}}, "`age` is under `ignore` and has an `importance`"),
        ({"ignore": ["y"]}, "`monitoring.ignore` names `y`, the target"),
    ],
)
def test_a_mistake_is_named(content: dict[str, object], words: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(words)):
        parse_model(Project, {**START, "monitoring": content}, where="tiltyard.yaml")


@given(st.integers(1, 500), st.sampled_from("mhdw"))
def test_a_stretch_of_time_is_its_number_times_its_unit(number: int, unit: str) -> None:
    words = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[unit]
    assert parse_span(f"{number}{unit}") == timedelta(**{words: number})


@given(st.text(max_size=12))
def test_whatever_is_written_is_a_span_or_a_named_mistake(text: str) -> None:
    with suppress(ValidationError):
        assert MonitoringSection(labels_within=text).label_delay > timedelta()
