"""A trial while it runs: which folds are done, which come next, and when it is given up."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tiltyard.training.bench import Job, Outcome
from tiltyard.training.problem import TrialRecord, oriented
from tiltyard.training.proposal import Proposal


@dataclass
class Trial:
    """One proposal being run.

    Attributes:
        number: Order of proposal.
        proposal: What is run.
        known: How many trials' results were known when it was proposed.
        started: Which folds have been handed out.
        outcomes: What has come back, by fold.
        given_up: Whether no more folds are run.
        out_of_time: Whether that is for lack of time alone.
    """

    number: int
    proposal: Proposal
    known: int = 0
    started: set[int] = field(default_factory=set)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    given_up: bool = False
    out_of_time: bool = False

    @property
    def failed(self) -> bool:
        """Whether a fold failed."""
        return any(outcome.score is None for outcome in self.outcomes.values())

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to run or to wait for."""
        waiting = self.started - set(self.outcomes)
        return not waiting and (self.given_up or self.failed or set(self.proposal.folds) <= self.started)

    def cut(self) -> None:
        """Run no more folds, for lack of time."""
        self.out_of_time |= not self.given_up
        self.given_up = True

    def next_job(self) -> Job | None:
        """Return the next fold to run, or None when there is none (yet): a trial goes on after each good fold."""
        if self.given_up or self.failed:
            return None
        if not self.proposal.eager and self.started - set(self.outcomes):
            return None
        for fold in self.proposal.folds:
            if fold not in self.started:
                return Job(self.number, self.proposal.family, self.proposal.parameters, fold, self.proposal.rows)
        return None

    def remember(self, history: Sequence[TrialRecord], rows: int) -> None:
        """Take over folds that were run before with the same parameters on all rows.

        Args:
            history: Finished trials.
            rows: Training rows of a fold at least.
        """
        for one in history:
            same = one.family == self.proposal.family and one.parameters == self.proposal.parameters
            if self.proposal.screening or not same or one.rows < rows:
                continue
            for fold, value in zip(one.folds, one.fold_scores, strict=True):
                if fold not in self.proposal.folds:
                    continue
                job = Job(self.number, one.family, one.parameters, fold)
                self.started.add(fold)
                self.outcomes[fold] = Outcome(job, value, one.iterations, one.rows, one.seconds / len(one.folds))

    def judge(self, rivals: Sequence[TrialRecord], metric: str, tolerance: float) -> None:
        """Give the trial up when it is worse, over the folds it has run, than what it has to beat.

        Args:
            rivals: Best complete trial of its own family, and best of all.
            metric: What trials are compared by.
            tolerance: How far it may be behind the best of all; behind its own family, the proposal's.
        """
        if self.proposal.screening or self.failed:
            return
        for rival in rivals:
            scores = dict(zip(rival.folds, rival.fold_scores, strict=True))
            shared = [fold for fold in self.outcomes if fold in scores]
            if not shared:
                continue
            ours = np.mean([oriented(metric, self.outcomes[fold].score or 0.0) for fold in shared])
            theirs = np.mean([oriented(metric, scores[fold]) for fold in shared])
            allowed = self.proposal.tolerance if rival.family == self.proposal.family else tolerance
            self.given_up |= bool(ours < theirs - allowed)

    def record(self, finished: float) -> TrialRecord:
        """Return what came of the trial.

        Args:
            finished: Wall time of the search, seconds.
        """
        folds = tuple(fold for fold in sorted(self.outcomes) if self.outcomes[fold].score is not None)
        outcomes = [self.outcomes[fold] for fold in folds]
        scores = tuple(outcome.score for outcome in outcomes if outcome.score is not None)
        iterations = [outcome.iterations for outcome in outcomes if outcome.iterations is not None]
        errors = [outcome.error for outcome in self.outcomes.values() if outcome.error]
        return TrialRecord(
            number=self.number,
            family=self.proposal.family,
            parameters=self.proposal.parameters,
            state=self._state(folds, errors),
            screening=self.proposal.screening,
            score=float(np.mean(scores)) if scores and not errors else None,
            fold_scores=scores,
            folds=folds,
            known=self.known,
            rows=max((outcome.rows for outcome in outcomes), default=0),
            iterations=max(1, round(float(np.mean(iterations)))) if iterations else None,
            seconds=sum(outcome.seconds for outcome in outcomes),
            finished=finished,
            error=errors[0] if errors else "",
        )

    def _state(
        self, folds: Sequence[int], errors: Sequence[str]
    ) -> Literal["complete", "pruned", "unfinished", "failed"]:
        """Return how the trial ended."""
        if errors:
            return "failed"
        if set(folds) == set(self.proposal.folds):
            return "complete"
        return "unfinished" if self.out_of_time else "pruned"
