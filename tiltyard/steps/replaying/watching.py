"""Looking at one window after the other, as the checks of a real champion do; what they keep is kept in memory."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.history import MOST_SAMPLES, Check
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.reference import Reference
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.watching import Past, Seen, look, observed
from tiltyard.monitoring.windows import WindowSample
from tiltyard.predictions.reading import Window as Span
from tiltyard.project.metrics import METRICS
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.steps.replaying.answers import Answers
from tiltyard.steps.replaying.loop import Look


class _Checked(NamedTuple):
    """A check, and what it looked at."""

    check: Check
    sample: Sample

    @property
    def span(self) -> Span:
        return self.check.window


@dataclass
class Watching:
    """Looks at the windows of one strategy.

    A new champion begins anew, but for the standard: a champion trained in the midst of a change may be no worse than
    on its own test rows and still far from what the model was good for before. So each is held to the best that a
    champion of this history was tested for.

    Attributes:
        answers: What models answered.
        section: How a champion is watched.
    """

    answers: Answers
    section: MonitoringSection
    _model: int = 0
    _checked: list[_Checked] = field(default_factory=list)
    _standard: Estimate | None = None

    def __call__(self, asked: Look, /) -> Observation:
        """Return what is seen in a window."""
        if asked.model.number != self._model:
            self._model, self._checked = asked.model.number, []
            self._standard = better(asked.model.scorecard.primary, asked.model.score, self._standard)
        window = Span(asked.window.start, asked.window.end)
        seen = self._seen(asked, window)
        reference, stream = asked.model.reference, self.answers.stream
        if self._standard is not None:
            reference = held_to(reference, self._standard)
        past, name = self._past(window), stream.project.name
        check = look(seen, reference, stream.contract, past, self.section, model=name, made=window.end).check
        self._checked.append(_Checked(check, seen.sample.sample))
        return observed(check)

    def _seen(self, asked: Look, window: Span) -> Seen:
        """Return what the log of a real champion would show."""
        stream = self.answers.stream
        sample, drawn = self.answers.sample(asked.model, asked.rows)
        first = max(asked.since, window.start - self.section.label_delay - (window.end - window.start))
        rows = (stream.between(first, window.end)[0], asked.rows[1])
        return Seen(
            version=asked.model.number,
            sample=WindowSample(
                window, sample, np.array([str(row) for row in drawn], dtype=object), stream.times[drawn]
            ),
            labelled=self.answers.labelled(asked.model, rows, window.end),
            since=asked.since,
        )

    def _past(self, window: Span) -> Past:
        """Return what earlier checks of the champion know."""
        recent = self._checked[-MOST_SAMPLES:]
        sound = [one for one in recent if not one.check.quality]
        vindicated = {(span.start, span.end) for one in self._checked for span in one.check.vindicated}
        good = [one for one in sound if one.check.accepted or (one.check.start, one.check.end) in vindicated]
        return Past(
            checks=tuple(one.check for one in self._checked),
            pooled=tuple((one.span, one.sample) for one in sound if one.span.end <= window.start),
            usual=tuple(one.sample for one in good),
            doubtful=tuple((one.span, one.sample) for one in sound if one not in good),
        )


def better(metric: str, one: Estimate, other: Estimate | None) -> Estimate:
    """Return the better of two scores.

    Args:
        metric: Name of the metric.
        one: A score.
        other: Another; None when there is none.

    Example:
        >>> good, bad = (Estimate(value=value, low=value, high=value) for value in (0.1, 0.3))
        >>> better("rmse", bad, good).value, better("accuracy", bad, good).value
        (0.1, 0.3)
    """
    if other is None:
        return one
    ahead = one.value - other.value if METRICS[metric].greater_is_better else other.value - one.value
    return one if ahead >= 0 else other


def held_to(reference: Reference, standard: Estimate) -> Reference:
    """Return a reference with another score to be held to.

    Args:
        reference: The reference of a model.
        standard: The score.
    """
    return replace(reference, facts=reference.facts.model_copy(update={"score": standard}))
