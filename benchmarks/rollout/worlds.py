"""Where requests come from whose truth is known: two versions behind a canary, look by look."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiltyard.evaluation.evidence import LATENCY_BOUNDS, ArmCounts, Evidence, PairedCounts

_USUAL_ERRORS = 0.01
_USUAL_MEDIAN, _SPREAD = 0.040, 0.5
_PAIR_SPREAD = 0.2


@dataclass(frozen=True)
class World:
    """What is true of a candidate, beside a champion with 1 % errors and log-normal latencies.

    Attributes:
        errors: Its share of failed requests.
        slower: How many times as long it takes as the champion.
        usual: Median of the champion's latency, in seconds; above `slow_ms` unless that is what is looked at.
        shift: Mean difference of its predictions.
        share: Share of requests that it answers.
    """

    errors: float = _USUAL_ERRORS
    slower: float = 1.0
    usual: float = _USUAL_MEDIAN
    shift: float = 0.0
    share: float = 0.1

    def looks(self, rng: np.random.Generator, step: int, every: int, most: int) -> Iterator[Evidence]:
        """Yield what was seen up to each look.

        Args:
            rng: Source of all that is random.
            step: Step of the rollout that it is seen in.
            every: Requests of the candidate between two looks.
            most: Requests of the candidate at the last look.
        """
        others = round(every * (1 - self.share) / self.share)
        seen = Evidence(rollout=1, step=step)
        for _ in range(most // every):
            seen = seen + Evidence(
                rollout=1,
                step=step,
                champion=_arm(rng, others, _USUAL_ERRORS, self.usual),
                candidate=_arm(rng, every, self.errors, self.usual * self.slower),
                paired=_pairs(rng.normal(self.shift, _PAIR_SPREAD, every)),
            )
            yield seen


def _arm(rng: np.random.Generator, requests: int, errors: float, median: float) -> ArmCounts:
    took = median * np.exp(rng.normal(0.0, _SPREAD, requests))
    buckets = np.bincount(np.searchsorted(LATENCY_BOUNDS, took), minlength=len(LATENCY_BOUNDS) + 1)
    return ArmCounts(
        requests=requests, errors=int(rng.binomial(requests, errors)), latency=tuple(int(count) for count in buckets)
    )


def _pairs(differences: NDArray[np.float64]) -> PairedCounts:
    return PairedCounts(
        count=len(differences),
        total=float(differences.sum()),
        squares=float((differences**2).sum()),
        largest=float(np.abs(differences).max()),
    )
