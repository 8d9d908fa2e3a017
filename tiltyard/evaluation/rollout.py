"""What becomes of a rollout: wait, the next step, promotion, or the way back. Pure functions of what was seen.

No traffic and too little of it are never a pass: when the step's time is over, the champion stays.
"""

from typing import Literal

from tiltyard.evaluation.evidence import LATENCY_BOUNDS, ArmCounts, Evidence
from tiltyard.evaluation.guards import Check, candidate_of, check_all
from tiltyard.project.rollout import RolloutSection
from tiltyard.project.section import Section
from tiltyard.registry.records import Scalar
from tiltyard.registry.rollout import Rollout

RUN_OF_ERRORS = 5
"""Errors in a row that end a rollout."""

SLOW_LOOKS = 3
"""Slow looks in a row that end a rollout."""

_WINDOW = 300
"""Requests that a look at the latency needs; fewer are kept for the next look."""


class Decision(Section):
    """What becomes of a rollout.

    Attributes:
        kind: `wait`: nothing yet. `advance`: the next step. `promote`: the candidate becomes champion. `return`: the
            champion answers everything again.
        share: Share of requests that the candidate answers afterwards.
        sentence: Why, with figures.
        checks: What the guards say.
    """

    kind: Literal["wait", "advance", "promote", "return"]
    share: float
    sentence: str
    checks: tuple[Check, ...] = ()


def decide(rollout: Rollout, evidence: Evidence) -> Decision:
    """Decide what becomes of a rollout.

    Args:
        rollout: As it stands.
        evidence: What was seen in its present step, over all replicas; of any other rollout or step it says nothing.
    """
    if (evidence.rollout, evidence.step) != (rollout.sequence, rollout.step):
        sentence = "what was seen is of another step; it says nothing about this one"
        return Decision(kind="wait", share=rollout.share, sentence=sentence)
    return judge(rollout.settings, evidence, baseline_of(rollout))


def judge(settings: RolloutSection, evidence: Evidence, baseline: ArmCounts | None = None) -> Decision:
    """Decide what follows from what was seen in a step.

    Args:
        settings: The rollout's.
        evidence: What was seen, over all replicas.
        baseline: What the champion answered in the step before, for a step in which it answers nothing.
    """
    stop = hard_stop(evidence, settings.slow_ms)
    if stop is not None:
        return Decision(kind="return", share=0.0, sentence=stop)
    checks = check_all(settings, evidence, baseline)
    failed = [check for check in checks if check.standing == "failed"]
    if failed:
        return Decision(kind="return", share=0.0, sentence=_joined(failed), checks=checks)
    lacking = _lacking(settings, evidence, checks)
    if not lacking:
        return _passed(settings, evidence, checks)
    if evidence.seconds >= settings.hours * 3600:
        sentence = f"inconclusive after {settings.hours:g} h, so the champion stays: {lacking}"
        return Decision(kind="return", share=0.0, sentence=sentence, checks=checks)
    return Decision(
        kind="wait", share=settings.shares[evidence.step], sentence=f"not settled: {lacking}", checks=checks
    )


def hard_stop(evidence: Evidence, slow_ms: float) -> str | None:
    """Say what ends a rollout at once, without statistics; None when nothing does.

    Args:
        evidence: What was seen, by one replica or by all.
        slow_ms: Milliseconds up to which no answer is slow; the rollout's.
    """
    if evidence.failed_load:
        return f"the candidate could not be loaded: {evidence.failed_load}"
    if evidence.non_finite:
        return f"the candidate answered {evidence.non_finite:,} times with a number that is not finite"
    if evidence.candidate.run_of_errors >= RUN_OF_ERRORS:
        return f"the candidate failed {evidence.candidate.run_of_errors:,} requests in a row"
    if evidence.slow_looks >= SLOW_LOOKS:
        return (
            f"the candidate's 99th percentile of latency was above {slow_ms:g} ms (`slow_ms`) and more than twice the "
            f"champion's at {evidence.slow_looks} looks in a row"
        )
    return None


