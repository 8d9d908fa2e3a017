"""The gate: may this challenger replace the champion? A pure function of records, with the reasons in words.

How it decides, with d the difference of the primary metric (positive is better) on rows neither model was trained on:

- `superiority`: pass when the one-sided test says d > 0 at `alpha`. Otherwise fail when the 95 % interval excludes a
  gain as large as the margin (there is nothing worth having), else inconclusive (the rows cannot tell).
- `non_inferiority`: pass when the one-sided lower bound of d is above minus the margin. Otherwise fail when the
  interval excludes d >= 0, or when the rows would have shown an equal model to be no worse with 80 % power; else
  inconclusive. Two such entries in a row could lose twice the margin, so the second is left to a person.
- First model: pass when it beats a constant answer at `alpha`; few rows are allowed, the test knows their number.
- Slices and guards: fail when shown to be worse (slices: after Holm's correction) and by more than the margin.
- Floors, latency and size: plain limits on the measured value.

Any failed check refuses; else any inconclusive one leaves the champion in place; else the challenger is promoted.
"""

from collections.abc import Iterator

from tiltyard.evaluation.conditions import (
    baseline_check,
    champion_check,
    floor_check,
    guard_check,
    latency_check,
    margin_of,
    no_comparison_check,
    size_check,
    slice_checks,
)
from tiltyard.evaluation.records import Check, Evidence, Outcome, Scorecard, Verdict
from tiltyard.project.gates import GatesSection


def judge(gates: GatesSection, challenger: Scorecard, evidence: Evidence) -> Verdict:
    """Decide about a challenger.

    Args:
        gates: The project's conditions.
        challenger: What the challenger is worth on the rows that judge; its primary metric decides.
        evidence: Comparisons with the champion, or with a constant answer when there is none, and what the bundle
            costs.

    Returns:
        The verdict, with every condition looked at.
    """
    first = evidence.champion is None
    comparison = None if first else evidence.comparison
    checks = tuple(_checks(gates, challenger, evidence))
    outcome = _outcome(checks)
    return Verdict(
        outcome=outcome,
        sentence=_sentence(outcome, checks, first=first),
        metric=challenger.primary,
        mode="first" if first else gates.mode,
        rows=challenger.rows if first else evidence.rows,
        difference=comparison.difference if comparison else None,
        p_value=comparison.p_value if comparison else None,
        detectable=comparison.detectable if comparison else None,
        margin=margin_of(gates, challenger.primary, comparison) if comparison else None,
        checks=checks,
    )


def _checks(gates: GatesSection, challenger: Scorecard, evidence: Evidence) -> Iterator[Check]:
    """Yield every condition, the comparison first."""
    primary = challenger.primary
    if evidence.champion is None:
        yield baseline_check(evidence.baseline)
    elif evidence.comparison is None or evidence.rows < gates.min_rows:
        yield no_comparison_check(gates, primary, evidence)
    else:
        yield champion_check(gates, primary, evidence.champion, evidence.comparison, evidence.champion_mode)
        yield from slice_checks(gates, primary, evidence.slices)
        yield from (guard_check(gates, primary, guard) for guard in evidence.guards)
    yield from (floor_check(name, floor, challenger) for name, floor in gates.floors.items())
    if evidence.latency_ms is not None:
        yield latency_check(gates, evidence.latency_ms)
    if evidence.size_bytes is not None:
        yield size_check(gates, evidence.size_bytes)


def _outcome(checks: tuple[Check, ...]) -> Outcome:
    answers = {check.outcome for check in checks}
    if "fail" in answers:
        return "refuse"
    return "inconclusive" if "inconclusive" in answers else "promote"


def _sentence(outcome: Outcome, checks: tuple[Check, ...], *, first: bool) -> str:
    """Return the reason: of a promotion the comparison, else every condition that stands in the way."""
    if outcome == "promote":
        return f"Passed. {checks[0].sentence}"
    wanted = "fail" if outcome == "refuse" else "inconclusive"
    reasons = " ".join(check.sentence for check in checks if check.outcome == wanted)
    if outcome == "refuse":
        return f"Refused. {reasons}" + ("" if first else " The champion stays.")
    waiting = "There is no champion yet" if first else "The champion stays"
    return f"Inconclusive. {reasons} {waiting}, unless a person decides otherwise."
