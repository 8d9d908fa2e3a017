"""What becomes of a rollout: never a pass without evidence, always a return for harm, with figures in the sentence."""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.evaluation.evidence import LATENCY_BOUNDS, ArmCounts, Evidence, PairedCounts, bucket, merge
from tiltyard.evaluation.guards import check_all, slow_bucket
from tiltyard.evaluation.rollout import (
    RUN_OF_ERRORS,
    SLOW_LOOKS,
    Decision,
    Pulse,
    baseline_after,
    baseline_of,
    decide,
    figures,
    hard_stop,
    judge,
)
from tiltyard.project.rollout import STRATEGIES, RolloutSection, Strategy
from tiltyard.registry.rollout import Rollout

CANARY = RolloutSection(strategy="canary")
FAST, SLOW = 0.003, 0.030

strategies = st.sampled_from(STRATEGIES[1:])
counts = st.integers(0, 2000)


def arm(requests: int, errors: int = 0, slow: int = 0, run: int = 0) -> ArmCounts:
    """Return counts with most requests fast and some slow."""
    latency = [0] * (len(LATENCY_BOUNDS) + 1)
    latency[bucket(FAST)], latency[bucket(SLOW)] = requests - slow, slow
    return ArmCounts(requests=requests, errors=errors, latency=tuple(latency), run_of_errors=run)


def at(seconds: float, requests: int) -> ArmCounts:
    """Return counts of requests that all took as long."""
    latency = [0] * (len(LATENCY_BOUNDS) + 1)
    latency[bucket(seconds)] = requests
    return ArmCounts(requests=requests, latency=tuple(latency))


def pairs(count: int, mean: float = 0.0, spread: float = 0.05, **more: Any) -> PairedCounts:
    """Return paired differences."""
    squares = count * (mean**2 + spread**2)
    return PairedCounts(count=count, total=count * mean, squares=squares, largest=abs(mean) + spread, **more)


def seen(step: int = 1, **more: Any) -> Evidence:
    """Return evidence of a step."""
    return Evidence(rollout=7, step=step, **more)


@st.composite
def arms(draw: st.DrawFn) -> ArmCounts:
    requests = draw(counts)
    return arm(requests, draw(st.integers(0, requests)), draw(st.integers(0, requests)), draw(st.integers(0, 9)))


@st.composite
def parts(draw: st.DrawFn) -> Evidence:
    paired = pairs(draw(counts), draw(st.integers(-8, 8)) / 8, 0.25, failed=draw(counts))
    return seen(
        champion=draw(arms()),
        candidate=draw(arms()),
        paired=paired,
        seconds=float(draw(counts)),
        non_finite=draw(st.integers(0, 2)),
        failed_load=draw(st.sampled_from(["", "damaged", "too large"])),
        slow_looks=draw(st.integers(0, 4)),
    )


@given(parts(), parts(), parts())
def test_evidence_adds_up_in_any_order(one: Evidence, two: Evidence, three: Evidence) -> None:
    assert (one + two) + three == one + (two + three)
    assert one + two == two + one
    assert merge([one, two, three]) == merge([three, one, two])
    assert one + seen() == one
    assert Evidence.model_validate_json(one.model_dump_json()) == one


def test_evidence_of_different_steps_does_not_add_up() -> None:
    with pytest.raises(ValueError, match="different steps"):
        merge([seen(0), seen(1)])
    assert merge([]) is None


@given(strategies, st.floats(0, 1e6), st.integers(0, 3))
def test_nothing_is_ever_promoted_or_advanced_without_traffic(strategy: Strategy, seconds: float, step: int) -> None:
    settings = RolloutSection(strategy=strategy)
    step = min(step, len(settings.shares) - 1)
    for champion in (ArmCounts(), arm(10_000)):
        found = judge(settings, seen(step, champion=champion, seconds=seconds), baseline=arm(500))
        late = seconds >= settings.hours * 3600
        assert found.kind == ("return" if late else "wait")
        assert "there were no" in found.sentence
        assert ("inconclusive" in found.sentence) == late


@given(strategies, parts())
def test_a_decision_is_of_its_step_and_says_why(strategy: Strategy, evidence: Evidence) -> None:
    settings = RolloutSection(strategy=strategy)
    evidence = evidence.model_copy(update={"step": len(settings.shares) - 1})
    found = judge(settings, evidence)
    assert found.sentence
    assert found.kind != "advance"
    if found.kind == "promote":
        asked = evidence.paired.count if strategy == "shadow" else evidence.candidate.requests
        assert asked >= settings.requests_at(evidence.step)
        assert all(check.standing in {"passed", "skipped"} for check in found.checks)
    if found.kind == "return":
        assert found.share == 0.0


