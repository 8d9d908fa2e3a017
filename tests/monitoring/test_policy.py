"""The retraining policy: on evidence of harm only, never on broken data, within its budget, and once."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tiltyard.errors import UsageError
from tiltyard.evaluation.records import Estimate as ScoreEstimate
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import DriftVerdict, Finding
from tiltyard.monitoring.observation import Observation
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.policy import Challenger, Decision, State, Told, decide
from tiltyard.monitoring.quality import QualityFinding, Trouble
from tiltyard.project.monitoring import MonitoringSection

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STATE = State(project="churn", version=3, since=START - 60 * DAY, trained=START - 60 * DAY)
SECTION = MonitoringSection()


def drift(level: Literal["none", "warning", "alarm", "too_few_rows"], pooled: int = 1) -> DriftVerdict:
    return DriftVerdict(level=level, rows=5000, reference_rows=5000, pooled=pooled, sentence="`age` has moved.")


def broken(kind: Trouble = "null_filled", *columns: str, share: float = 1.0) -> QualityFinding:
    return QualityFinding(kind=kind, columns=columns, share=share, sentence=f"{kind}.")


def labelled(day: int, *, harm: bool = True, version: int | None = 3) -> Performance:
    return Performance(
        metric="accuracy",
        value=0.7,
        low=0.68,
        high=0.72,
        rows=5000,
        labelled=5000,
        coverage=1.0,
        version=version,
        start=START + (day - 1) * DAY,
        end=START + day * DAY,
        harm=harm,
        sentence="Accuracy is 0.70.",
    )


def estimated(*, valid: bool = True, harm: bool = True) -> Estimate:
    return Estimate(metric="accuracy", value=0.7, low=0.6, high=0.75, valid=valid, harm=harm, sentence="Probably 0.70.")


def check(day: float, days: float = 1, version: int | None = 3, **seen: Any) -> Observation:
    """Return a check at the end of a day, of as many days before it."""
    end = START + timedelta(days=day)
    return Observation(start=end - timedelta(days=days), end=end, version=version, **seen)


def alarms(*levels: str, days: float = 1) -> list[Observation]:
    """Return a check a day, of the drift given."""
    return [check(day, days=days, drift=drift(level)) for day, level in enumerate(levels, start=1)]  # type: ignore[arg-type]


def at(history: Sequence[Observation], state: State = STATE, **keys: Any) -> Decision:
    """Decide right after the last window."""
    return decide(history, state, MonitoringSection(**keys), history[-1].end)


def simulate(days: int, seen: Any, section: MonitoringSection, state: State = STATE) -> list[Decision]:
    """Check once a day; the state is carried on as the record would carry it."""
    history: list[Observation] = []
    decisions: list[Decision] = []
    for day in range(1, days + 1):
        history.append(seen(day, state))
        now = history[-1].end
        decisions.append(decide(history, state, section, now))
        state = state.model_copy(update={"told": decisions[-1].told})
        if decisions[-1].action == "retrain":
            state = state.model_copy(update={"retrainings": (*state.retrainings, now)})
    return decisions


def counted(decisions: Sequence[Decision], action: str) -> int:
    return sum(decision.action == action for decision in decisions)


def test_all_well_is_a_decision_too() -> None:
    decision = at(alarms("none", "warning", "none"))
    assert (decision.action, decision.mode, decision.reason) == ("none", None, "No evidence of harm.")


def test_one_alarm_is_waited_with_and_a_second_one_retrains() -> None:
    first = at(alarms("none", "none", "alarm"))
    assert first.action == "none"
    assert first.reason == (
        "No evidence of harm: drift in 1 of the last 3 windows, and 2 of 3 would be evidence of harm."
    )
    second = at(alarms("none", "none", "alarm", "alarm"))
    assert (second.action, second.mode) == ("retrain", "superiority")
    assert second.reason == "Evidence of harm: In 2 of the last 3 windows: `age` has moved."
    assert second.next_possible == START + 5 * DAY


def test_the_latest_window_must_be_among_them() -> None:
    assert at(alarms("alarm", "alarm", "none")).action == "none"
    assert at(alarms("alarm", "none", "alarm")).action == "retrain"
    assert at(alarms("alarm", "none", "none", "alarm")).action == "none"
    assert at(alarms("alarm"), sustained=(1, 1)).action == "retrain"


def test_windows_that_overlap_are_not_counted_twice() -> None:
    daily_of_a_week = alarms(*["alarm"] * 3, days=7)
    assert at(daily_of_a_week).action == "none"
    assert at(alarms(*["alarm"] * 5, days=7)).action == "retrain"
    assert at([check(1, drift=drift("alarm"))] * 5).action == "none"
    pooled = [check(day, drift=drift("alarm", pooled=4)) for day in (1, 2)]
    assert at(pooled).action == "none"


def test_a_loss_that_labels_prove_counts_at_once() -> None:
    decision = at([check(5, performance=labelled(2))])
    assert (decision.action, decision.evidence) == ("retrain", ("Accuracy is 0.70.",))
    assert at([check(5, performance=labelled(2, harm=False))]).action == "none"


def test_a_loss_of_another_version_is_not_the_champion_s() -> None:
    assert at([check(5, performance=labelled(2, version=2))]).action == "none"
    assert at([check(5, performance=labelled(2, version=None))]).action == "none"
    assert at([check(day, version=2, drift=drift("alarm")) for day in (1, 2, 3)]).action == "none"


def test_a_loss_on_broken_data_is_the_feed_s_and_not_the_champion_s() -> None:
    history = [check(1), check(2, quality=(broken(),)), check(3), check(4, performance=labelled(2))]
    assert at(history).action == "none"
    assert at([*history, check(5, performance=labelled(3))]).action == "retrain"


def test_an_estimated_loss_counts_when_it_lasts_and_is_valid() -> None:
    assert at([check(1, estimate=estimated())]).action == "none"
    assert at([check(day, estimate=estimated()) for day in (1, 2)]).action == "retrain"
    assert at([check(day, estimate=estimated(valid=False)) for day in (1, 2, 3)]).action == "none"
    assert at([check(day, estimate=estimated(harm=False)) for day in (1, 2, 3)]).action == "none"


def test_too_few_rows_are_no_evidence() -> None:
    assert at(alarms(*["too_few_rows"] * 5)).reason == "No evidence of harm."


def test_what_was_seen_before_a_promotion_is_no_evidence_after_it() -> None:
    state = STATE.model_copy(update={"since": START + 2 * DAY})
    assert at(alarms("alarm", "alarm", "alarm"), state).action == "none"
    assert at(alarms("alarm", "alarm", "alarm", "alarm"), state).action == "retrain"


def test_there_is_nothing_to_retrain_without_a_champion() -> None:
    state = State(project="churn")
    assert decide([], state, SECTION, START).reason == "There is no champion to watch."
    assert at([check(1, version=None, drift=drift("alarm"))], state).action == "none"


def test_one_run_at_a_time() -> None:
    running = STATE.model_copy(update={"running": True})
    decision = at(alarms("alarm", "alarm"), running)
    assert decision.action == "none"
    assert "A training run is under way already." in decision.reason
    assert at(alarms("alarm", "alarm"), running, freshness_days=1).action == "none"


def test_a_challenger_that_is_under_way_is_waited_for_and_its_judge_told_once() -> None:
    waits = Challenger(sentence="version 4 waits for a decision until 2026-03-09 00:00 UTC", asks=True)
    asked = STATE.model_copy(update={"challenger": waits})
    first = at(alarms("alarm", "alarm"), asked)
    assert first.action == "alert"
    assert first.reason.endswith(f"No second training before this is settled: {waits.sentence}.")
    told = asked.model_copy(update={"told": first.told})
    assert at(alarms("alarm", "alarm", "alarm"), told).action == "none"
    assert at(alarms("alarm", "alarm", "alarm"), STATE.model_copy(update={"told": first.told})).action == "retrain"
    rolling = STATE.model_copy(update={"challenger": Challenger(sentence="version 4 answers 0.1 of the requests")})
    decision = at(alarms("alarm", "alarm"), rolling)
    assert (decision.action, "version 4 answers 0.1" in decision.reason) == ("none", True)
    assert at(alarms("none"), asked).reason == "No evidence of harm."
    aged = at([check(1)], asked, freshness_days=1)
    assert (aged.action, waits.sentence in aged.reason) == ("none", True)


def test_the_cool_down_is_waited_for_and_said() -> None:
    last = START + DAY
    state = STATE.model_copy(update={"retrainings": (last,)})
    decision = at(alarms("alarm", "alarm"), state, cooldown_hours=48)
    assert (decision.action, decision.next_possible) == ("none", last + 2 * DAY)
    assert decision.reason.endswith("No retraining until 2026-03-04 00:00 UTC: the cool-down of 48 h.")
    young = STATE.model_copy(update={"since": START})
    assert at(alarms("alarm", "alarm"), young, cooldown_hours=72).reason.endswith("of 72 h after a promotion.")


def test_the_cool_down_doubles_while_retraining_does_not_help() -> None:
    decisions = simulate(120, lambda day, _: check(day, drift=drift("alarm")), MonitoringSection(most_per_week=7))
    days = [day for day, decision in enumerate(decisions, start=1) if decision.action == "retrain"]
    assert days == [2, 3, 5, 9, 17, 33, 65, 97]
    assert counted(decisions, "alert") == 1
    assert "2 retrainings gave no new champion; a person should look." in decisions[3].reason


@pytest.mark.parametrize(("keys", "words"), [({"most_per_day": 0}, "day"), ({"most_per_week": 0}, "week")])
def test_a_budget_of_nothing_never_trains_and_tells_once(keys: dict[str, Any], words: str) -> None:
    decisions = simulate(30, lambda day, _: check(day, drift=drift("alarm")), MonitoringSection(**keys))
    assert (counted(decisions, "retrain"), counted(decisions, "alert")) == (0, 1)
    assert f"`monitoring.most_per_{words}: 0` allows no retraining" in decisions[-1].reason


def test_thirty_days_of_drift_give_the_configured_retrainings_at_most() -> None:
    section = MonitoringSection(cooldown_hours=0, most_per_day=1, most_per_week=2)

    def seen(day: int, _: State) -> Observation:
        return check(day, drift=drift("alarm"))

    days = [day for day, decision in enumerate(simulate(30, seen, section), 1) if decision.action == "retrain"]
    assert days == [2, 3, 9, 10, 16, 17, 23, 24, 30]
    assert counted(simulate(30, seen, SECTION), "retrain") == 5


def test_thirty_days_of_no_drift_give_none() -> None:
    decisions = simulate(30, lambda day, _: check(day, drift=drift("none"), estimate=estimated(harm=False)), SECTION)
    assert {decision.action for decision in decisions} == {"none"}


def test_a_null_filled_feed_gives_no_retraining_and_one_alert() -> None:
    def seen(day: int, _: State) -> Observation:
        quality = (broken("null_filled", "feature_age"),) if day > 3 else ()
        return check(day, drift=drift("alarm"), quality=quality, performance=labelled(day - 1), estimate=estimated())

    begun = STATE.model_copy(update={"retrainings": (START,)})
    decisions = simulate(30, seen, MonitoringSection(cooldown_hours=24 * 4), begun)
    assert (counted(decisions, "retrain"), counted(decisions, "alert")) == (0, 1)
    assert decisions[3].action == "alert"
    assert decisions[3].reason == "The data is broken, and nothing is trained on it: null_filled."
    assert decisions[4].reason.endswith("People were told.")


def test_an_alert_is_repeated_when_it_worsens_and_in_another_episode() -> None:
    shares = [0.5, 0.5, 0.7, 0.8, 0.8, 0, 0.8, 0, 0, 0, 0.8]

    def seen(day: int, _: State) -> Observation:
        share = shares[day - 1]
        return check(day, quality=(broken("null_filled", "feature_age", share=share),) if share else ())

    decisions = simulate(len(shares), seen, SECTION)
    assert [day for day, decision in enumerate(decisions, 1) if decision.action == "alert"] == [1, 4, 11]
    assert len({decision.trigger for decision in decisions if decision.action == "alert"}) == 3


def test_another_column_is_worse() -> None:
    def seen(day: int, _: State) -> Observation:
        return check(day, quality=(broken("stuck", *["feature_a", "feature_b"][: 1 + (day > 2)]),))

    assert [decision.action for decision in simulate(4, seen, SECTION)] == ["alert", "none", "alert", "none"]


def test_a_champion_is_kept_fresh_in_non_inferiority_mode() -> None:
    section = MonitoringSection(freshness_days=10)
    state = STATE.model_copy(update={"trained": START - DAY, "since": START - DAY})
    decisions = simulate(30, lambda day, _: check(day, drift=drift("none")), section, state)
    days = [day for day, decision in enumerate(decisions, 1) if decision.action == "retrain"]
    assert days == [9, 19, 29]
    assert {decisions[day - 1].mode for day in days} == {"non_inferiority"}
    assert decisions[8].reason == "The champion was last trained 10 days ago; it is kept 10 days."


def test_harm_comes_before_freshness() -> None:
    assert at(alarms("alarm", "alarm"), freshness_days=1).mode == "superiority"


def test_age_does_not_train_on_broken_data() -> None:
    assert at([check(1, quality=(broken("empty"),))], freshness_days=1).action == "alert"


def test_people_may_be_told_instead_or_nothing_be_done() -> None:
    def seen(day: int, _: State) -> Observation:
        return check(day, drift=drift("alarm"))

    told = simulate(10, seen, MonitoringSection(retrain="alert"))
    assert [decision.action for decision in told] == ["none", "alert", *["none"] * 8]
    assert told[1].reason.endswith("A retraining is due; starting it is left to people.")
    assert {decision.action for decision in simulate(10, seen, MonitoringSection(retrain="never"))} == {"none"}
    never = [check(1, quality=(broken(),))]
    assert at(never, retrain="never").action == "alert"


def test_fifty_triggers_at_once_are_one() -> None:
    history = alarms("alarm", "alarm")
    moments = [timedelta(seconds=number) for number in range(50)]
    later = [[*history, check(2 + number / 86_400, drift=drift("alarm"))] for number in range(50)]
    decisions = [
        decide(seen, STATE, SECTION, START + 2 * DAY + moment) for seen, moment in zip(later, moments, strict=True)
    ]
    assert {decision.action for decision in decisions} == {"retrain"}
    assert len({decision.trigger for decision in decisions}) == 1
    started = STATE.model_copy(update={"running": True})
    assert {decide(seen, started, SECTION, START + 2 * DAY).action for seen in later} == {"none"}
    recorded = STATE.model_copy(update={"retrainings": (START + 2 * DAY,)})
    assert {decide(seen, recorded, SECTION, START + 2 * DAY).action for seen in later} == {"none"}
    next_one = decide(later[0], recorded, SECTION, START + 4 * DAY)
    assert next_one.action == "retrain"
    assert next_one.trigger != decisions[0].trigger


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="has no time zone"):
        decide([], STATE, SECTION, START.replace(tzinfo=None))
    with pytest.raises(ValidationError, match="timezone"):
        Observation(start=START.replace(tzinfo=None), end=START)


def test_records_survive_the_way_to_the_disk() -> None:
    for decision in (at(alarms("alarm", "alarm")), at([check(1, quality=(broken("stuck", "feature_a"),))])):
        assert Decision.model_validate_json(decision.model_dump_json()) == decision
    state = STATE.model_copy(update={"told": (Told(trouble="drift"),), "retrainings": (START,)})
    assert State.model_validate_json(state.model_dump_json()) == state


TROUBLES: tuple[Trouble, ...] = (
    "empty",
    "null_filled",
    "duplicated",
    "stuck",
    "shifted_unit",
    "wrong_schema",
    "traffic",
)


@st.composite
def observations(draw: st.DrawFn, day: int) -> Observation:
    """Return anything that a check may see."""
    kinds = draw(st.lists(st.sampled_from(TROUBLES), max_size=2))
    return check(
        day,
        days=draw(st.sampled_from([1, 7])),
        version=draw(st.sampled_from([2, 3, 3, 3])),
        quality=tuple(broken(kind) for kind in kinds),
        drift=draw(st.none() | st.sampled_from([drift("none"), drift("warning"), drift("alarm")])),
        performance=draw(st.none() | st.builds(labelled, st.just(day - 1), harm=st.booleans())),
        estimate=draw(st.none() | st.builds(estimated, valid=st.booleans(), harm=st.booleans())),
    )


SECTIONS = st.builds(
    MonitoringSection,
    sustained=st.sampled_from([(1, 1), (2, 3), (3, 5)]),
    retrain=st.sampled_from(["automatic", "alert", "never"]),
    cooldown_hours=st.sampled_from([0.0, 24.0, 60.0]),
    most_per_day=st.integers(0, 3),
    most_per_week=st.integers(0, 4),
    freshness_days=st.none() | st.sampled_from([1.0, 5.0]),
)


@settings(max_examples=40, deadline=None)
@given(st.data(), SECTIONS, st.sampled_from([4, 24]))
def test_whatever_is_seen_the_rules_hold(data: st.DataObject, section: MonitoringSection, hours: int) -> None:
    days = data.draw(st.integers(1, 9))
    history: list[Observation] = []
    state, retrained = STATE, list[datetime]()
    for day in range(1, days + 1):
        history.append(data.draw(observations(day)))
        for moment in (history[-1].end, history[-1].end + timedelta(hours=hours % 24)):
            running = data.draw(st.booleans())
            decision = decide(history, state.model_copy(update={"running": running}), section, moment)
            assert decision.reason
            assert bool(decision.trigger) == (decision.action != "none")
            assert decision.action != "alert" or decision.mode is None
            if decision.action == "retrain":
                assert not running
                assert section.retrain == "automatic"
                assert not history[-1].quality
                assert decision.evidence
                assert not retrained or moment - retrained[-1] >= timedelta(hours=section.cooldown_hours)
                retrained.append(moment)
            state = state.model_copy(update={"told": decision.told, "retrainings": tuple(retrained)})
    for most, period in ((section.most_per_day, DAY), (section.most_per_week, 7 * DAY)):
        for end in retrained:
            assert sum(end - period < moment <= end for moment in retrained) <= most


@settings(max_examples=15, deadline=None)
@given(st.data(), SECTIONS, st.randoms(use_true_random=False))
def test_the_same_records_in_any_order_give_the_same_decision(
    data: st.DataObject, section: MonitoringSection, shuffler: random.Random
) -> None:
    history = [data.draw(observations(day)) for day in range(1, data.draw(st.integers(2, 8)))]
    mixed = list(history)
    shuffler.shuffle(mixed)
    now = START + 9 * DAY
    assert decide(history, STATE, section, now) == decide(mixed, STATE, section, now)


def moved(column: str = "feature_age", effect: float = 0.2) -> DriftVerdict:
    found = Finding(column=column, test="location", effect=effect, p=1e-9, level="alarm", sentence="Moved.")
    return drift("alarm").model_copy(update={"findings": (found,)})


def proven(day: int, p: float = 0.5) -> Performance:
    """Return what labels say of the window that ends on a day: no loss, but for its p."""
    fine = {"harm": False, "p": p, "reference": ScoreEstimate(value=0.7, low=0.68, high=0.72)}
    return labelled(day).model_copy(update=fine)


@pytest.mark.parametrize(
    ("latest", "score", "action"),
    [
        (moved(), proven(2), "none"),
        (moved(effect=0.25), proven(2), "none"),
        (moved(effect=0.4), proven(2), "retrain"),
        (moved("feature_income"), proven(2), "retrain"),
        (moved(), proven(1), "retrain"),
        (moved(), proven(2, p=0.01), "retrain"),
        (moved(), proven(2).model_copy(update={"fair": False}), "retrain"),
        (moved(), proven(2).model_copy(update={"labelled": 100}), "retrain"),
        (moved(), None, "retrain"),
    ],
)
def test_drift_that_labels_show_to_do_no_harm_is_none(
    latest: DriftVerdict, score: Performance | None, action: str
) -> None:
    before = [check(2, drift=moved()), check(3, drift=latest)]
    decision = at([*before, check(4, drift=latest, performance=score)])
    assert decision.action == action
    if action == "none":
        assert decision.reason == "No evidence of harm: drift goes on, and labels show no loss by it."
