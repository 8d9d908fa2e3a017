"""When to train again: never, by the calendar, or by what is seen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from tiltyard.errors import UsageError
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.policy import Decision, State, decide
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.project.spans import parse_span

Mode = Literal["superiority", "non_inferiority"]


class Moment(NamedTuple):
    """What a strategy may know at the end of a window.

    Attributes:
        now: The time.
        model: Number of the champion.
        since: When it became champion.
        retrainings: When retrainings were started, the latest last.
        look: Looks at the window that just ended; nothing is looked at until it is called.
    """

    now: datetime
    model: int
    since: datetime
    retrainings: tuple[datetime, ...]
    look: Callable[[], Observation]


class Strategy(Protocol):
    """When to train again.

    Attributes:
        name: Short, as in the table.
        title: In words.
        judged: Whether a new model must pass the gate; it takes over at once otherwise.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  # see the class
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def judged(self) -> bool: ...  # noqa: D102

    def decide(self, moment: Moment) -> Decision:
        """Return what to do at the end of a window."""


@dataclass(frozen=True)
class Never:
    """The first model for ever."""

    name: str = "never"
    title: str = "never trained again"
    judged: bool = True

    def decide(self, moment: Moment) -> Decision:  # noqa: ARG002  # whatever happens
        """Do nothing."""
        return Decision(action="none", reason="Never.")


@dataclass(frozen=True)
class Scheduled:
    """Whenever a time has passed, whatever is seen.

    Attributes:
        name: Name of the schedule.
        title: It in words.
        every: The time.
        start: When it begins to pass.
        mode: What a new model must show.
        judged: Whether a new model must pass the gate.
    """

    name: str
    title: str
    every: timedelta
    start: datetime
    mode: Mode
    judged: bool = True

    def decide(self, moment: Moment) -> Decision:
        """Train when as many are due as have not been started."""
        due = int((moment.now - self.start) / self.every)
        if due and (not moment.retrainings or int((moment.retrainings[-1] - self.start) / self.every) < due):
            return Decision(action="retrain", mode=self.mode, reason=f"{self.title[:1].upper()}{self.title[1:]}.")
        return Decision(action="none", reason="Not due.")


@dataclass
class Policy:
    """Tiltyard's: on evidence of harm (`tiltyard.monitoring.policy`).

    Attributes:
        project: Name of the project.
        section: How the champion is watched.
        mode: What a new model must show where the policy leaves that to the project.
    """

    project: str
    section: MonitoringSection
    name: str = "policy"
    title: str = "Tiltyard's policy"
    judged: bool = True
    _seen: list[Observation] = field(default_factory=list)
    _last: Decision | None = None

    def decide(self, moment: Moment) -> Decision:
        """Look, and decide by what was seen so far."""
        self._seen.append(moment.look())
        state = State(
            project=self.project,
            version=moment.model,
            since=moment.since,
            retrainings=moment.retrainings,
            told=self._last.told if self._last else (),
        )
        self._last = decide(self._seen, state, self.section, moment.now)
        return self._last


_WORDS = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=30)}


def schedule(word: str, start: datetime, mode: Mode, *, judged: bool = True) -> Scheduled:
    """Return a schedule by its word.

    Args:
        word: `daily`, `weekly`, `monthly` (every 30 days), or a stretch of time such as `14d`.
        start: When it begins.
        mode: What a new model must show.
        judged: Whether a new model must pass the gate.

    Raises:
        UsageError: It is no schedule.
    """
    try:
        every = _WORDS.get(word) or parse_span(word)
    except ValueError:
        raise UsageError(
            f"`{word}` is no schedule", cure="Take daily, weekly, monthly, or a stretch of time such as 14d."
        ) from None
    unjudged = "" if judged else ", the new model taking over without the gate"
    words = f"trained again {word if word in _WORDS else f'every {word}'}{unjudged}"
    return Scheduled(word if judged else f"{word} (no gate)", words, every, start, mode, judged)
