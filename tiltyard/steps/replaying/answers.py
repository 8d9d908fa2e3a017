"""What a model answered to the rows of a window, as a sample, as labelled rows, and as a score."""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.intervals import Judged, estimate
from tiltyard.evaluation.records import Estimate
from tiltyard.evaluation.units import Units, time_blocks
from tiltyard.monitoring.labelled import Labelled
from tiltyard.monitoring.labelled import Rows as LabelledRows
from tiltyard.monitoring.logged import Tally, answer_arrays, answers_of, feature_arrays, features_of, sample_of, typed
from tiltyard.monitoring.lottery import text_hashes
from tiltyard.monitoring.sample import Sample
from tiltyard.steps.replaying.clock import stamp
from tiltyard.steps.replaying.stream import Range, Stream
from tiltyard.steps.replaying.trainer import Trained

MOST_SAMPLED = 20_000
"""Rows of a window whose values are kept."""

FEWEST_SCORED = 20
"""Rows without which a window has no score."""

_NEVER = np.iinfo(np.int64).min


@dataclass
class Answers:
    """What models answered, each asked once for each window.

    Attributes:
        stream: The history.
    """

    stream: Stream
    _answers: dict[tuple[int, Range], Predictions] = field(default_factory=dict)
    _scores: dict[tuple[int, Range], Estimate | None] = field(default_factory=dict)

    def of(self, model: Trained, rows: Range) -> Predictions:
        """Return what a model answers to some rows."""
        if (model.number, rows) not in self._answers:
            self._answers[model.number, rows] = model.model.predict(self.stream.take(rows))
        return self._answers[model.number, rows]

    def score(self, model: Trained, rows: Range) -> Estimate | None:
        """Return the metric of a model on some rows, all their labels known; None where it is not defined."""
        if (model.number, rows) not in self._scores:
            self._scores[model.number, rows] = self._score(model, rows) if rows[0] < rows[1] else None
        return self._scores[model.number, rows]

    def _score(self, model: Trained, rows: Range) -> Estimate | None:
        blocks = Units.of(rows[1] - rows[0], time_blocks(self.stream.times[slice(*rows)]))
        if rows[1] - rows[0] < FEWEST_SCORED or blocks.count < 2:
            return None
        judged = Judged(self.stream.y[slice(*rows)], self.of(model, rows), model.model.threshold, blocks)
        return estimate(model.scorecard.primary, judged, seed=self.stream.project.search.seed, quick=True)

    def labelled(self, model: Trained, rows: Range, now: datetime) -> Labelled:
        """Return the answers of a model to some rows, with the labels that have come by a moment.

        The id of a prediction is the number of its row in the stream, as text.
        """
        stream, part = self.stream, slice(*rows)
        count, classes = rows[1] - rows[0], stream.contract.task.is_classification
        times = stream.times[part].astype("datetime64[us]").astype(np.int64)
        due = times + int(stream.delay.total_seconds() * 1_000_000)
        here = due <= int(stamp(now).astype(np.int64))
        answers = self.of(model, rows).array
        ids = text_hashes(pa.array([str(row) for row in range(*rows)], pa.string()))
        found = LabelledRows(
            ids=ids,
            versions=np.full(count, model.number, dtype=np.int64),
            times=times,
            keys=ids,
            label_times=np.where(here, due, _NEVER),
            y=np.where(here, stream.y[part].astype(np.float64), np.nan),
            answers=answers if classes else answers[:, None],
        )
        order = np.argsort(ids, kind="stable")
        known, unknown = found.take(order[here[order]]), found.take(order[~here[order]])
        return Labelled(known, unknown, len(known), len(unknown), 0, classes)

    def sample(self, model: Trained, rows: Range) -> tuple[Sample, NDArray[np.int64]]:
        """Return some rows and what a model answered to them, as a window of the prediction log would be sampled.

        Returns:
            The sample, and which rows of the stream were sampled, int64.
        """
        contract = self.stream.contract
        columns = (*features_of(contract), *answers_of(contract))
        tally = Tally(columns)
        batch = typed(self._batch(model, rows), columns)
        tally.add(batch)
        drawn = np.arange(*rows, dtype=np.int64)
        if len(drawn) > MOST_SAMPLED:
            rng = np.random.default_rng([self.stream.project.search.seed, *rows])
            drawn = np.sort(rng.choice(drawn, MOST_SAMPLED, replace=False))
            batch = batch.take(pa.array(drawn - rows[0]))
        return sample_of(tally, batch), drawn

    def _batch(self, model: Trained, rows: Range) -> pa.RecordBatch:
        """Return features and answers as the prediction log has them."""
        frame, contract = self.stream.frame.iloc[slice(*rows)], self.stream.contract
        answers = answer_arrays(self.of(model, rows), contract, model.model.threshold)
        return pa.RecordBatch.from_pydict({**feature_arrays(frame, contract), **answers})
