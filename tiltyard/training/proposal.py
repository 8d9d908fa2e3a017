"""What a sampler sees of a search, and what it proposes."""

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from tiltyard.training.family import Facts, Family
from tiltyard.training.problem import TrialRecord, oriented
from tiltyard.training.space import Parameters, Scalar

GENERATION = 4
"""Where only trials are counted, results become known in groups of this size, so that neither timing nor the number
of workers can change what is proposed."""

NEAR = 0.025
"""Share of what the best gains over the worst seen, within which others are still in the race."""


STRONG = ("boosting", "forest", "extra_trees", "mlp", "svm")
"""Families of which one or the other is the best on nearly every table, the likeliest first."""


@dataclass(frozen=True)
class Proposal:
    """A trial to be run.

    Attributes:
        family: Name of its family.
        parameters: Hyper-parameters.
        folds: Folds in the order they are run.
        rows: Training rows of a fold at most; all when None.
        screening: A first look, which cannot win.
        tolerance: By how much (metric, larger is better) it may fall behind the best of its family before it is
            given up.
        eager: Whether all folds run at once.
    """

    family: str
    parameters: dict[str, Scalar]
    folds: tuple[int, ...]
    rows: int | None = None
    screening: bool = False
    tolerance: float = 0.0
    eager: bool = False


@dataclass(frozen=True)
class Arena:
    """What does not change during a search.

    Attributes:
        families: Racing families by name, cheapest first.
        facts: About the training rows of a fold.
        folds: Number of folds there are.
        metric: What trials are compared by.
        trials: Trial budget; None when only time is limited.
        workers: Trials at the same time.
    """

    families: Mapping[str, Family]
    facts: Facts
    folds: int
    metric: str
    trials: int | None
    workers: int


@dataclass(frozen=True)
class Standing:
    """A search at the moment of a proposal.

    Attributes:
        arena: What does not change.
        number: Number of the trial to propose.
        history: Finished trials that may be known, in order.
        running: Proposals without a known result.
        left: Seconds of wall time left; None when only trials are counted.
    """

    arena: Arena
    number: int
    history: tuple[TrialRecord, ...]
    running: tuple[Proposal, ...]
    left: float | None

    def value(self, record: TrialRecord) -> float:
        """Return a record's score, larger is better; minus infinity when it has none."""
        return float("-inf") if record.score is None else oriented(self.arena.metric, record.score)

    def ranked(self, *, screening: bool) -> list[TrialRecord]:
        """Return complete trials of one kind, the best first; of full ones those with the most folds only."""
        found = [one for one in self.history if one.screening is screening and one.state == "complete"]
        most = max((len(one.folds) for one in found), default=0)
        found = [one for one in found if len(one.folds) == most]
        return sorted(found, key=lambda one: (-self.value(one), one.number))

    def known(self, family: str, parameters: Parameters, *, screening: bool, folds: int = 0) -> bool:
        """Whether these parameters have been proposed before.

        Args:
            family: Name of the family.
            parameters: Hyper-parameters.
            screening: Whether first looks or full trials are meant.
            folds: Fewer folds than this do not count, unless the trial was given up.
        """
        tried: list[TrialRecord | Proposal] = [*self.history, *self.running]
        return any(
            one.family == family
            and one.parameters == parameters
            and one.screening is screening
            and (len(one.folds) >= folds or (isinstance(one, TrialRecord) and one.state != "complete"))
            for one in tried
        )

    @property
    def lacks_strong(self) -> bool:
        """Whether strong families race and none of them has a score yet."""
        scored = {one.family for one in self.history if one.score is not None}
        strong = scored.union(self.arena.families).intersection(STRONG)
        return bool(strong) and not strong & scored

    @property
    def tolerance(self) -> float:
        """How far behind the best is still in the race: a share of what the best gains over the worst seen.

        That share is `NEAR`, or on few rows what chance alone does to a proportion.
        """
        values = [self.value(one) for one in self.history if one.score is not None]
        if not values:
            return 0.0
        scoring_rows = max(10.0, self.arena.facts.rows / max(1, self.arena.folds - 1))
        return (max(values) - min(values)) * max(NEAR, 0.5 / math.sqrt(scoring_rows))

    def seconds(self, family: str, parameters: Parameters, rows: int | None = None) -> float | None:
        """Estimate the time of one fit from the three of the family that are most like it in their amount of work.

        Args:
            family: Name of the family.
            parameters: Hyper-parameters.
            rows: Training rows; all of a fold when None.

        Returns:
            Seconds, or None when the family has never been fitted.
        """
        kind, facts = self.arena.families[family], self.arena.facts
        done = [one for one in self.history if one.family == family and one.folds and one.rows]
        largest = max((one.rows for one in done), default=0)
        if not done:
            return None
        work = kind.work(parameters, facts.with_rows(rows or facts.rows))
        works = {one.number: kind.work(one.parameters, facts.with_rows(one.rows)) for one in done}
        like = sorted(done, key=lambda one: (one.rows * 2 < largest, abs(math.log(works[one.number] / work))))
        return work * statistics.median(one.seconds / len(one.folds) / works[one.number] for one in like[:3])


class Sampler(ABC):
    """Decides what is tried next, as a pure function of a standing; four samplers stand behind it."""

    @abstractmethod
    def propose(self, standing: Standing) -> Proposal | None:
        """Return the next trial, or None when there is nothing (more, or for now) worth trying."""


def usual_folds(rows: int, most: int) -> int:
    """Return how many folds are worth their time at a number of rows: fewer as rows grow."""
    wanted = 5 if rows < 10_000 else 3 if rows < 40_000 else 2 if rows < 200_000 else 1
    return max(1, min(wanted if most <= 5 or rows >= 10_000 else most, most))


def turned(folds: int, number: int) -> tuple[int, ...]:
    """Return folds in an order that starts elsewhere for every trial, so that no fold decides alone."""
    return tuple((number + step) % folds for step in range(folds))
