"""Past checks as points of a picture: one for each window, with the newest that is known of it."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from tiltyard.evaluation import records
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import Finding, Level
from tiltyard.monitoring.frames import bare
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.performance import Performance

_Key = tuple[datetime, datetime, int | None]


class Mark(NamedTuple):
    """What a check found in a column.

    Attributes:
        column: Name, or names of a pair.
        test: Which comparison.
        level: How bad.
    """

    column: str
    test: str
    level: Level


class Point(NamedTuple):
    """One window.

    Attributes:
        end: Its end, UTC.
        rows: Its predictions.
        labelled: How many of them have a label by now.
        version: Version that answered; None for several.
        score: Score on the labelled rows; None without enough of them.
        estimate: Estimated score; None where there is none.
        trusted: Whether the estimate's own check holds.
        marks: What was found.
        action: What the policy decided.
        checked: Whether it was checked for drift; a labelled window need not be the window of a check.
    """

    end: datetime
    rows: int
    labelled: int = 0
    version: int | None = None
    score: records.Estimate | None = None
    estimate: records.Estimate | None = None
    trusted: bool = True
    marks: tuple[Mark, ...] = ()
    action: str = "none"
    checked: bool = True


def points_of(checks: Iterable[Check]) -> tuple[Point, ...]:
    """Return a point for each window that was checked or scored.

    Labels come late: of several scores of one window the newest counts, whichever check made it. Of several checks of
    one window the newest counts too.

    Args:
        checks: Past checks in any order.

    Returns:
        Oldest window first.
    """
    scores: dict[_Key, Performance] = {}
    windows: dict[_Key, Check] = {}
    for check in sorted(checks, key=lambda check: check.made):
        windows[check.start, check.end, check.version] = check
        for one in check.performance:
            scores[one.start, one.end, one.version] = one
    points = [_checked(check, scores.get(key)) for key, check in windows.items()]
    points += [_scored(one) for key, one in scores.items() if key not in windows]
    return tuple(sorted(points, key=lambda point: (point.end, point.checked)))


def _checked(check: Check, score: Performance | None) -> Point:
    found = check.estimate
    return Point(
        end=check.end,
        rows=check.rows,
        labelled=0 if score is None else min(score.labelled, check.rows),
        version=check.version,
        score=None if score is None else _interval(score),
        estimate=None if found is None else _interval(found),
        trusted=found is None or found.valid,
        marks=tuple(map(_mark, check.drift.findings)),
        action="none" if check.decision is None else check.decision.action,
    )


def _scored(score: Performance) -> Point:
    return Point(
        end=score.end,
        rows=score.rows,
        labelled=score.labelled,
        version=score.version,
        score=_interval(score),
        checked=False,
    )


def _mark(found: Finding) -> Mark:
    column = " and ".join(bare(name) for name in (found.column, found.other) if name)
    return Mark(column, found.test, found.level)


def _interval(one: Performance | Estimate) -> records.Estimate | None:
    if one.value is None or one.low is None or one.high is None:
        return None
    return records.Estimate(value=one.value, low=one.low, high=one.high)
