"""The section `monitoring` of the project file: how the champion is watched, and when it is trained again."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tiltyard.project.schedule import check_cron
from tiltyard.project.section import Section
from tiltyard.project.spans import parse_span

Retraining = Literal["automatic", "alert", "never"]

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]


class MonitoringSection(Section):
    """How the champion is watched, and what may train it again; monitoring itself never trains."""

    cron: str | None = None
    """When the champion is looked at: five fields of cron, as in `schedule.cron` and in its time zone. Only on demand
    when left out."""
    window: str | int = "7d"
    """What a check looks at: the predictions of the last `7d` (`m`, `h`, `d`, `w`), or a count of the latest rows."""
    min_rows: Annotated[int, Field(ge=50)] = 500
    """A window with fewer rows is judged together with those before it."""
    labels_within: str = "30d"
    """How long after its prediction a label may come; performance is looked for in predictions that old too."""
    ignore: tuple[str, ...] = ()
    """Columns that are not watched, such as a counter that never stands still."""
    importance: dict[str, _Weight] = Field(default_factory=dict)
    """Weight of a column among the others, 1 being ordinary; of those left out, what the champion's score loses
    without them."""
    sustained: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=2, max_length=2)] = (2, 3)
    """Drift, or an estimated loss, counts as harm once it shows in this many of so many windows, the latest among
    them. Windows that share more than half of their time count once. A loss that labels prove counts at once."""
    retrain: Retraining = "automatic"
    """What harm leads to: a training run (`automatic`), a message to a person (`alert`), or a line in the record
    (`never`). Broken data never leads to training, and is always told."""
    cooldown_hours: Annotated[float, Field(ge=0, le=24 * 365, strict=False)] = 24.0
    """Least time between two retrainings, and after a promotion; it doubles with every further retraining that gives no
    new champion, up to 32 times as long."""
    most_per_day: Annotated[int, Field(ge=0, le=1000)] = 1
    """Most retrainings in any 24 hours."""
    most_per_week: Annotated[int, Field(ge=0, le=1000)] = 3
    """Most retrainings in any 7 days."""
    freshness_days: Annotated[float, Field(gt=0, le=3660, strict=False)] | None = None
    """Age at which a champion is trained again without any harm; the new model need only be not worse. Never when
    left out."""

    @field_validator("cron")
    @classmethod
    def _ever_due(cls, cron: str | None) -> str | None:
        return None if cron is None else check_cron(cron, "monitoring.cron")

    @field_validator("window", "labels_within")
    @classmethod
    def _a_span(cls, value: str | int) -> str | int:
        if isinstance(value, str):
            parse_span(value)
        elif value < 1:
            raise ValueError(f"`window: {value}` has no rows; take 1 or more, or a stretch of time such as `7d`")
        return value

    @model_validator(mode="after")
    def _windows_can_be_had(self) -> Self:
        needed, among = self.sustained
        if needed > among:
            raise ValueError(f"`sustained: [{needed}, {among}]` asks for {needed} of {among} windows; turn it round")
        return self

    @model_validator(mode="after")
    def _watched_or_not(self) -> Self:
        both = sorted(set(self.ignore) & set(self.importance))
        if both:
            raise ValueError(f"`{both[0]}` is under `ignore` and has an `importance`; take it out of one of them")
        return self

    @property
    def span(self) -> timedelta | None:
        """Length of a window; None when windows are counted in rows."""
        return parse_span(self.window) if isinstance(self.window, str) else None

    @property
    def rows(self) -> int | None:
        """Rows of a window; None when windows are measured in time."""
        return self.window if isinstance(self.window, int) else None

    @property
    def label_delay(self) -> timedelta:
        """How long after its prediction a label may come."""
        return parse_span(self.labels_within)