@given(parts(), st.integers(1, 500))
def test_more_errors_never_make_a_decision_better(evidence: Evidence, more: int) -> None:
    candidate = evidence.candidate
    worse = candidate.model_copy(update={"errors": min(candidate.requests, candidate.errors + more)})
    order = {"return": 0, "wait": 1, "advance": 2}
    before = judge(CANARY, evidence)
    after = judge(CANARY, evidence.model_copy(update={"candidate": worse}))
    assert order[after.kind] <= order[before.kind]


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (seen(failed_load="the digest is wrong"), "could not be loaded: the digest is wrong"),
        (seen(candidate=arm(10_000), champion=arm(90_000), non_finite=1), "not finite"),
        (seen(candidate=arm(40, RUN_OF_ERRORS, run=RUN_OF_ERRORS)), "5 requests in a row"),
        (seen(slow_looks=SLOW_LOOKS), "above 20 ms (`slow_ms`) and more than twice the champion's at 3 looks"),
    ],
)
def test_hard_stops_need_no_statistics(evidence: Evidence, words: str) -> None:
    assert words in (hard_stop(evidence, 20.0) or "")
    found = judge(CANARY, evidence)
    assert (found.kind, found.share) == ("return", 0.0)
    assert words in found.sentence
    assert hard_stop(seen(candidate=arm(40, 4, run=4), slow_looks=2), 20.0) is None


def test_a_canary_goes_through_its_steps_and_is_promoted() -> None:
    smoke = seen(0, champion=arm(4950, 10, 240), candidate=arm(50, 0, 3))
    assert _told(judge(CANARY, smoke)) == ("advance", 0.1)
    assert _told(judge(CANARY, seen(0, champion=arm(900), candidate=arm(49)))) == ("wait", 0.01)
    tenth = seen(1, champion=arm(2700, 5, 130), candidate=arm(300, 0, 15), paired=pairs(300, 0.01))
    found = judge(CANARY, tenth)
    assert _told(found) == ("advance", 0.5)
    assert [check.standing for check in found.checks] == ["passed"] * 3
    half = seen(2, champion=arm(400, 1, 18), candidate=arm(400, 0, 20))
    assert _told(judge(CANARY, half)) == ("advance", 1.0)
    last = seen(3, candidate=arm(400, 1, 20))
    found = judge(CANARY, last, arm(4000, 8, 190))
    assert _told(found) == ("promote", 1.0)
    assert "it failed 1 of 400 (0.25%), the champion 8 of 4,000 (0.20%)" in found.sentence


def test_five_percent_of_errors_against_one_send_a_candidate_back() -> None:
    found = judge(CANARY, seen(champion=arm(2700, 27), candidate=arm(300, 15)))
    assert _told(found) == ("return", 0.0)
    assert "it failed 15 of 300 (5.00%), the champion 27 of 2,700 (1.00%): more than chance explains" in found.sentence


def test_a_slower_candidate_is_sent_back() -> None:
    found = judge(CANARY, seen(champion=arm(5000, 0, 200), candidate=arm(500, 0, 120)))
    assert found.kind == "return"
    assert "latency: 120 of 500 (24.00%) took longer than" in found.sentence


def test_what_nobody_feels_sends_no_candidate_back() -> None:
    """A linear champion at 0.2 ms, and a candidate at 0.8 ms: it gets in, unless the champion alone is the measure."""
    champion, candidate = at(0.0002, 2700), at(0.0008, 300)
    felt = judge(CANARY, seen(champion=champion, candidate=candidate))
    assert _told(felt) == ("advance", 0.5)
    told = "0 of 300 (0.00%) took longer than 29.2 ms, and 0.0% of the champion's (its 95th percentile: 0.225 ms, "
    assert told + "`slow_ms`: 20)" in felt.sentence
    alone = CANARY.model_copy(update={"slow_ms": 0.0})
    assert judge(alone, seen(champion=champion, candidate=candidate)).kind == "return"
    assert _told(judge(CANARY, seen(3, candidate=candidate), at(0.0002, 2700))) == ("promote", 1.0)


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_what_is_felt_sends_a_candidate_back_at_every_step(step: int) -> None:
    share = CANARY.shares[step]
    candidate, champion = at(0.1, 100), at(0.0002, round(100 * (1 - share) / share))
    found = judge(CANARY, seen(step, champion=champion, candidate=candidate), at(0.0002, 5000))
    assert found.kind == "return"
    assert "100 of 100 (100.00%) took longer than 29.2 ms" in found.sentence
    off = CANARY.model_copy(update={"slow_ms": 10_000.0})
    assert judge(off, seen(step, champion=champion, candidate=candidate), at(0.0002, 5000)).kind != "return"


