"""What a rollout guards on live requests: errors, latency and predictions, with answers that looking cannot spoil.

A guard fails where harm is more than chance explains, and passes where harm beyond its margin is ruled out; in
between it is open. Failing is shared out over guards and steps (Bonferroni); passing needs no share, because every
guard must pass.
"""

import math
from typing import Literal

from tiltyard.evaluation.evidence import LATENCY_BOUNDS, ArmCounts, Evidence, PairedCounts, bucket
from tiltyard.evaluation.sequential import excess, mean_interval, more_often, shifted, upper_bound
from tiltyard.project.rollout import RolloutSection
from tiltyard.project.section import Section

GUARDS = 3
SLOW = 0.05
"""Share of the champion's requests that count as slow: those above its 95th percentile."""

_TELLING = 0.25
"""A bound that more of the champion's requests are above tells little of its slow ones."""


class Check(Section):
    """What a guard says.

    Attributes:
        guard: What it looks at.
        standing: `failed`: harm is sure. `passed`: harm beyond the margin is ruled out. `open`: neither yet.
            `skipped`: there is nothing to compare with.
        p_value: Always-valid p-value of the harm; None where nothing was compared.
        sentence: Why, with figures.
    """

    guard: Literal["errors", "latency", "predictions"]
    standing: Literal["passed", "failed", "open", "skipped"]
    p_value: float | None = None
    sentence: str


def check_all(settings: RolloutSection, evidence: Evidence, baseline: ArmCounts | None) -> tuple[Check, ...]:
    """Return what every guard says.

    Args:
        settings: The rollout's.
        evidence: What was seen in this step.
        baseline: What the champion answered before, for steps in which it answers nothing.
    """
    level = settings.alpha / (GUARDS * len(settings.shares))
    return (
        _errors(settings, evidence, baseline, level),
        _latency(settings, evidence, baseline, level),
        _predictions(settings, evidence.paired, level),
    )


def candidate_of(settings: RolloutSection, evidence: Evidence) -> ArmCounts:
    """Return what the candidate was asked: by clients, or as a shadow on the champion's rows.

    Args:
        settings: The rollout's.
        evidence: What was seen in this step.
    """
    if settings.strategy != "shadow":
        return evidence.candidate
    paired = evidence.paired
    return ArmCounts(requests=paired.count + paired.failed, errors=paired.failed)


def _errors(settings: RolloutSection, evidence: Evidence, baseline: ArmCounts | None, level: float) -> Check:
    """Look whether the candidate fails more often than the champion."""
    arm = candidate_of(settings, evidence)
    other = _reference(settings, evidence, baseline)
    if _at_once(settings, evidence):
        p_value = more_often(arm.errors, arm.requests, other.errors, other.requests)
    else:
        p_value = excess(arm.errors, arm.requests, _usual(other.errors, other.requests, settings.error_margin))
    share = other.errors / other.requests if other.requests else 0.0
    most = upper_bound(arm.errors, arm.requests, settings.alpha)
    told = f"it failed {_of(arm.errors, arm.requests)}"
    if other.requests:
        told += f", the champion {_of(other.errors, other.requests)}"
    limit = share + settings.error_margin
    return _check("errors", p_value, level, told, within=most <= limit, most=_at_most(most, limit))


def _latency(settings: RolloutSection, evidence: Evidence, baseline: ArmCounts | None, level: float) -> Check:
    """Look whether more of the candidate's requests are slow than of the champion's.

    Where `slow_ms` is what counts, few or none of the champion's requests are slow, and a multiple of their share says
    little. They are then held to be as many as above its 95th percentile, and the candidate must exceed that by the
    ratio, and the champion as it is: what slows both is nobody's fault.
    """
    if settings.strategy == "shadow":
        return Check(guard="latency", standing="skipped", sentence="a shadow's latency is nobody's")
    arm, other = evidence.candidate, _reference(settings, evidence, baseline)
    if not other.timed:
        if settings.strategy == "blue_green":
            return Check(guard="latency", standing="skipped", sentence="the champion's latency is not known")
        return Check(guard="latency", standing="open", sentence="the champion's latency is not known yet")
    nearest, bound = slow_bucket(other), slow_bucket(other, settings.slow_ms)
    slow, usual = arm.slower_than(bound), other.slower_than(bound)
    share, further = usual / other.timed, SLOW * (settings.slow_ratio - 1)
    floored, at_once = bound > nearest and share <= SLOW, _at_once(settings, evidence)
    limit = (SLOW if floored else share) + further
    if at_once and not floored:
        likely = (usual + 1) / (other.timed + 1)
        p_value = more_often(slow, arm.timed, usual, other.timed, 1 + further / likely)
    else:
        p_value = excess(slow, arm.timed, limit)
    if at_once and floored:
        p_value = max(p_value, more_often(slow, arm.timed, usual, other.timed))
    most = upper_bound(slow, arm.timed, settings.alpha)
    told = (
        f"{_of(slow, arm.timed)} took longer than {_duration(LATENCY_BOUNDS[bound])}, and {share:.1%} of the champion's"
        f" (its 95th percentile: {_duration(LATENCY_BOUNDS[nearest])}, `slow_ms`: {settings.slow_ms:g})"
    )
    return _check("latency", p_value, level, told, within=most <= limit, most=_at_most(most, limit))


