"""The loop: window after window is answered, looked at, and perhaps followed by a retraining."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from tiltyard.errors import TiltyardError
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.policy import Decision
from tiltyard.steps.replaying.answers import Answers
from tiltyard.steps.replaying.clock import Window
from tiltyard.steps.replaying.outcome import Decided, Mode, Retraining, Scored, Track, mean_score
from tiltyard.steps.replaying.strategies import Moment, Strategy
from tiltyard.steps.replaying.stream import Range, Stream
from tiltyard.steps.replaying.trainer import Trained, Training

_CUT = 0.1
"""Share of a window that may lie after the last row of the history; a window that is cut off earlier is no window."""


class Look(NamedTuple):
    """A window to be looked at.

    Attributes:
        window: When.
        rows: Its rows.
        model: The champion, which answered them.
        since: When it became champion.
    """

    window: Window
    rows: Range
    model: Trained
    since: datetime


class Watch(Protocol):
    """Whatever looks at windows one after the other, and remembers what it saw."""

    def __call__(self, asked: Look, /) -> Observation:
        """Return what is seen in a window."""


class Step(NamedTuple):
    """How far a replay is.

    Attributes:
        strategy: Title of the strategy that is under way.
        share: Share of all windows of all strategies that are done.
        retrainings: How many retrainings it has had.
    """

    strategy: str
    share: float
    retrainings: int


@dataclass(frozen=True)
class Course:
    """What all strategies have in common.

    Attributes:
        stream: The history.
        windows: Its windows after the first rows.
        training: Makes models.
        answers: What models answered.
        first: The first champion.
        watch: Makes a new watch for each strategy.
        mode: What a challenger must show where the strategy leaves that to the project.
    """

    stream: Stream
    windows: Sequence[Window]
    training: Training
    answers: Answers
    first: Trained
    watch: Callable[[], Watch]
    mode: Mode


@dataclass
class _Run:
    """One strategy under way."""

    course: Course
    strategy: Strategy
    watch: Watch
    champion: Trained
    since: datetime
    champion_mode: Mode | None = None
    scored: list[Scored] = field(default_factory=list)
    retrainings: list[Retraining] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)

    def pass_window(self, window: Window, *, last: bool) -> None:
        """Answer a window, look at it, and train if that is decided.

        After the last there is nothing to train for; where the history ends in its midst, its feed is not broken.
        """
        rows = self.course.stream.between(window.start, window.end)
        self.scored.append(
            Scored(
                start=window.start,
                end=window.end,
                rows=rows[1] - rows[0],
                model=self.champion.number,
                score=self.course.answers.score(self.champion, rows),
            )
        )
        if window.end - self.course.stream.end > _CUT * (window.end - window.start):
            return
        seen: list[Observation] = []

        def look() -> Observation:
            seen.append(self.watch(Look(window, rows, self.champion, self.since)))
            return seen[-1]

        begun = tuple(one.at for one in self.retrainings)
        decision = self.strategy.decide(Moment(window.end, self.champion.number, self.since, begun, look))
        if seen:
            self.decisions.append(_decided(window.end, decision, seen[-1]))
        if decision.action == "retrain" and not last:
            self.retrainings.append(self._train(window.end, decision))

    def _train(self, now: datetime, decision: Decision) -> Retraining:
        """Train on what is known, and let the new model take over when it may."""
        rows = self.course.stream.known(now)
        mode = decision.mode or self.course.mode
        record = Retraining(at=now, reason=decision.reason, mode=mode, rows=rows[1] - rows[0], sentence="")
        try:
            challenger = self.course.training.train(rows)
        except TiltyardError as error:
            return record.model_copy(update={"sentence": f"No model could be trained: {error}"})
        found = {"model": challenger.number, "family": challenger.model.family}
        if challenger.number == self.champion.number:
            said = "No label has come since the champion was trained."
            return record.model_copy(update={**found, "sentence": said})
        if not self.strategy.judged:
            promoted, said = True, "It takes over unjudged."
        else:
            verdict = self.course.training.judge(self.champion, challenger, mode, self.champion_mode)
            promoted, said = verdict.outcome == "promote", verdict.sentence
        if promoted:
            self.champion, self.since, self.champion_mode = challenger, now, mode
        return record.model_copy(update={**found, "promoted": promoted, "sentence": said})

    def track(self) -> Track:
        """Return how it went."""
        windows = tuple(self.scored)
        return Track(
            strategy=self.strategy.name,
            title=self.strategy.title,
            mean=mean_score(windows),
            windows=windows,
            retrainings=tuple(self.retrainings),
            decisions=tuple(self.decisions),
        )


def run_all(
    course: Course, strategies: Sequence[Strategy], tell: Callable[[Step], None] | None = None
) -> tuple[Track, ...]:
    """Run a history through the loop, once for each strategy.

    Args:
        course: What they have in common.
        strategies: The strategies; each is used for one run.
        tell: Told after each window how far it is.

    Returns:
        How each of them went, in the order given.
    """
    tracks = []
    for place, strategy in enumerate(strategies):
        run = _Run(course, strategy, course.watch(), course.first, course.stream.start)
        for window in course.windows:
            if tell is not None:
                done = (place + window.number / len(course.windows)) / len(strategies)
                tell(Step(strategy.title, done, len(run.retrainings)))
            run.pass_window(window, last=window is course.windows[-1])
        tracks.append(run.track())
    return tuple(tracks)


def _decided(now: datetime, decision: Decision, seen: Observation) -> Decided:
    """Return a decision and what it rests on, as it is kept."""
    drift = seen.drift
    drifted = [one.column for one in drift.findings if one.level != "note"] if drift else []
    return Decided(
        at=now,
        action=decision.action,
        reason=decision.reason,
        evidence=decision.evidence,
        drift=drift.level if drift else "",
        columns=tuple(dict.fromkeys(drifted)),
        broken=tuple(one.sentence for one in seen.quality),
    )
