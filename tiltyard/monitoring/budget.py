"""When the next retraining may start: cool-down, days and weeks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from tiltyard.project.monitoring import MonitoringSection

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)

_MOST_DOUBLINGS = 5


class Permission(NamedTuple):
    """When the next retraining may start.

    Attributes:
        moment: The earliest; None when the project allows none at all.
        why: What it waits for, in words.
        spent: Whether a budget is used up, and not only the cool-down to be waited for.
    """

    moment: datetime | None
    why: str
    spent: bool


def fruitless(retrainings: Sequence[datetime], since: datetime | None) -> int:
    """Return how many retrainings were started and did not replace the champion.

    Args:
        retrainings: When they were started.
        since: When the champion became champion.
    """
    return sum(since is None or moment > since for moment in retrainings)


def permission(
    section: MonitoringSection, retrainings: Sequence[datetime], since: datetime | None, now: datetime
) -> Permission:
    """Say when the next retraining may start, and what it waits for.

    Args:
        section: The project's settings.
        retrainings: When retrainings were started, in any order; those of the last week at least, and all since the
            champion became champion.
        since: When the champion became champion.
        now: The present moment; what is permitted already is permitted now.
    """
    begun = sorted(retrainings)
    without = fruitless(begun, since)
    cooldown = timedelta(hours=section.cooldown_hours) * 2 ** min(max(0, without - 1), _MOST_DOUBLINGS)
    further = f", doubled by {without} retrainings that gave no new champion" if without > 1 else ""
    waits = [Permission(now, "", spent=False)]
    if begun:
        waits.append(Permission(begun[-1] + cooldown, f"the cool-down of {_hours(cooldown)}{further}", spent=False))
    if since is not None:
        pause = timedelta(hours=section.cooldown_hours)
        waits.append(Permission(since + pause, f"the cool-down of {_hours(pause)} after a promotion", spent=False))
    for most, period, name in ((section.most_per_day, _DAY, "day"), (section.most_per_week, _WEEK, "week")):
        if not most:
            return Permission(None, f"`monitoring.most_per_{name}: 0` allows no retraining", spent=True)
        if len(begun) >= most:
            waits.append(Permission(begun[-most] + period, f"the budget of {most} a {name}", spent=True))
    return max(waits, key=lambda wait: wait.moment or now)


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} h"
