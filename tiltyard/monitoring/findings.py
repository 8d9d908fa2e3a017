"""What a check for drift says: findings, and the verdict over all of them. Small frozen records, stored and shown."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiltyard.project.section import Section

Test = Literal["distribution", "location", "scale", "missing", "new_level", "outside", "correlation"]
Level = Literal["note", "warning", "alarm"]
Share = Annotated[float, Field(ge=0, le=1)]

TESTS: tuple[Test, ...] = ("distribution", "location", "scale", "missing", "new_level", "outside", "correlation")


class Finding(Section):
    """One thing that has changed.

    Attributes:
        column: Which column, named as in the prediction log.
        other: The second column of a correlation; empty otherwise.
        test: What was compared.
        effect: How much, on the scale of the test (`tiltyard.monitoring.comparisons`); signed where there is a
            direction.
        p: How often chance alone would show as much, between 0 and 1; calibrated where the verdict is.
        level: `note`: a line in the report. `warning`: to look at. `alarm`: a person is told.
        importance: Weight of the column, 1 for an average one.
        windows: Checks running in which its column was seen, this one included.
        since: Start of the first of these windows; None when no times were given.
        sentence: What, how much, how sure, since when.
    """

    column: str
    other: str = ""
    test: Test
    effect: float
    p: Share
    level: Level
    importance: float = 1.0
    windows: int = 1
    since: datetime | None = None
    sentence: str


class Span(Section):
    """From when to when a window goes.

    Attributes:
        start: Of its first moment.
        end: Of the first moment after it.
    """

    start: datetime
    end: datetime

    @model_validator(mode="after")
    def _goes_forward(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"a window from {self.start} until {self.end} ends before it begins")
        return self

    def mostly_in(self, earlier: "Span") -> bool:
        """Return whether more than half of it lies in another span: then its rows are no new evidence."""
        common = min(self.end, earlier.end) - max(self.start, earlier.start)
        return 2 * common > self.end - self.start


class Suspect(Section):
    """A column that the next check looks at again.

    Attributes:
        column: Which.
        windows: Checks running in which it was seen, the last included.
        span: The first of these windows; None when no times were given.
    """

    column: str
    windows: int = 1
    span: Span | None = None


class DriftVerdict(Section):
    """What a check for drift says.

    Attributes:
        level: `none`, `warning` or `alarm`: that of the worst finding. `too_few_rows`: nothing was tested.
        rows: Rows that were compared, those of pooled windows included.
        reference_rows: Rows they were compared with.
        pooled: Windows that were taken together; 1 when the window had rows enough.
        calibrated: Whether p-values know how good windows differ from each other.
        tests: Tests made; the correction is for this many.
        findings: Worst first, answers of the model before its features; notes last.
        suspects: Columns that were seen, for the next check.
        sentence: All of it in a sentence or two.
    """

    level: Literal["none", "warning", "alarm", "too_few_rows"]
    rows: int
    reference_rows: int
    pooled: int = 1
    calibrated: bool = False
    tests: int = 0
    findings: tuple[Finding, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    sentence: str
