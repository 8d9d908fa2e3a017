"""The section `schedule` of the project file: when training runs start by themselves."""

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import field_validator

from tiltyard.errors import near_miss
from tiltyard.project.section import Section

_FIELDS = (
    "minute (0-59), hour (0-23), day of month (1-31), month (1-12), day of week (0-7), such as `0 3 * * 1` for "
    "Mondays at 3:00"
)


def check_cron(cron: str, key: str) -> str:
    """Return a cron schedule as it was given.

    Args:
        cron: Five fields.
        key: The key that it stands under, for the message.

    Raises:
        ValueError: It is none, or is never due.
    """
    fields = len(cron.split())
    if fields != 5:
        counted = f"{fields} field" if fields == 1 else f"{fields} fields"
        raise ValueError(f"`{key}: {cron}` has {counted}, and cron five: {_FIELDS}")
    try:
        next(CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        said = str(error)[:1].lower() + str(error)[1:]
        raise ValueError(f"`{key}: {cron}` is not a cron schedule ({said}); it has {_FIELDS}") from None
    except StopIteration:
        raise ValueError(f"`{key}: {cron}` is never due") from None
    return cron


class ScheduleSection(Section):
    """When training runs start by themselves; `tiltyard deploy` and `tiltyard up` put it into force."""

    cron: str | None = None
    """Five fields of cron: minute, hour, day of month, month, day of week. No schedule when left out."""
    timezone: str = "UTC"
    """Time zone of `cron`, an IANA name such as `Europe/Berlin`; summer time is followed."""
    when_busy: Literal["refuse", "queue"] = "refuse"
    """What becomes of a run that is started while another one is under way."""

    @field_validator("cron")
    @classmethod
    def _ever_due(cls, cron: str | None) -> str | None:
        return None if cron is None else check_cron(cron, "schedule.cron")

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        known = available_timezones()
        if timezone not in known:
            near = near_miss(timezone, known)
            hint = f"Did you mean `{near}`?" if near else "Take an IANA name such as `Europe/Berlin`."
            raise ValueError(f"`schedule.timezone: {timezone}` is not a time zone. {hint}")
        return timezone
