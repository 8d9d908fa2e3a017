"""The schedule of a project: what is accepted, and how a mistake is named."""

import pytest
from pydantic import ValidationError

from tiltyard.project.schedule import ScheduleSection


@pytest.mark.parametrize("cron", ["0 3 * * 1", "*/15 * * * *", "0 0 29 2 *", "30 6 1-7 * sun", None])
def test_a_schedule_that_is_ever_due_is_accepted(cron: str | None) -> None:
    assert ScheduleSection(cron=cron, timezone="Europe/Berlin").cron == cron


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"cron": "0 25 * * *"}, "`schedule.cron: 0 25 * * *` is not a cron schedule"),
        ({"cron": "@daily"}, "has 1 field, and cron five: minute"),
        ({"cron": ""}, "has 0 fields"),
        ({"cron": "0 3 * * 1 2026"}, "has 6 fields"),
        ({"cron": "0 0 31 2 *"}, "`schedule.cron: 0 0 31 2 *`"),
        ({"timezone": "Europe/Berlim"}, "Did you mean `Europe/Berlin`"),
        ({"timezone": "xyzzy"}, "`schedule.timezone: xyzzy` is not a time zone"),
        ({"when_busy": "wait"}, "'refuse' or 'queue'"),
    ],
)
def test_a_mistake_is_named(keys: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence.replace("*", r"\*").replace("(", r"\(")):
        ScheduleSection.model_validate(keys)
