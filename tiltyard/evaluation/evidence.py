"""What was seen of two versions on live requests: small frozen records that add up over workers and replicas.

Light on purpose: workers and sidecars count in these.
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import reduce
from typing import Annotated

from pydantic import Field, model_validator

from tiltyard.project.section import Section

LATENCY_BOUNDS = tuple(round(0.0001 * 1.5**power, 7) for power in range(30))
"""Upper bounds, in seconds, of the latency buckets: 0.1 ms to 13 s, each half as long again as the one before. A last
bucket holds what took longer."""

Count = Annotated[int, Field(ge=0)]


class ArmCounts(Section):
    """What one version answered.

    Attributes:
        requests: Requests it was to answer, failed ones included.
        errors: Those that failed by a fault of the server or the version (5xx), not of the request.
        latency: Requests by duration, one number for each of `LATENCY_BOUNDS` and one for what took longer; not
            cumulative; empty when nothing was timed.
        run_of_errors: Errors in a row up to now, the longest of any worker.
    """

    requests: Count = 0
    errors: Count = 0
    latency: tuple[Count, ...] = ()
    run_of_errors: Count = 0

    @model_validator(mode="after")
    def _fit(self) -> "ArmCounts":
        if self.latency and len(self.latency) != len(LATENCY_BOUNDS) + 1:
            raise ValueError(f"there are {len(LATENCY_BOUNDS) + 1} latency buckets, not {len(self.latency)}")
        if self.errors > self.requests:
            raise ValueError(f"{self.errors} errors in {self.requests} requests")
        return self

    def __add__(self, other: "ArmCounts") -> "ArmCounts":
        return ArmCounts(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            latency=tuple(map(sum, zip(self.buckets, other.buckets, strict=True))),
            run_of_errors=max(self.run_of_errors, other.run_of_errors),
        )

    def since(self, before: "ArmCounts") -> "ArmCounts":
        """Return what was added since an earlier count; the run of errors is the present one.

        Args:
            before: The earlier count; where it is larger, as after a restart, all of this one is new.
        """
        if before.requests > self.requests:
            return self
        spread = zip(self.buckets, before.buckets, strict=True)
        requests = self.requests - before.requests
        return ArmCounts(
            requests=requests,
            errors=min(requests, max(0, self.errors - before.errors)),
            latency=tuple(max(0, now - then) for now, then in spread),
            run_of_errors=self.run_of_errors,
        )

    @property
    def timed(self) -> int:
        """Requests whose duration is known."""
        return sum(self.latency)

    def slower_than(self, bucket: int) -> int:
        """Return the requests that took longer than the bound of a bucket.

        Args:
            bucket: Its place in `LATENCY_BOUNDS`.
        """
        return sum(self.latency[bucket + 1 :])

    def bucket_of(self, quantile: float) -> int:
        """Return the bucket in which a quantile of the durations falls; the last but one at most, so it has a bound.

        Args:
            quantile: Such as 0.95.
        """
        wanted, seen = quantile * self.timed, 0
        for bucket, count in enumerate(self.latency):
            seen += count
            if seen >= wanted:
                return min(bucket, len(LATENCY_BOUNDS) - 1)
        return len(LATENCY_BOUNDS) - 1

    @property
    def buckets(self) -> tuple[int, ...]:
        """`latency`, with zeros where nothing was timed."""
        return self.latency or (0,) * (len(LATENCY_BOUNDS) + 1)


class PairedCounts(Section):
    """What two versions answered to the same rows.

    Attributes:
        count: Rows that both answered.
        total: Sum of the differences, candidate minus champion: of the probability of the positive class (binary), of
            half the absolute differences of all probabilities (multiclass), or of the values (regression).
        squares: Sum of the squares of the differences.
        largest: Largest absolute difference.
        champion_total: Sum of the champion's values (regression; 0 otherwise).
        champion_squares: Sum of their squares (regression; 0 otherwise).
        failed: Rows that the champion answered and the candidate did not.
    """

    count: Count = 0
    total: float = 0.0
    squares: Annotated[float, Field(ge=0)] = 0.0
    largest: Annotated[float, Field(ge=0)] = 0.0
    champion_total: float = 0.0
    champion_squares: Annotated[float, Field(ge=0)] = 0.0
    failed: Count = 0

    def __add__(self, other: "PairedCounts") -> "PairedCounts":
        return PairedCounts(
            count=self.count + other.count,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            largest=max(self.largest, other.largest),
            champion_total=self.champion_total + other.champion_total,
            champion_squares=self.champion_squares + other.champion_squares,
            failed=self.failed + other.failed,
        )


class Evidence(Section):
    """What is known in one step of a rollout, of one replica or of several together.

    Attributes:
        rollout: Number of the ledger's entry that started it.
        step: Number of the step, from 0.
        seconds: How long the step has lasted.
        champion: What the champion answered in this step.
        candidate: What the candidate answered in this step.
        paired: What both answered to the same rows in this step.
        non_finite: Answers of the candidate that were NaN or infinite.
        failed_load: Why the candidate could not be loaded; empty when it could.
        slow_looks: Looks in a row at which the candidate's 99th percentile of latency was above `slow_ms` and more
            than twice the champion's; see `Pulse`.
    """

    rollout: int
    step: Count
    seconds: Annotated[float, Field(ge=0)] = 0.0
    champion: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
    paired: PairedCounts = PairedCounts()
    non_finite: Count = 0
    failed_load: str = ""
    slow_looks: Count = 0

    def __add__(self, other: "Evidence") -> "Evidence":
        if (self.rollout, self.step) != (other.rollout, other.step):
            raise ValueError("evidence of different steps does not add up")
        return Evidence(
            rollout=self.rollout,
            step=self.step,
            seconds=max(self.seconds, other.seconds),
            champion=self.champion + other.champion,
            candidate=self.candidate + other.candidate,
            paired=self.paired + other.paired,
            non_finite=self.non_finite + other.non_finite,
            failed_load=min(filter(None, (self.failed_load, other.failed_load)), default=""),
            slow_looks=max(self.slow_looks, other.slow_looks),
        )


def merge(parts: Iterable[Evidence]) -> Evidence | None:
    """Add up the evidence of several replicas about the same step; None when there is none.

    Args:
        parts: One each; all of the same rollout and step.
    """
    found = tuple(parts)
    return reduce(Evidence.__add__, found) if found else None


def bucket(seconds: float) -> int:
    """Return the latency bucket of a duration.

    Args:
        seconds: The duration.
    """
    return bisect_left(LATENCY_BOUNDS, seconds)
