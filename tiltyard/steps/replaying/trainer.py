"""Training on what was known at a moment, by the search, fit and judgement of a real training run.

The same rows are trained on once, whoever asks; the rows of the split are those of `tiltyard train` at that date.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.model import FittedModel
from tiltyard.data.parts import Part
from tiltyard.data.split import make_split
from tiltyard.errors import DataError
from tiltyard.evaluation.gate import judge
from tiltyard.evaluation.paired import align
from tiltyard.evaluation.records import Estimate, Evidence, Scorecard, Verdict
from tiltyard.evaluation.scorecard import evaluate
from tiltyard.evaluation.wording import title
from tiltyard.monitoring.reference import Reference, Rows, read_reference, write_reference
from tiltyard.steps.jury import Jury, compare_answers, jury_of
from tiltyard.steps.problem import fit_rows, make_problem
from tiltyard.steps.replaying.stream import Range, Stream
from tiltyard.training.fit import fit
from tiltyard.training.tuner import search

Mode = Literal["superiority", "non_inferiority"]


@dataclass(frozen=True, eq=False)
class Trained:
    """A model that was trained in a replay.

    Attributes:
        number: In the order of training, from 1.
        rows: Rows that were known.
        model: The fitted model.
        seen: Content hashes of the rows that it learnt from, uint64.
        keys: Those of the rows that judged it.
        jury: Rows that judged it.
        scorecard: What it is worth on them.
        reference: What it is watched against.
    """

    number: int
    rows: Range
    model: FittedModel
    seen: NDArray[np.uint64]
    keys: NDArray[np.uint64]
    jury: Jury
    scorecard: Scorecard
    reference: Reference

    @property
    def score(self) -> Estimate:
        """The metric that decides, on the rows that judged it."""
        return self.scorecard.metrics[self.scorecard.primary]


class Training(Protocol):
    """Whatever makes a model of the rows that were known."""

    def train(self, rows: Range) -> Trained:
        """Return the model of some rows.

        Raises:
            TiltyardError: None can be trained on them.
        """

    def judge(self, champion: Trained, challenger: Trained, mode: Mode, champion_mode: Mode | None) -> Verdict:
        """Return what the gate says of a challenger."""


@dataclass
class Trainer:
    """Trains by the project's own search, and remembers what it trained.

    Attributes:
        stream: The history.
        code_folder: Folder of the project's own estimators; None when there are none.
    """

    stream: Stream
    code_folder: Path | None = None
    _trained: dict[Range, Trained] = field(default_factory=dict)
    _verdicts: dict[tuple[int, int, Mode, Mode | None], Verdict] = field(default_factory=dict)

    def train(self, rows: Range) -> Trained:
        """Return the model of some rows; trained once.

        Raises:
            DataError: The rows cannot be split, or cannot judge.
            TrainingError: No model could be trained on them.
        """
        if rows not in self._trained:
            self._trained[rows] = self._train(rows)
        return self._trained[rows]

    def _train(self, rows: Range) -> Trained:
        stream, contract = self.stream, self.stream.contract
        project = stream.project
        frame = stream.frame.iloc[slice(*rows)].reset_index(drop=True)
        split = make_split(frame, contract, project)
        problem = make_problem(stream, frame, split, self.code_folder)
        with tempfile.TemporaryDirectory() as folder:
            found = search(problem, project.search, Path(folder))
        model = fit(problem, found, contract=contract, settings=project.search, rows=fit_rows(split))
        jury = jury_of(stream, split, frame)
        scorecard = evaluate(
            model.predict,
            jury.columns,
            jury.y,
            contract=contract,
            primary=project.gate_metric,
            threshold=model.threshold,
            groups=jury.groups,
            seed=project.search.seed,
        )
        if scorecard.primary not in scorecard.metrics:
            raise DataError(
                f"{title(scorecard.primary)} is not defined on the {scorecard.rows} rows that judge",
                cure="Give more rows to begin with (--first).",
            )
        learnt = split.rows(Part.TRAIN, Part.VALIDATION, Part.CALIBRATION)
        with tempfile.TemporaryDirectory() as folder:
            parts = Rows(split.rows(Part.TEST), learnt)
            write_reference(Path(folder), frame, contract, parts, predict=model.predict, scorecard=scorecard)
            reference = read_reference(Path(folder), where="the replay")
        return Trained(
            number=len(self._trained) + 1,
            rows=rows,
            model=model,
            seen=split.keys[learnt],
            keys=split.keys[split.rows(Part.TEST)],
            jury=jury,
            scorecard=scorecard,
            reference=reference,
        )

    def judge(self, champion: Trained, challenger: Trained, mode: Mode, champion_mode: Mode | None) -> Verdict:
        """Return what the gate says of a challenger, by rows that neither model learnt from.

        Latency and size are not looked at: no bundle is built.

        Args:
            champion: The model in force.
            challenger: The model that would take its place.
            mode: What the challenger must show.
            champion_mode: Mode of the verdict that put the champion there; None for the first.
        """
        key = (champion.number, challenger.number, mode, champion_mode)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(champion, challenger, mode, champion_mode)
        return self._verdicts[key]

    def _judge(self, champion: Trained, challenger: Trained, mode: Mode, champion_mode: Mode | None) -> Verdict:
        gates = self.stream.project.gates.model_copy(update={"mode": mode})
        unseen = np.flatnonzero(~np.isin(challenger.keys, champion.seen)).astype(np.int64)
        evidence = Evidence(
            champion=str(champion.number), comparable_rows=len(unseen), champion_mode=champion_mode or "first"
        )
        if len(unseen) >= gates.min_rows:
            fair = challenger.jury.take(unseen)
            theirs = align(champion.model.predict(fair.columns), champion.model.classes, challenger.model.classes)
            thresholds = (challenger.model.threshold, champion.model.threshold)
            found = compare_answers(self.stream, fair, challenger.model.predict(fair.columns), theirs, thresholds)
            evidence = evidence.model_copy(update=found)
        return judge(gates, challenger.scorecard, evidence)
