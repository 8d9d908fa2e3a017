"""The gate: every verdict it can give, why, and that better is never judged worse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tiltyard.evaluation.gate import judge
from tiltyard.evaluation.records import Comparison, Estimate, Evidence, Scorecard, SliceComparison, Verdict
from tiltyard.project.gates import GatesSection
from tiltyard.project.metrics import METRICS, Task

FRESHNESS = GatesSection(mode="non_inferiority")
RANK = {"refuse": 0, "inconclusive": 1, "promote": 2}


def comparison(value: float, error: float = 0.005, rows: int = 2_000, metric: str = "accuracy") -> Comparison:
    """Return a normal comparison with the given difference."""
    error = max(error, 1e-12)
    sign = 1 if METRICS[metric].greater_is_better else -1
    return Comparison(
        metric=metric,
        method="normal",
        rows=rows,
        units=rows,
        challenger=0.8 + sign * value,
        champion=0.8,
        difference=Estimate(value=value, low=value - 1.96 * error, high=value + 1.96 * error),
        standard_error=error,
        alpha=0.05,
        lower=value - 1.645 * error,
        p_value=float(norm.sf(value / error)),
        p_worse=float(norm.cdf(value / error)),
        detectable=2.486 * error,
    )


def card(metric: str = "accuracy", **metrics: float) -> Scorecard:
    shown = {metric: 0.82, **metrics}
    estimates = {name: Estimate(value=value, low=value - 0.02, high=value + 0.02) for name, value in shown.items()}
    return Scorecard(task=Task.BINARY, rows=2_000, primary=metric, metrics=estimates)


def against(found: Comparison | None, gates: GatesSection | None = None, **more: object) -> Verdict:
    evidence = Evidence.model_validate({"champion": "7", "comparison": found, **more})
    return judge(gates or GatesSection(), card(found.metric if found else "accuracy"), evidence)


def part(level: str, value: float, rows: int = 500, error: float = 0.01) -> SliceComparison:
    return SliceComparison(column="plan", level=level, comparison=comparison(value, error, rows))


@pytest.mark.parametrize(
    ("value", "error", "outcome"),
    [
        (0.020, 0.005, "promote"),
        (0.009, 0.005, "promote"),
        (0.008, 0.005, "inconclusive"),
        (0.000, 0.005, "refuse"),
        (0.000, 0.006, "inconclusive"),
        (-0.020, 0.005, "refuse"),
        (-0.020, 0.020, "inconclusive"),
    ],
)
def test_superiority(value: float, error: float, outcome: str) -> None:
    assert against(comparison(value, error)).outcome == outcome


@pytest.mark.parametrize(
    ("value", "error", "outcome"),
    [
        (0.000, 0.005, "promote"),
        (-0.001, 0.005, "promote"),
        (-0.002, 0.006, "inconclusive"),
        (-0.008, 0.004, "refuse"),
        (-0.007, 0.004, "refuse"),
        (-0.020, 0.005, "refuse"),
        (0.000, 0.020, "inconclusive"),
    ],
)
def test_non_inferiority(value: float, error: float, outcome: str) -> None:
    assert against(comparison(value, error), FRESHNESS).outcome == outcome


def test_a_promotion_gives_scores_difference_interval_and_luck() -> None:
    sentence = against(comparison(0.02)).sentence
    for words in (
        "2,000 rows",
        "champion 7",
        "82.0 % against 80.0 %",
        "+2.0 points",
        "+1.0 to +3.0 points",
        "less than 0.1 %",
    ):
        assert words in sentence


def test_an_open_verdict_says_what_the_rows_find_and_how_many_are_needed() -> None:
    verdict = against(comparison(0.005, 0.01))
    assert verdict.outcome == "inconclusive"
    assert "2.5 points four times in five" in verdict.sentence
    assert "to find 1 point, about 13,000 are needed" in verdict.sentence
    assert "The champion stays, unless a person decides otherwise." in verdict.sentence
    assert verdict.detectable == pytest.approx(0.02486)
    assert verdict.margin == 0.01


def test_few_comparable_rows_decide_nothing() -> None:
    assert "Only 49 rows are left" in against(comparison(0.5, rows=49)).sentence
    assert against(comparison(0.5, rows=49)).outcome == "inconclusive"
    assert against(comparison(0.5, rows=50)).outcome == "promote"
    assert "Only 12 rows" in against(None, comparable_rows=12).sentence


def test_an_undefined_comparison_decides_nothing() -> None:
    verdict = against(None, comparable_rows=500)
    assert verdict.outcome == "inconclusive"
    assert "Accuracy is not defined on the 500 rows" in verdict.sentence
    assert verdict.difference is None


def test_a_second_step_of_no_worse_needs_a_person() -> None:
    verdict = against(comparison(0.0), FRESHNESS, champion_mode="non_inferiority")
    assert verdict.outcome == "inconclusive"
    assert "a second step" in verdict.sentence
    assert against(comparison(0.02), FRESHNESS, champion_mode="non_inferiority").outcome == "promote"
    assert against(comparison(0.0), FRESHNESS, champion_mode="superiority").outcome == "promote"


def test_a_first_model_must_beat_a_constant_answer_however_few_the_rows() -> None:
    gates = GatesSection()
    found = {
        value: judge(gates, card(), Evidence(baseline=comparison(value, 0.05, 20))) for value in (0.2, 0.05, -0.01)
    }
    assert [found[value].outcome for value in (0.2, 0.05, -0.01)] == ["promote", "inconclusive", "refuse"]
    assert found[0.2].mode == "first"
    assert found[0.2].difference is None
    assert "always giving the same answer" in found[0.2].sentence
    assert "no champion yet" in found[0.05].sentence
    assert judge(gates, card(), Evidence()).outcome == "inconclusive"


def test_floors_hold_for_scores_and_for_losses() -> None:
    gates = GatesSection(floors={"roc_auc": 0.8, "log_loss": 0.4, "ece": 0.1})
    verdict = judge(gates, card(roc_auc=0.79, log_loss=0.5), Evidence(champion="7", comparison=comparison(0.02)))
    answers = {check.name: check.outcome for check in verdict.checks}
    assert answers["floor roc_auc"] == answers["floor log_loss"] == "fail"
    assert answers["floor ece"] == "inconclusive"
    assert "at least 0.8000 is required" in verdict.sentence
    assert "at most 0.4000 is required" in verdict.sentence
    good = judge(GatesSection(floors={"accuracy": 0.82}), card(), Evidence(champion="7", comparison=comparison(0.02)))
    assert good.outcome == "promote"


def test_slow_or_large_bundles_are_refused() -> None:
    slow = against(comparison(0.02), latency_ms=20.1, size_bytes=50_000_001)
    assert slow.outcome == "refuse"
    assert "20.1 ms in the bundle; at most 20 ms" in slow.sentence
    assert "at most 50 MB" in slow.sentence
    assert against(comparison(0.02), latency_ms=20.0, size_bytes=50_000_000).outcome == "promote"


def test_a_slice_that_loses_refuses_and_is_named() -> None:
    verdict = against(comparison(0.02), slices=(part("basic", -0.05), part("pro", 0.03)))
    assert verdict.outcome == "refuse"
    assert "The group plan = basic loses" in verdict.sentence
    assert "slice plan=basic" in {check.name for check in verdict.checks}


def test_slices_that_lose_by_luck_too_little_or_on_few_rows_do_not_refuse() -> None:
    many = tuple(part(str(level), -0.02) for level in range(10))
    assert against(comparison(0.02), slices=(part("basic", -0.02),)).outcome == "refuse"
    assert against(comparison(0.02), slices=(part("basic", -0.02, error=0.009), *many)).outcome == "promote"
    assert against(comparison(0.02), slices=(part("basic", -0.009, error=0.001),)).outcome == "promote"
    assert against(comparison(0.02), slices=(part("basic", -0.5, rows=99),)).outcome == "promote"
    passed = [check for check in against(comparison(0.02), slices=many).checks if check.name == "slices"]
    assert "None of 10 groups is shown to lose" in passed[0].sentence


def test_a_guard_that_loses_refuses() -> None:
    worse, fine = comparison(-0.02, 0.004, metric="brier"), comparison(-0.004, 0.0001, metric="brier")
    assert against(comparison(0.02), guards=(worse,)).outcome == "refuse"
    assert against(comparison(0.02), guards=(fine,)).outcome == "promote"


def test_margins_of_losses_in_the_targets_units_are_shares_of_the_champion() -> None:
    assert against(comparison(0.01, 0.02, metric="rmse")).margin == pytest.approx(0.02 * 0.8)
    given_margin = GatesSection(margin=0.3)
    assert against(comparison(0.01, 0.02, metric="rmse"), given_margin).margin == 0.3


finite = st.floats(-0.2, 0.2)


@given(finite, finite, st.floats(1e-4, 0.1), st.sampled_from([GatesSection(), FRESHNESS]))
def test_a_better_challenger_is_never_judged_worse(one: float, other: float, error: float, gates: GatesSection) -> None:
    worse, better = sorted([one, other])
    outcomes = [against(comparison(value, error), gates).outcome for value in (worse, better)]
    assert RANK[outcomes[0]] <= RANK[outcomes[1]]


@given(finite, st.floats(1e-4, 0.1), st.floats(0, 40), st.integers(0, 10**8))
def test_a_verdict_follows_its_checks(value: float, error: float, latency: float, size: int) -> None:
    verdict = against(comparison(value, error), latency_ms=latency, size_bytes=size)
    answers = {check.outcome for check in verdict.checks}
    expected = "refuse" if "fail" in answers else "inconclusive" if "inconclusive" in answers else "promote"
    assert verdict.outcome == expected
    assert verdict.sentence.endswith(".")
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


@given(st.floats(-0.05, 0.05), st.floats(1e-4, 0.1))
def test_no_worse_is_never_harder_than_better(value: float, error: float) -> None:
    if against(comparison(value, error)).outcome == "promote":
        assert against(comparison(value, error), FRESHNESS).outcome == "promote"
