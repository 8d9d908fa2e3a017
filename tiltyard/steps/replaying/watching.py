"""Looking at one window after the other, as the checks of a real champion do; what they keep is kept in memory."""

from dataclasses import dataclass, field

import numpy as np

from tiltyard.monitoring.history import MOST_SAMPLES, Check
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.sample import Sample
from tiltyard.monitoring.watching import Past, Seen, look, observed
from tiltyard.monitoring.windows import WindowSample
from tiltyard.predictions.reading import Window as Span
from tiltyard.project.monitoring import MonitoringSection
from tiltyard.steps.replaying.answers import Answers
from tiltyard.steps.replaying.loop import Look


@dataclass
class Watching:
    """Looks at the windows of one strategy; a new champion begins anew.

    Attributes:
        answers: What models answered.
        section: How a champion is watched.
    """

    answers: Answers
    section: MonitoringSection
    _model: int = 0
    _checks: list[Check] = field(default_factory=list)
    _samples: list[tuple[Span, Sample]] = field(default_factory=list)
    _usual: list[Sample] = field(default_factory=list)

    def __call__(self, asked: Look) -> Observation:
        """Return what is seen in a window."""
        if asked.model.number != self._model:
            self._model, self._checks, self._samples, self._usual = asked.model.number, [], [], []
        stream, window = self.answers.stream, Span(asked.window.start, asked.window.end)
        sample, drawn = self.answers.sample(asked.model, asked.rows)
        ids = np.array([str(row) for row in drawn], dtype=object)
        first = max(asked.since, window.start - self.section.label_delay - (window.end - window.start))
        rows = (stream.between(first, window.end)[0], asked.rows[1])
        seen = Seen(
            version=asked.model.number,
            sample=WindowSample(window, sample, ids, stream.times[drawn]),
            labelled=self.answers.labelled(asked.model, rows, window.end),
            since=asked.since,
        )
        past = Past(tuple(self._checks), tuple(self._samples), tuple(self._usual))
        check = look(
            seen,
            asked.model.reference,
            stream.contract,
            past,
            self.section,
            model=stream.project.name,
            made=window.end,
        ).check
        self._checks.append(check)
        self._samples = [*self._samples, (window, sample)][-MOST_SAMPLES:]
        if check.accepted:
            self._usual = [*self._usual, sample][-MOST_SAMPLES:]
        return observed(check)
