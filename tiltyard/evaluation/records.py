"""What an evaluation says: estimates with intervals, a scorecard, a verdict."""

from typing import Literal

from tiltyard.project.metrics import Task
from tiltyard.project.section import Section

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
        p_value: Chance of doing this badly against the other rows by luck alone, corrected for the number of groups
            looked at (Holm); None when it cannot be told.
    """

    column: str
    level: str
    rows: int
    score: Estimate
    p_value: float | None = None


class ClassScore(Section):
    """How well one class is recognised, against all others.

    Attributes:
        name: The class as text.
        rows: Rows that truly are of it.
        precision: Share of the rows given this class that truly are of it.
        recall: Share of its rows that were given it.
        f1: Harmonic mean of the two.
    """

    name: str
    rows: int
    precision: float
    recall: float
    f1: float


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
        report: Precision, recall and F1 of every class; empty for regression.
        slices: Groups of rows, worst first.
        weakest: The worst group in words, honest about how many were looked at; empty when there is none.
        importance: Drop of the primary metric when a column is shuffled, largest first.
    """

    task: Task
    rows: int
    primary: str
    metrics: dict[str, Estimate]
    threshold: float = 0.5
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    report: tuple[ClassScore, ...] = ()
    slices: tuple[SliceScore, ...] = ()
    weakest: str = ""
    importance: tuple[tuple[str, Estimate], ...] = ()


class Comparison(Section):
    """Two models on the same rows, by one metric.

    Attributes:
        metric: What they are compared by.
        method: The test, in words.
        rows: Rows compared.
        units: Independent units among them: the rows, or the clusters when rows belong together.
        challenger: The challenger's metric on these rows, in the metric's own direction.
        champion: The champion's (or the baseline's).
        difference: Challenger minus champion, turned so that positive is better, with its 95 % interval.
        standard_error: Of that difference.
        alpha: One-sided error rate that `lower` and `detectable` are for.
        lower: One-sided lower bound of the difference at confidence 1 - alpha.
        p_value: One-sided: chance of a lead this large if the challenger were no better.
        p_worse: One-sided: chance of a lag this large if the challenger were no worse.
        detectable: Smallest true gain found with 80 % power on these rows.
    """

    metric: str
    method: str
    rows: int
    units: int
    challenger: float
    champion: float
    difference: Estimate
    standard_error: float
    alpha: float
    lower: float
    p_value: float
    p_worse: float
    detectable: float


class SliceComparison(Section):
    """Two models on one group of rows.

    Attributes:
        column: Column that makes the group.
        level: Its value, as text.
        comparison: The comparison on these rows.
    """

    column: str
    level: str
    comparison: Comparison


class Evidence(Section):
    """All that the gate looks at beside the challenger's scorecard.

    Attributes:
        champion: Version of the champion to beat; None when there is none.
        comparison: Challenger against champion on rows that neither was trained on; None without a champion or when
            they cannot be compared.
        comparable_rows: Rows that neither was trained on, where they could not be compared.
        baseline: Challenger against the constant answer of a model that knows nothing, for a first champion.
        slices: Challenger against champion by group of rows.
        guards: Further comparisons that must not show a loss, such as the Brier score beside accuracy.
        champion_mode: Mode of the verdict that put the champion there.
        latency_ms: Median time of one row in the bundle, in milliseconds; None when not measured.
        size_bytes: Size of the bundle; None when not measured.
    """

    champion: str | None = None
    comparison: Comparison | None = None
    comparable_rows: int = 0
    baseline: Comparison | None = None
    slices: tuple[SliceComparison, ...] = ()
    guards: tuple[Comparison, ...] = ()
    champion_mode: Literal["first", "superiority", "non_inferiority"] | None = None
    latency_ms: float | None = None
    size_bytes: int | None = None

    @property
    def rows(self) -> int:
        """Rows that neither model was trained on."""
        return self.comparison.rows if self.comparison else self.comparable_rows


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
        margin: Smallest difference that matters, in the metric's units; None without a comparison.
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
    margin: float | None = None
    checks: tuple[Check, ...] = ()
