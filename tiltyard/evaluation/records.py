"""What an evaluation says: estimates with intervals, a scorecard, a verdict."""

from typing import Literal

from tiltyard.project.metrics import Task
from tiltyard.project.model import Section

Outcome = Literal["promote", "refuse", "inconclusive"]


class Estimate(Section):
    """A number and how sure we are of it.

    Attributes:
        value: Point estimate.
        low: Lower end of the 95 % confidence interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


class SliceScore(Section):
    """The primary metric on one group of rows.

    Attributes:
        column: Column that makes the group.
        level: Its value, as text.
        rows: Rows of the group.
        score: Primary metric on them.
    """

    column: str
    level: str
    rows: int
    score: Estimate


class Scorecard(Section):
    """What one model is worth on one set of rows.

    Attributes:
        task: What is predicted.
        rows: Rows judged.
        primary: Name of the metric that decides.
        metrics: Every metric defined for the task and these rows.
        threshold: Decision threshold of the positive class.
        classes: Classes as text, in the order of the confusion matrix; empty for regression.
        confusion: Rows of the true class by columns of the predicted one; empty for regression.
        slices: Groups of rows, worst first.
        importance: Drop of the primary metric when a column is shuffled, largest first.
    """

    task: Task
    rows: int
    primary: str
    metrics: dict[str, Estimate]
    threshold: float = 0.5
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    slices: tuple[SliceScore, ...] = ()
    importance: tuple[tuple[str, Estimate], ...] = ()


class Check(Section):
    """One condition of the gate.

    Attributes:
        name: `floor accuracy`, `champion`, `slice plan=basic`, `latency`, `size`.
        outcome: Whether it holds; `inconclusive` when the rows cannot tell.
        sentence: Why, with the figures.
    """

    name: str
    outcome: Literal["pass", "fail", "inconclusive"]
    sentence: str


class Verdict(Section):
    """What the gate decides, and why.

    Attributes:
        outcome: `promote`, `refuse` or `inconclusive` (the champion stays, or a person is asked).
        sentence: The reason in words a manager understands.
        metric: Metric that decided.
        mode: `first` when there was no champion to beat, else the mode of the comparison.
        rows: Rows compared, which neither model was trained on.
        difference: Challenger minus champion on those rows; None when there was no comparison. Oriented so that
            positive is better.
        p_value: One-sided p-value of the comparison.
        detectable: Smallest true difference found with 80 % power at these rows; None without a comparison.
        checks: Every condition looked at.
    """

    outcome: Outcome
    sentence: str
    metric: str
    mode: Literal["first", "superiority", "non_inferiority"]
    rows: int
    difference: Estimate | None = None
    p_value: float | None = None
    detectable: float | None = None
    checks: tuple[Check, ...] = ()
