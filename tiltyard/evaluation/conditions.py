"""The single conditions of the gate; each returns its answer with the figures in a sentence."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from tiltyard.evaluation.multiplicity import holm
from tiltyard.evaluation.records import Check, Comparison, Evidence, Scorecard, SliceComparison
from tiltyard.evaluation.wording import amount, chance, change, interval, size, title
from tiltyard.project.gates import GatesSection
from tiltyard.project.metrics import METRICS

Answer = Literal["pass", "fail", "inconclusive"]
Mode = Literal["first", "superiority", "non_inferiority"]


def margin_of(gates: GatesSection, primary: str, comparison: Comparison) -> float:
    """Return the smallest difference that matters, in the units of the comparison's metric.

    Args:
        gates: The project's conditions; its `margin` is for the primary metric.
        primary: The metric that decides.
        comparison: The comparison in question, by that or another metric.

    Returns:
        `gates.margin`, else the metric's default, as a share of the champion's value for metrics in the target's
        units.
    """
    if gates.margin is not None and comparison.metric == primary:
        return gates.margin
    metric = METRICS[comparison.metric]
    return metric.default_margin * (abs(comparison.champion) if metric.relative else 1.0)


def champion_check(
    gates: GatesSection, primary: str, champion: str, comparison: Comparison, champion_mode: Mode | None
) -> Check:
    """Answer whether the challenger beats the champion, or is no worse, by the mode of the gate."""
    margin = margin_of(gates, primary, comparison)
    figures = _figures(comparison, f"champion {champion}", "neither was")
    if gates.mode == "superiority":
        answer, reason = _superiority(comparison, margin)
    else:
        answer, reason = _non_inferiority(comparison, margin, champion_mode)
    return Check(name="champion", outcome=answer, sentence=f"{figures} {reason}")


def _superiority(comparison: Comparison, margin: float) -> tuple[Answer, str]:
    worth = size(comparison.metric, margin)
    if comparison.p_value <= comparison.alpha:
        return "pass", (
            f"If it were no better, luck alone would show such a lead in {chance(comparison.p_value)} of tests "
            f"(limit {chance(comparison.alpha)})."
        )
    if comparison.difference.high < margin:
        return (
            "fail",
            f"It is not shown to be better, and a gain of {worth} or more, the least that matters, is ruled out.",
        )
    luck = (
        f"Luck alone would show such a lead in {chance(comparison.p_value)} of tests (limit {chance(comparison.alpha)})"
    )
    doubt = luck if comparison.difference.value > 0 else "It is not shown to be better"
    return "inconclusive", (
        f"{doubt}, and a worthwhile gain of {worth} cannot be ruled out. {_detectable(comparison, margin)}"
    )


def _non_inferiority(comparison: Comparison, margin: float, champion_mode: Mode | None) -> tuple[Answer, str]:
    loss = size(comparison.metric, margin)
    sure = f"{100 * (1 - comparison.alpha):g} %"
    bound = change(comparison.metric, comparison.lower)
    if comparison.lower > -margin:
        if champion_mode == "non_inferiority" and comparison.p_value > comparison.alpha:
            return "inconclusive", (
                f"It is no worse by more than {loss}, but the champion itself came in as no worse than the one before "
                "it; a second step like that could lose twice as much, so a person has to agree."
            )
        return "pass", f"With {sure} confidence the difference is above {bound}; a loss of up to {loss} is accepted."
    if comparison.difference.high < 0:
        return "fail", f"It is worse, and a loss of more than {loss} cannot be ruled out."
    if comparison.detectable <= margin:
        return "fail", (
            f"These rows suffice to show that an equal model loses no more than {loss}, and they do not show it here: "
            f"with {sure} confidence the difference is only above {bound}."
        )
    return "inconclusive", (
        f"A loss of more than {loss} cannot be ruled out: with {sure} confidence the difference is only above {bound}. "
        f"{_detectable(comparison, margin)}"
    )


def _versus(comparison: Comparison) -> str:
    """Return both scores: `Accuracy 91.2 % against 88.9 %`."""
    metric = comparison.metric
    ours, theirs = amount(metric, comparison.challenger), amount(metric, comparison.champion)
    return f"{title(metric)} {ours} against {theirs}"


def _gap(comparison: Comparison) -> str:
    """Return the difference, positive for better: `+2.3 points, 95 % interval +0.9 points to +3.7 points`."""
    metric, difference = comparison.metric, comparison.difference
    return f"{change(metric, difference.value)}, 95 % interval {interval(metric, difference, difference=True)}"


def _figures(comparison: Comparison, other: str, whose: str) -> str:
    """Return both scores and their difference in a sentence."""
    value = comparison.difference.value
    relation = "scored better than" if value > 0 else "scored worse than" if value < 0 else "scored the same as"
    return (
        f"On {comparison.rows:,} rows that {whose} trained on, the challenger {relation} {other}: "
        f"{_versus(comparison)} (difference {_gap(comparison)}; positive is better)."
    )


def _detectable(comparison: Comparison, margin: float) -> str:
    """Return the minimum detectable effect, and how many rows the margin would need, in a sentence."""
    needed = math.ceil(comparison.rows * (comparison.detectable / margin) ** 2)
    digits = 10 ** max(0, len(str(needed)) - 2)
    rows = math.ceil(needed / digits) * digits
    found, wanted = (size(comparison.metric, effect) for effect in (comparison.detectable, margin))
    return (
        f"{comparison.rows:,} rows find a true difference of {found} four times in five; "
        f"to find {wanted}, about {rows:,} are needed."
    )


def baseline_check(comparison: Comparison | None) -> Check:
    """Answer whether a first model beats a constant answer."""
    if comparison is None:
        sentence = "The challenger could not be compared with a constant answer on these rows."
        return Check(name="baseline", outcome="inconclusive", sentence=sentence)
    figures = _figures(comparison, "always giving the same answer", "it was not")
    if comparison.p_value <= comparison.alpha:
        answer: Answer = "pass"
        reason = f"Luck alone would show such a lead in {chance(comparison.p_value)} of tests."
    elif comparison.difference.value <= 0:
        answer, reason = "fail", "A first champion must know more than that."
    else:
        answer = "inconclusive"
        reason = f"Such a lead can be luck ({chance(comparison.p_value)} of tests, limit {chance(comparison.alpha)})."
    return Check(name="baseline", outcome=answer, sentence=f"{figures} {reason}")


def no_comparison_check(gates: GatesSection, primary: str, evidence: Evidence) -> Check:
    """Say why challenger and champion were not compared."""
    both = f"that neither the challenger nor champion {evidence.champion} was trained on"
    if evidence.rows < gates.min_rows:
        sentence = f"Only {evidence.rows:,} rows are left {both}; a comparison needs at least {gates.min_rows:,}. "
        sentence += "Keep `split.seed` and the shares of `split` as they were, or wait for new rows."
    else:
        sentence = f"{title(primary)} is not defined on the {evidence.rows:,} rows {both}."
    return Check(name="champion", outcome="inconclusive", sentence=sentence)


def slice_checks(gates: GatesSection, primary: str, slices: Sequence[SliceComparison]) -> Iterator[Check]:
    """Answer whether some group of rows is shown to lose, after Holm's correction, by more than the margin."""
    large = [part for part in slices if part.comparison.rows >= gates.min_slice_rows]
    if not large:
        return
    p_values = holm([part.comparison.p_worse for part in large])
    lost = 0
    for part, p_value in zip(large, p_values, strict=True):
        comparison = part.comparison
        if p_value > comparison.alpha or comparison.difference.value >= -margin_of(gates, primary, comparison):
            continue
        lost += 1
        sentence = f"The group {part.column} = {part.level} loses: {_short(comparison, p_value)}."
        yield Check(name=f"slice {part.column}={part.level}", outcome="fail", sentence=sentence)
    if not lost:
        worst, p_value = min(zip(large, p_values, strict=True), key=lambda pair: pair[0].comparison.difference.value)
        lowest = f"the lowest difference is at {worst.column} = {worst.level}: {_short(worst.comparison, p_value)}"
        sentence = f"None of {len(large)} groups is shown to lose; {lowest}."
        yield Check(name="slices", outcome="pass", sentence=sentence)