class Pulse(Section):
    """How the latency was at the last looks of one replica.

    Attributes:
        champion: The champion's counts when the last window ended.
        candidate: The candidate's counts when the last window ended.
        slow: Slow windows in a row until then.
    """

    champion: ArmCounts = ArmCounts()
    candidate: ArmCounts = ArmCounts()
    slow: int = 0

    def after(self, champion: ArmCounts, candidate: ArmCounts, slow_ms: float) -> "Pulse":
        """Return the pulse after one more look; its `slow` is the `slow_looks` of the evidence.

        Args:
            champion: What the champion answered in this step up to now.
            candidate: What the candidate answered in this step up to now.
            slow_ms: Milliseconds up to which no answer is slow; the rollout's.
        """
        ours, theirs = candidate.since(self.candidate), champion.since(self.champion)
        if ours.timed < _WINDOW or theirs.timed < _WINDOW:
            return self
        slow = self.slow + 1 if _is_slow(ours, theirs, slow_ms) else 0
        return Pulse(champion=champion, candidate=candidate, slow=slow)


def baseline_of(rollout: Rollout) -> ArmCounts | None:
    """Return what the champion answered in the step before; None when that is not known.

    Args:
        rollout: The rollout.
    """
    return ArmCounts.model_validate_json(rollout.baseline) if rollout.baseline else None


def baseline_after(evidence: Evidence) -> str:
    """Write down what the champion answered in a step, for the ledger; empty when it answered nothing.

    Args:
        evidence: What was seen in the step.
    """
    return evidence.champion.model_dump_json() if evidence.champion.requests else ""


def figures(evidence: Evidence, decision: Decision) -> dict[str, Scalar]:
    """Return the figures behind a decision, for the ledger.

    Args:
        evidence: What was seen.
        decision: What was decided.
    """
    found: dict[str, Scalar] = {
        "requests": evidence.candidate.requests,
        "errors": evidence.candidate.errors,
        "champion_requests": evidence.champion.requests,
        "champion_errors": evidence.champion.errors,
        "pairs": evidence.paired.count,
        "seconds": round(evidence.seconds, 3),
    }
    if evidence.paired.count:
        found["mean_difference"] = evidence.paired.total / evidence.paired.count
        found["largest_difference"] = evidence.paired.largest
    for check in decision.checks:
        found[f"{check.guard}_guard"] = check.standing
        if check.p_value is not None:
            found[f"{check.guard}_p_value"] = check.p_value
    return found


def _is_slow(candidate: ArmCounts, champion: ArmCounts, slow_ms: float) -> bool:
    """Whether the 99th percentile surely is more than twice the champion's, and above `slow_ms`.

    As exactly as the buckets tell: the candidate's is taken as the lower bound of its bucket, the champion's as the
    upper one, so that `slow_ms` is rounded up to a bound.
    """
    place = candidate.bucket_of(0.99)
    at_least = LATENCY_BOUNDS[place - 1] if place else 0.0
    return at_least > 2 * LATENCY_BOUNDS[champion.bucket_of(0.99)] and at_least >= slow_ms / 1000


def _lacking(settings: RolloutSection, evidence: Evidence, checks: tuple[Check, ...]) -> str:
    """Say what a step lacks to be passed; empty when nothing. The first of several is a smoke test: no margins yet."""
    arm, wanted = candidate_of(settings, evidence), settings.requests_at(evidence.step)
    unit = "rows compared" if settings.strategy == "shadow" else "requests of the candidate"
    if arm.requests == 0:
        return f"there were no {unit}, and {wanted:,} are needed"
    if arm.requests < wanted:
        return f"{arm.requests:,} of {wanted:,} {unit}"
    if evidence.step == 0 and len(settings.shares) > 1:
        return ""
    return _joined([check for check in checks if check.standing == "open"])


def _passed(settings: RolloutSection, evidence: Evidence, checks: tuple[Check, ...]) -> Decision:
    """Return what follows from a step that was passed."""
    told = _joined([check for check in checks if check.standing != "skipped"])
    following = settings.shares[evidence.step + 1 :]
    if following:
        return Decision(kind="advance", share=following[0], sentence=told, checks=checks)
    share = 0.0 if settings.strategy == "shadow" else 1.0
    return Decision(kind="promote", share=share, sentence=told, checks=checks)


def _joined(checks: list[Check]) -> str:
    return "; ".join(f"{check.guard}: {check.sentence}" for check in checks)