def test_a_stall_of_the_machine_sends_nobody_back() -> None:
    """Up to 5 % of the champion's are slow as well; where it has as many as the candidate, nothing is its fault."""
    few, many = at(0.0002, 960) + at(0.1, 40), at(0.0002, 9600) + at(0.1, 400)
    assert judge(CANARY, seen(champion=many, candidate=few)).kind == "advance"
    unlucky = at(0.0002, 70) + at(0.1, 30)
    assert judge(CANARY, seen(2, champion=at(0.0002, 97) + at(0.1, 3), candidate=unlucky)).kind == "return"
    assert judge(CANARY, seen(2, champion=at(0.0002, 70) + at(0.1, 30), candidate=unlucky)).kind == "wait"


@given(st.floats(0, 10_000), st.lists(st.floats(1e-5, 10), min_size=1, max_size=20))
def test_no_answer_within_the_floor_is_ever_slow(slow_ms: float, seconds: list[float]) -> None:
    champion = sum((at(each, 1) for each in seconds), ArmCounts())
    bound = slow_bucket(champion, slow_ms)
    assert LATENCY_BOUNDS[bound] >= slow_ms / 1000
    assert at(slow_ms / 1000, 7).slower_than(bound) == 0
    assert bound >= slow_bucket(champion)
    if bound > slow_bucket(champion):
        assert LATENCY_BOUNDS[bound - 1] < slow_ms / 1000


@given(parts(), st.sampled_from([0.0, 5.0, 20.0, 100.0]), st.floats(1, 20))
def test_no_sentence_speaks_of_more_than_all(evidence: Evidence, slow_ms: float, slow_ratio: float) -> None:
    settings = RolloutSection(strategy="canary", slow_ms=slow_ms, slow_ratio=slow_ratio, error_margin=0.9)
    for check in check_all(settings, evidence, None):
        assert all(float(share) <= 100 for share in re.findall(r"([\d.]+)%", check.sentence))


def test_a_floor_that_many_of_the_champions_answers_are_above_changes_nothing() -> None:
    champion, candidate = at(0.001, 1500) + at(0.1, 500), at(0.001, 230) + at(0.1, 70)
    found = [
        judge(CANARY.model_copy(update={"slow_ms": each}), seen(1, champion=champion, candidate=candidate))
        for each in (0.0, 20.0)
    ]
    assert [(each.kind, each.checks[1].p_value) for each in found] == [("wait", 1.0)] * 2
    assert all("up to 30.00% is accepted" in each.checks[1].sentence for each in found)


def test_a_latency_that_nobody_feels_is_no_slow_look() -> None:
    for took, slow_ms, looks in ((0.0008, 20.0, 0), (0.0008, 0.0, 1), (0.025, 20.0, 0), (0.1, 20.0, 1)):
        assert Pulse().after(at(0.0002, 300), at(took, 300), slow_ms).slow == looks
    assert Pulse().after(at(0.06, 300), at(0.1, 300), 20.0).slow == 0


def test_other_predictions_send_a_candidate_back() -> None:
    evidence = seen(champion=arm(5000), candidate=arm(500), paired=pairs(500, 0.4, 0.2))
    found = judge(CANARY, evidence)
    assert found.kind == "return"
    assert "on 500 same rows its predictions differ by +0.4 in the mean" in found.sentence
    drifting = pairs(500, 0.4, 0.2, champion_total=5000.0, champion_squares=5000.0 * 10 + 500 * 100)
    wide = judge(CANARY, evidence.model_copy(update={"paired": drifting}))
    assert wide.kind == "advance"


def test_what_is_not_settled_waits_and_returns_when_its_time_is_over() -> None:
    open_still = seen(champion=arm(3000, 60), candidate=arm(320, 9))
    waiting = judge(CANARY, open_still)
    assert (waiting.kind, waiting.share) == ("wait", 0.1)
    assert "errors: it failed 9 of 320" in waiting.sentence
    late = judge(CANARY, open_still.model_copy(update={"seconds": 24 * 3600.0}))
    assert late.kind == "return"
    assert late.sentence.startswith("inconclusive after 24 h, so the champion stays: errors")


def test_a_shadow_is_judged_by_the_rows_that_both_answered() -> None:
    shadow = RolloutSection(strategy="shadow")
    champion = arm(10_000)
    assert judge(shadow, seen(0, champion=champion, paired=pairs(400, 0.02))).kind == "promote"
    assert judge(shadow, seen(0, champion=champion, paired=pairs(299, 0.02))).kind == "wait"
    failing = judge(shadow, seen(0, champion=champion, paired=pairs(270, 0.02, failed=30)))
    assert failing.kind == "return"
    assert "it failed 30 of 300" in failing.sentence


