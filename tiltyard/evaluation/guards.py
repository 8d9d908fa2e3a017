"""What a rollout guards on live requests: errors, latency and predictions, with answers that looking cannot spoil.

A guard fails where harm is more than chance explains, and passes where harm beyond its margin is ruled out; in
between it is open. Failing is shared out over guards and steps (Bonferroni); passing needs no share, because every
guard must pass.
"""

import math
from typing import Literal

from tiltyard.evaluation.evidence import LATENCY_BOUNDS, ArmCounts, Evidence, PairedCounts
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
    return _check("errors", p_value, level, told, within=most <= limit, most=f"at most {most:.2%}, of {limit:.2%}")


def _latency(settings: RolloutSection, evidence: Evidence, baseline: ArmCounts | None, level: float) -> Check:
    """Look whether more of the candidate's requests are slow than of the champion's."""
    if settings.strategy == "shadow":
        return Check(guard="latency", standing="skipped", sentence="a shadow's latency is nobody's")
    arm, other = evidence.candidate, _reference(settings, evidence, baseline)
    if not other.timed:
        if settings.strategy == "blue_green":
            return Check(guard="latency", standing="skipped", sentence="the champion's latency is not known")
        return Check(guard="latency", standing="open", sentence="the champion's latency is not known yet")
    bound = slow_bucket(other)
    slow, usual = arm.slower_than(bound), other.slower_than(bound)
    share = usual / other.timed
    limit = share + SLOW * (settings.slow_ratio - 1)
    if _at_once(settings, evidence):
        likely = (usual + 1) / (other.timed + 1)
        p_value = more_often(slow, arm.timed, usual, other.timed, 1 + SLOW * (settings.slow_ratio - 1) / likely)
    else:
        p_value = excess(slow, arm.timed, limit)
    most = upper_bound(slow, arm.timed, settings.alpha)
    told = (
        f"{_of(slow, arm.timed)} took longer than {_duration(LATENCY_BOUNDS[bound])}, and of the champion's {share:.1%}"
    )
    return _check("latency", p_value, level, told, within=most <= limit, most=f"at most {most:.2%}, of {limit:.2%}")


def slow_bucket(champion: ArmCounts) -> int:
    """Return the bucket whose bound is nearest to the champion's 95th percentile, by the share of requests above it.

    Args:
        champion: What the champion answered; some of it timed.
    """
    shares = {bucket: champion.slower_than(bucket) / champion.timed for bucket in range(len(LATENCY_BOUNDS))}
    telling = {bucket: abs(math.log(share / SLOW)) for bucket, share in shares.items() if 0 < share <= _TELLING}
    return min(telling, key=telling.__getitem__) if telling else champion.bucket_of(1 - SLOW)


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
    most = f"between {interval.low:+.3g} and {interval.high:+.3g}, of ±{tolerance:.3g}"
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
        sentence = f"{told}: more than chance explains (p = {p_value:.2g}, at most {level:.2g} allowed)"
        return Check(guard=guard, standing="failed", p_value=p_value, sentence=sentence)
    return Check(
        guard=guard, standing="passed" if within else "open", p_value=p_value, sentence=f"{told} ({most} allowed)"
    )


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


def _of(events: int, trials: int) -> str:
    return f"{events:,} of {trials:,}" + (f" ({events / trials:.2%})" if trials else "")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
