"""What a replay shows: the score of every window under every strategy, what was trained, and what was decided."""

from typing import Literal

from pydantic import AwareDatetime

from tiltyard.evaluation.records import Estimate
from tiltyard.project.metrics import METRICS
from tiltyard.project.section import Section

Mode = Literal["superiority", "non_inferiority"]


class Scored(Section):
    """One window under one strategy, with all its labels: what nobody knew at the time.

    Attributes:
        start: Its first moment.
        end: The moment after its last.
        rows: Rows that were answered.
        model: Number of the model that answered.
        score: The metric with its 95 % interval, rows taken in blocks of time; None where it is not defined.
    """

    start: AwareDatetime
    end: AwareDatetime
    rows: int
    model: int
    score: Estimate | None = None


class Retraining(Section):
    """One retraining and what came of it.

    Attributes:
        at: When.
        reason: Why.
        mode: What the new model had to show.
        rows: Rows whose labels were known.
        model: Number of the new model; None when none could be trained.
        family: Its family.
        promoted: Whether it took over.
        sentence: What the gate said, or why there is no model.
    """

    at: AwareDatetime
    reason: str
    mode: Mode
    rows: int
    model: int | None = None
    family: str = ""
    promoted: bool = False
    sentence: str


class Decided(Section):
    """What a strategy that looks decided at the end of a window.

    Attributes:
        at: When.
        action: What.
        reason: Why.
        evidence: What was seen.
        drift: Level of the verdict on drift; empty when it was not looked at.
        columns: Columns that drifted, the worst first.
        broken: In what ways the data was broken.
    """

    at: AwareDatetime
    action: Literal["none", "retrain", "alert"]
    reason: str
    evidence: tuple[str, ...] = ()
    drift: str = ""
    columns: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


class Track(Section):
    """How one strategy went.

    Attributes:
        strategy: Its name.
        title: It in words.
        mean: Mean of the windows' scores, each weighing as many as it has rows; None when none is defined.
        windows: All windows.
        retrainings: What was trained after the first model.
        decisions: What was decided at the end of each window; empty for strategies that never look.
    """

    strategy: str
    title: str
    mean: float | None
    windows: tuple[Scored, ...]
    retrainings: tuple[Retraining, ...] = ()
    decisions: tuple[Decided, ...] = ()

    @property
    def promotions(self) -> int:
        """How many retrainings gave a new champion."""
        return sum(one.promoted for one in self.retrainings)

    @property
    def alerts(self) -> int:
        """How often a person would have been told."""
        return sum(one.action == "alert" for one in self.decisions)


class Replay(Section):
    """A whole replay.

    Attributes:
        name: Name of the project.
        metric: What is scored.
        rows: Rows of the history.
        first_rows: Rows that the first model was trained on.
        start: When it began to answer.
        end: Time of the last row.
        window: Length of a window, in words.
        labels_after: How long after its row a label came, in words.
        history: How far back each model learnt from, in words; empty for all that was known.
        first: What the first model was worth on its own test rows.
        family: Its family.
        tracks: One for each strategy, in the order asked for.
    """

    name: str
    metric: str
    rows: int
    first_rows: int
    start: AwareDatetime
    end: AwareDatetime
    window: str
    labels_after: str
    history: str = ""
    first: Estimate
    family: str
    tracks: tuple[Track, ...]

    def track(self, strategy: str) -> Track:
        """Return the track of a strategy that was asked for."""
        return next(track for track in self.tracks if track.strategy == strategy)

    def gain(self, strategy: str, over: str = "never") -> float | None:
        """Return by how much the mean score of a strategy is better than that of another; None where undefined."""
        ours, theirs = self.track(strategy).mean, self.track(over).mean
        if ours is None or theirs is None:
            return None
        return ours - theirs if METRICS[self.metric].greater_is_better else theirs - ours


def mean_score(windows: tuple[Scored, ...]) -> float | None:
    """Return the mean of scores, each weighing as many as its window has rows; None when there is none."""
    scored = [(one.score.value, one.rows) for one in windows if one.score is not None]
    rows = sum(count for _, count in scored)
    return sum(value * count for value, count in scored) / rows if rows else None