def _short(comparison: Comparison, p_value: float) -> str:
    return (
        f"{_versus(comparison)} on {comparison.rows:,} rows (difference {_gap(comparison)}; "
        f"by luck in {chance(p_value)} of tests, corrected for the number of groups)"
    )


def guard_check(gates: GatesSection, primary: str, comparison: Comparison) -> Check:
    """Answer whether another metric is shown to lose by more than its margin."""
    margin = margin_of(gates, primary, comparison)
    lost = comparison.p_worse <= comparison.alpha and comparison.difference.value < -margin
    accepted = size(comparison.metric, margin)
    sentence = (
        f"{title(comparison.metric)} {'gets worse' if lost else 'is not shown to get worse'}: {_versus(comparison)} "
        f"(difference {_gap(comparison)}; a loss of up to {accepted} is accepted)."
    )
    return Check(name=f"guard {comparison.metric}", outcome="fail" if lost else "pass", sentence=sentence)


def floor_check(metric: str, floor: float, challenger: Scorecard) -> Check:
    """Answer whether a metric reaches its floor (a loss: stays below its ceiling)."""
    name = f"floor {metric}"
    estimate = challenger.metrics.get(metric)
    if estimate is None:
        sentence = f"{title(metric)} is not defined on the rows that judge, so its floor cannot be checked."
        return Check(name=name, outcome="inconclusive", sentence=sentence)
    greater = METRICS[metric].greater_is_better
    reached = estimate.value >= floor if greater else estimate.value <= floor
    limit = f"{'at least' if greater else 'at most'} {amount(metric, floor)}"
    sentence = (
        f"{title(metric)} is {amount(metric, estimate.value)} (95 % interval {interval(metric, estimate)}); {limit} is "
        f"{'reached' if reached else 'required'}."
    )
    return Check(name=name, outcome="pass" if reached else "fail", sentence=sentence)


def latency_check(gates: GatesSection, latency_ms: float) -> Check:
    """Answer whether one row is answered in time."""
    slow = latency_ms > gates.latency_ms
    sentence = f"One row takes {latency_ms:.3g} ms in the bundle; at most {gates.latency_ms:g} ms are allowed."
    return Check(name="latency", outcome="fail" if slow else "pass", sentence=sentence)


def size_check(gates: GatesSection, size_bytes: int) -> Check:
    """Answer whether the bundle is small enough."""
    large = size_bytes > gates.size_mb * 1e6
    sentence = f"The bundle has {size_bytes / 1e6:.3g} MB; at most {gates.size_mb:g} MB are allowed."
    return Check(name="size", outcome="fail" if large else "pass", sentence=sentence)