def slow_bucket(champion: ArmCounts, slow_ms: float = 0.0) -> int:
    """Return the bucket above which an answer counts as slow.

    Its bound is the nearest to the champion's 95th percentile, by the share of requests above it; or, where that is
    longer, the first that is not below `slow_ms`. Durations are known by their buckets only, so the floor is rounded
    up to a bound: no answer within `slow_ms` ever counts as slow, and some up to half as long again do not either.

    Args:
        champion: What the champion answered; some of it timed.
        slow_ms: Milliseconds up to which no answer is slow; up to 10,000.
    """
    shares = {place: champion.slower_than(place) / champion.timed for place in range(len(LATENCY_BOUNDS))}
    telling = {place: abs(math.log(share / SLOW)) for place, share in shares.items() if 0 < share <= _TELLING}
    nearest = min(telling, key=telling.__getitem__) if telling else champion.bucket_of(1 - SLOW)
    return max(nearest, bucket(slow_ms / 1000))


def _predictions(settings: RolloutSection, paired: PairedCounts, level: float) -> Check:
    """Look whether the candidate predicts otherwise, in the mean, on the same rows."""
    if paired.count == 0:
        standing: Literal["open", "skipped"] = "open" if settings.strategy == "shadow" else "skipped"
        return Check(guard="predictions", standing=standing, sentence="no row was answered by both versions")
    scale = _scale(paired)
    tolerance = settings.prediction_shift * scale
    sums = paired.count, paired.total, paired.squares
    p_value = shifted(*sums, tolerance, scale=scale)
    interval = mean_interval(*sums, settings.alpha, scale=scale)
    within = max(-interval.low, interval.high) <= tolerance
    told = (
        f"on {paired.count:,} same rows its predictions differ by {paired.total / paired.count:+.3g} in the mean, "
        f"{paired.largest:.3g} at most"
    )
    most = f"surely between {interval.low:+.3g} and {interval.high:+.3g}; up to ±{tolerance:.3g} is accepted"
    return _check("predictions", p_value, level, told, within=within, most=most)


def _check(
    guard: Literal["errors", "latency", "predictions"],
    p_value: float,
    level: float,
    told: str,
    *,
    within: bool,
    most: str,
) -> Check:
    """Return a guard's answer from its p-value and its bound."""
    if p_value <= level:
        sentence = f"{told}: more than chance explains (p = {p_value:.2g}; {level:.2g} or less is sure)"
        return Check(guard=guard, standing="failed", p_value=p_value, sentence=sentence)
    return Check(guard=guard, standing="passed" if within else "open", p_value=p_value, sentence=f"{told}; {most}")


def _at_once(settings: RolloutSection, evidence: Evidence) -> bool:
    """Whether both versions answer requests in this step, so that they can be compared over the same time."""
    return 0 < settings.shares[evidence.step] < 1


def _reference(settings: RolloutSection, evidence: Evidence, baseline: ArmCounts | None) -> ArmCounts:
    """Return what the champion is held to be: what it answers now, or answered before."""
    if settings.shares[evidence.step] < 1 or baseline is None or not baseline.requests:
        return evidence.champion
    return baseline


def _usual(errors: int, requests: int, margin: float) -> float:
    """Return the share of errors that is accepted where the champion's is known from before only."""
    share = errors / requests if requests else 0.0
    return min(1.0, share + margin)


def _scale(paired: PairedCounts) -> float:
    """Return the size of a large difference: 1 for probabilities, the champion's standard deviation for values."""
    if paired.champion_squares == 0:
        return 1.0
    mean = paired.champion_total / paired.count
    variance = paired.champion_squares / paired.count - mean * mean
    return math.sqrt(variance) if variance > 1e-12 * max(1.0, mean * mean) else max(abs(mean), 1e-9)


def _at_most(most: float, limit: float) -> str:
    """Say how large a share may be in the long run, beside what is accepted; neither is more than all."""
    return f"in the long run surely no more than {most:.2%}; up to {min(1.0, limit):.2%} is accepted"


def _of(events: int, trials: int) -> str:
    return f"{events:,} of {trials:,}" + (f" ({events / trials:.2%})" if trials else "")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
