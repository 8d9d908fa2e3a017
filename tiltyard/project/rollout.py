"""The section `rollout` of the project file: how a winner takes over, and what sends it back."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from tiltyard.project.section import Section

Strategy = Literal["direct", "canary", "blue_green", "shadow"]

SLOW_MS = 20.0
"""Milliseconds up to which no answer counts as slow, unless the project says otherwise; as `gates.latency_ms`."""

STRATEGIES: tuple[Strategy, ...] = ("direct", "canary", "blue_green", "shadow")


class RolloutSection(Section):
    """How a winner becomes champion, and what must hold on live requests before it does."""

    strategy: Strategy = "direct"
    """`direct`: at once. `canary`: it answers a growing share of requests. `blue_green`: it answers all of them at
    once, and the champion stays loaded. `shadow`: it answers none, and is compared on the champion's requests."""
    key: str | None = None
    """Column whose value decides which requests of a canary the candidate answers, so that a customer is always
    answered by the same version; the request's id when left out."""
    steps: Annotated[tuple[Annotated[float, Field(gt=0, le=1, strict=False)], ...], Field(min_length=1)] = (
        0.01,
        0.1,
        0.5,
        1.0,
    )
    """Shares of requests that a canary answers, one after the other, growing."""
    min_requests: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (50, 300)
    """Fewest requests of the candidate before a step can be passed: one number a step, the last for all further ones.
    For `shadow` the comparisons. `blue_green` and `shadow` take the last."""
    hours: Annotated[float, Field(gt=0, le=24 * 90, strict=False)] = 24.0
    """Longest time of a step; a step that is not passed by then returns to the champion."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Chance of returning from a candidate that is as good as the champion, however often one looks; all guards and
    steps of a rollout share it."""
    error_margin: Annotated[float, Field(gt=0, le=1, strict=False)] = 0.02
    """A step is passed only when the candidate's share of failed requests is surely no more than this above the
    champion's."""
    slow_ratio: Annotated[float, Field(ge=1, le=20, strict=False)] = 2.0
    """The candidate returns when the share of its requests above the champion's 95th percentile of latency (or above
    `slow_ms`, where that is longer) is surely more than this many times the champion's."""
    slow_ms: Annotated[float, Field(ge=0, le=10_000, strict=False)] = SLOW_MS
    """Milliseconds up to which no answer counts as slow, however fast the champion is; rounded up to what durations
    are counted by, as 20 to 29.2. With 0 the champion alone is the measure; with 10000 latency returns hardly any."""
    prediction_shift: Annotated[float, Field(gt=0, strict=False)] = 0.2
    """Largest mean difference of the predictions on the same requests: in probability, or for regression in standard
    deviations of the champion's predictions."""

    @field_validator("steps")
    @classmethod
    def _growing(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        for before, after in pairwise(steps):
            if after <= before:
                raise ValueError(f"`steps` must grow, and {after:g} follows {before:g}")
        return steps

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of requests that the candidate answers, step by step, in the strategy in force."""
        if self.strategy == "canary":
            return self.steps
        return (0.0,) if self.strategy == "shadow" else (1.0,)

    def requests_at(self, step: int) -> int:
        """Return the fewest requests of the candidate before a step can be passed.

        Args:
            step: Number of the step, from 0.
        """
        if self.strategy != "canary":
            return self.min_requests[-1]
        return self.min_requests[min(step, len(self.min_requests) - 1)]
