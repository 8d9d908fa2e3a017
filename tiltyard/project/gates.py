"""The section `gates` of the project file: what a challenger must show, and who has the last word."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tiltyard.project.metrics import METRICS, suggest_metric
from tiltyard.project.section import Section

PEOPLE_DECIDE = ("approval", "inconclusive", "approval_hours", "by_hand", "copied")
"""Keys about what follows a verdict; they change neither the model nor the verdict."""


class GatesSection(Section):
    """What a challenger must show to be promoted."""

    mode: Literal["superiority", "non_inferiority"] = "superiority"
    """`superiority`: better than chance explains; `non_inferiority`: not worse by more than the margin."""
    metric: str | None = None
    """What decides; the metric of the search when left out."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided error rate of the comparison."""
    margin: Annotated[float, Field(gt=0)] | None = None
    """Largest loss accepted in non-inferiority mode; a default by metric when left out."""
    floors: dict[str, float] = Field(default_factory=dict)
    """Least (or, for losses, largest) value of a metric that any champion must reach."""
    slices: tuple[str, ...] | None = None
    """Columns whose groups must not lose; the category and boolean columns when left out, none when empty."""
    min_slice_rows: Annotated[int, Field(ge=10)] = 100
    """Smaller groups are shown but do not decide."""
    min_rows: Annotated[int, Field(ge=2)] = 50
    """Fewer comparable rows than this make the verdict inconclusive."""
    latency_ms: Annotated[float, Field(gt=0, strict=False)] = 20.0
    """Longest median time of one row in the bundle, milliseconds."""
    size_mb: Annotated[float, Field(gt=0, strict=False)] = 50.0
    """Largest bundle, megabytes."""
    approval: Literal["none", "required"] = "none"
    """`required`: a winner becomes champion only when a person has approved it."""
    inconclusive: Literal["keep", "ask"] = "keep"
    """What an inconclusive verdict leads to: `keep` the champion, or `ask` a person."""
    approval_hours: Annotated[float, Field(gt=0, le=24 * 90, strict=False)] = 72.0
    """How long a person's decision is waited for; afterwards the challenger is not promoted."""
    by_hand: Literal["allow", "require_gate"] = "allow"
    """What becomes of a champion set by hand in MLflow: `allow` it, or put it back unless the gate has passed it."""
    copied: Literal["alias", "gate"] = "alias"
    """How a version copied in by MLflow's *Promote model* becomes champion: when somebody gives it the `alias`, or at
    once when the `gate` has passed it where it comes from."""

    @field_validator("floors")
    @classmethod
    def _known(cls, floors: dict[str, float]) -> dict[str, float]:
        for name, floor in floors.items():
            if name not in METRICS:
                raise ValueError(f"`{name}` is not a metric. {suggest_metric(name, METRICS)}")
            metric = METRICS[name]
            if not metric.least <= floor <= metric.most:
                raise ValueError(f"`{name}: {floor:g}` is no {metric.title}, which is {metric.range}")
        return floors
