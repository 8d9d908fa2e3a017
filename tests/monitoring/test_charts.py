from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.monitoring.checks import OWN, START, WEEK, check, estimate, finding, score, verdict
from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.charts import draw_charts
from tiltyard.monitoring.points import Mark, Point, points_of
from tiltyard.monitoring.policy import Decision

PNG = b"\x89PNG\r\n"

_intervals = st.floats(-1e6, 1e6).map(lambda value: Estimate(value=value, low=value - 1, high=value + 1))
_marks = st.builds(
    Mark,
    column=st.sampled_from(["age", "a $very$ long name that fits nowhere at all", "x_y and z^2", "年齢"]),
    test=st.sampled_from(["location", "new_level"]),
    level=st.sampled_from(["note", "warning", "alarm"]),
)
_points = st.builds(
    Point,
    end=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda time: time.replace(tzinfo=UTC)),  # noqa: DTZ001
    rows=st.integers(1_000, 10**7),
    labelled=st.integers(0, 1_000),
    version=st.none() | st.integers(1, 3),
    score=st.none() | _intervals,
    estimate=st.none() | _intervals,
    trusted=st.booleans(),
    marks=st.lists(_marks, max_size=3).map(tuple),
    action=st.sampled_from(["none", "retrain", "alert"]),
    checked=st.booleans(),
)


def test_there_is_a_picture_of_scores_drift_traffic_and_labels() -> None:
    points = points_of([check(week, performance=(score(week),), estimate=estimate()) for week in range(4)])
    pictures = draw_charts(points, "roc_auc", OWN)
    assert list(pictures) == ["score", "drift", "traffic", "labels"]
    assert all(picture.startswith(PNG) for picture in pictures.values())


def test_there_is_no_picture_of_scores_that_are_not_there() -> None:
    assert list(draw_charts(points_of([check()]), "roc_auc", OWN)) == ["drift", "traffic", "labels"]
    assert draw_charts((), "roc_auc") == {}


@pytest.mark.parametrize("metric", ["rmse", "accuracy"])
def test_scores_are_drawn_in_the_units_of_their_metric(metric: str) -> None:
    point = Point(START, 100, score=Estimate(value=0.5, low=0.4, high=0.6))
    assert draw_charts([point], metric)["score"].startswith(PNG)


def test_the_same_checks_in_any_order_give_the_same_pictures() -> None:
    checks = [check(week, drift=verdict(finding("feature_age")), performance=(score(week),)) for week in range(3)]
    assert draw_charts(points_of(checks), "roc_auc") == draw_charts(points_of(checks[::-1]), "roc_auc")


@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(_points, max_size=6))
def test_whatever_was_found_can_be_drawn(points: list[Point]) -> None:
    assert all(picture.startswith(PNG) for picture in draw_charts(points, "rmse", OWN).values())


def test_months_of_checks_and_dozens_of_columns_can_be_drawn() -> None:
    marks = tuple(Mark(f"column {number}", "scale", "warning") for number in range(40))
    points = [Point(START + timedelta(days=day), 100, marks=marks) for day in range(120)]
    assert draw_charts(points, "roc_auc")["drift"].startswith(PNG)


def test_the_newest_score_of_a_window_counts_whichever_check_made_it() -> None:
    late: dict[str, Any] = {"value": 0.7, "labelled": 1_900}
    first, second = points_of(
        [check(1, performance=(score(0, **late), score(1))), check(0, performance=(score(0, labelled=100),))]
    )
    assert first.score is not None
    assert (first.score.value, first.labelled) == (0.7, 1_900)
    assert (second.end, second.labelled) == (START + 2 * WEEK, 1_200)


def test_a_window_that_was_only_scored_is_a_point_without_a_check() -> None:
    scored, checked = points_of([check(5, performance=(score(2),))])
    assert (scored.checked, scored.end, scored.rows) == (False, START + 3 * WEEK, 2_000)
    assert (checked.checked, checked.score) == (True, None)


def test_a_score_of_too_few_labels_is_no_score() -> None:
    (point,) = points_of([check(performance=(score(value=None, low=None, high=None),))])
    assert (point.score, point.labelled) == (None, 1_200)


def test_a_point_says_what_was_found_and_done() -> None:
    found = verdict(finding("feature_age", "correlation", "warning", other="feature_pay"), finding("probability_yes"))
    decided = Decision(action="alert", reason="look")
    (point,) = points_of([check(drift=found, decision=decided, estimate=estimate(valid=False))])
    assert point.marks == (
        Mark("age and pay", "correlation", "warning"),
        Mark("probability of yes", "location", "alarm"),
    )
    assert (point.action, point.trusted) == ("alert", False)
