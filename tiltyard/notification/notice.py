"""What people are told, and how often. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from tiltyard.project.section import Section

Event = Literal["promotion", "refusal", "approval wanted", "failure", "rollout", "alarm", "retraining"]


class Notice(Section):
    """Something that people are to know.

    Attributes:
        project: Name of the project.
        event: What kind of thing happened.
        subject: What it happened to, such as `version 7`; the same again within the cool-down is not told twice.
        title: What happened, in one line.
        text: The rest: why, and what to do.
        page: Where to look; empty when there is no page.
    """

    project: str
    event: Event
    subject: str
    title: str
    text: str
    page: str = ""

    @property
    def body(self) -> str:
        """The text with the page below it."""
        return "\n\n".join(part for part in (self.text, self.page) if part)


def due(last: datetime | None, now: datetime, cooldown: float) -> bool:
    """Whether something is to be told that was told before.

    Args:
        last: When it was told last; None when never.
        now: The present moment.
        cooldown: Seconds that must lie between the two.

    Example:
        >>> from datetime import UTC
        >>> noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
        >>> due(None, noon, 900), due(noon, noon + timedelta(seconds=899), 900)
        (True, False)
    """
    return last is None or now - last >= timedelta(seconds=cooldown)