def test_blue_and_green_are_compared_with_what_is_known_of_the_champion() -> None:
    both = RolloutSection(strategy="blue_green")
    assert judge(both, seen(0, candidate=arm(300, 0, 14))).kind == "promote"
    assert judge(both, seen(0, candidate=arm(300, 40, 14))).kind == "return"
    before = arm(10_000, 100, 480)
    assert judge(both, seen(0, champion=before, candidate=arm(500, 3, 25))).kind == "promote"
    assert judge(both, seen(0, champion=before, candidate=arm(500, 3, 200))).kind == "return"


def test_evidence_of_another_step_says_nothing() -> None:
    rollout = _rollout(step=1)
    harm = seen(1, champion=arm(2700, 27), candidate=arm(300, 60))
    assert decide(rollout, harm).kind == "return"
    for other in ({"step": 0}, {"rollout": 8}):
        assert _told(decide(rollout, harm.model_copy(update=other))) == ("wait", 0.1)


def test_the_baseline_goes_through_the_ledger() -> None:
    evidence = seen(2, champion=arm(4000, 8, 190), candidate=arm(400))
    text = baseline_after(evidence)
    assert baseline_of(_rollout(step=3).model_copy(update={"baseline": text})) == evidence.champion
    assert baseline_of(_rollout(step=1)) is None
    assert baseline_after(seen(3, candidate=arm(400))) == ""


def test_the_figures_behind_a_decision_are_finite_scalars() -> None:
    evidence = seen(champion=arm(2700, 27), candidate=arm(300, 15), paired=pairs(300, 0.01))
    found = figures(evidence, judge(CANARY, evidence))
    assert (found["requests"], found["errors"], found["champion_requests"], found["pairs"]) == (300, 15, 2700, 300)
    assert found["errors_guard"] == "failed"
    assert all(np.isfinite(value) for value in found.values() if isinstance(value, float))


def test_slow_looks_are_counted_in_windows_that_are_large_enough() -> None:
    pulse, champion, candidate = Pulse(), ArmCounts(), ArmCounts()
    told = []
    for _ in range(5):
        champion, candidate = champion + arm(1000, 0, 5), candidate + arm(150, 0, 15)
        pulse = pulse.after(champion, candidate, 20.0)
        told.append(pulse.slow)
    assert told == [0, 1, 1, 2, 2]
    champion, candidate = champion + arm(1000, 0, 5), candidate + arm(2000, 0, 1)
    assert pulse.after(champion, candidate, 20.0).slow == 0


def test_counts_since_an_earlier_count_survive_a_restart() -> None:
    assert arm(500, 5, 20).since(arm(300, 2, 10)) == arm(200, 3, 10)
    assert arm(100, 1).since(arm(300, 2)) == arm(100, 1)
    assert arm(7).since(ArmCounts()) == arm(7)


@given(st.floats(1e-6, 100))
def test_every_duration_has_its_bucket(seconds: float) -> None:
    found = bucket(seconds)
    assert found == 0 or seconds > LATENCY_BOUNDS[found - 1]
    assert found == len(LATENCY_BOUNDS) or seconds <= LATENCY_BOUNDS[found]


def test_identical_versions_are_seldom_sent_back_and_harm_is_soon_found() -> None:
    """A smaller sibling of `benchmarks/rollout`."""
    rng = np.random.default_rng(11)
    assert _returned(rng, 0.01, looks=40, repetitions=60) <= 3
    found = [_first_return(rng, 0.05, looks=40, every=25) for _ in range(40)]
    assert float(np.median(found)) <= 300


def _returned(rng: np.random.Generator, errors: float, *, looks: int, repetitions: int) -> int:
    return sum(_first_return(rng, errors, looks=looks, every=100) < np.inf for _ in range(repetitions))


def _first_return(rng: np.random.Generator, errors: float, *, looks: int, every: int) -> float:
    """Return the candidate's requests at which a canary of 10 % was sent back; infinite when it was not."""
    evidence = seen()
    for _ in range(looks):
        candidate = arm(every, int(rng.binomial(every, errors)), int(rng.binomial(every, 0.04)))
        champion = arm(9 * every, int(rng.binomial(9 * every, 0.01)), int(rng.binomial(9 * every, 0.04)))
        evidence = evidence + seen(champion=champion, candidate=candidate)
        if judge(CANARY, evidence).kind == "return":
            return evidence.candidate.requests
    return np.inf


def _told(decision: Decision) -> tuple[str, float]:
    return decision.kind, decision.share


def _rollout(step: int) -> Rollout:
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    return Rollout(
        project="churn",
        version=2,
        champion=1,
        settings=CANARY,
        sequence=7,
        started=moment,
        actor="ada",
        reason="better",
        evidence={},
        step=step,
        since=moment,
    )
