"""Looking at one window after the other, as the checks of a real champion do; what they keep is kept in memory."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.history import MOST_SAMPLES, Check
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.past import Past, recall
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.standard import standard_of
from tiltyard.monitoring.watching import Seen, look, observed
from tiltyard.monitoring.windows import WindowSample
from tiltyard.predictions.reading import Window as Span
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.steps.replaying.answers import Answers
from tiltyard.steps.replaying.loop import Look


class _Checked(NamedTuple):
    """A check, and what it looked at."""

    check: Check
    sample: Sample


@dataclass
class Watching:
    """Looks at the windows of one strategy.

    A new champion begins anew, but for the standard that it is held to (`tiltyard.monitoring.standard`).

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
            known = tuple(one.check for one in self._checked[-1:])
            self._standard = standard_of(known, asked.model.number, asked.model.scorecard.primary)
            self._model, self._checked = asked.model.number, []
        window = Span(asked.window.start, asked.window.end)
        seen, stream = self._seen(asked, window), self.answers.stream
        past, name = self._past(window, seen.sample.sample), stream.project.name
        check = look(
            seen, asked.model.reference, stream.contract, past, self.section, model=name, made=window.end
        ).check
        self._checked.append(_Checked(check.model_copy(update={"sampled": True}), seen.sample.sample))
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

    def _past(self, window: Span, sample: Sample) -> Past:
        """Return what earlier checks of the champion know."""
        kept = {one.check.end: one.sample for one in self._checked[-MOST_SAMPLES:]}
        return recall(
            [one.check for one in self._checked],
            window,
            lambda check: kept.get(check.end),
            small=sample.rows < self.section.min_rows,
            labelled=True,
            standard=self._standard,
        )
