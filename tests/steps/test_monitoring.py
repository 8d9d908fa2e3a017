"""One check of the champion, from the prediction log to the record of it and its pages."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.steps.conftest import table
from tests.traffic import Traffic, copy_of, trained_project
from tiltyard.errors import AbsentError, ProjectError, UsageError
from tiltyard.evaluation.figures import Figures, figures_key
from tiltyard.monitoring import watching
from tiltyard.monitoring.charts import draw_charts
from tiltyard.monitoring.gauges import figures_of
from tiltyard.monitoring.history import History
from tiltyard.monitoring.policy import Decision
from tiltyard.monitoring.quality import QualityFinding
from tiltyard.monitoring.shelf import latest_page
from tiltyard.monitoring.standard import standard_of
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry import approvals
from tiltyard.registry.tracking import RUN_KEY
from tiltyard.steps import acting, monitoring_pages
from tiltyard.steps.monitoring import Checked, challenger_of, check_champion, is_training
from tiltyard.steps.place import Place
from tiltyard.steps.window import end_of_window, see, watched, window_until
from tiltyard.storage.folder import FolderStore

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

DAY = timedelta(days=1)
_DRAW, _CHARTS, _ESTIMATE = monitoring_pages._report, draw_charts, watching.estimated
WATCH = {"window": "1d", "labels_within": "2d", "cooldown_hours": 0, "min_rows": 500}


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project."""
    return trained_project(tmp_path_factory.mktemp("watched"))


@pytest.fixture
def start() -> datetime:
    """The moment from which on the champion is asked: after it became champion."""
    return datetime.now(UTC) + timedelta(minutes=1)


@pytest.fixture
def make(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Place]:
    """Return a function that copies the project with other keys of the section `monitoring`.

    What takes seconds is left out: the estimate, and drawing.
    """
    monkeypatch.setenv("TILTYARD_STORE", "")
    monkeypatch.setenv("TILTYARD_HOME", "")
    monkeypatch.setattr(monitoring_pages, "_report", lambda *_: "<html>drawn</html>")
    monkeypatch.setattr(monitoring_pages, "draw_charts", lambda *_: {"score": b"a picture"})
    monkeypatch.setattr(watching, "estimated", lambda *_: None)
    return lambda **keys: copy_of(pattern, tmp_path, monitoring=WATCH | keys)


def check(place: Place, end: datetime, **more: object) -> Checked:
    return check_champion(place.workplace.project_file, now=end, **more)  # type: ignore[arg-type]


def moved(seed: int, rows: int = 1500) -> pd.DataFrame:
    """Return rows that the champion never saw the like of."""
    frame = table(rows, seed=seed)
    return frame.assign(usage=frame["usage"] + 1.5)


def test_a_good_window_is_quiet_and_kept_once(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    Traffic(place).ask(table(1500, seed=7), start, start + DAY)
    first = check(place, start + DAY, reason="daily")
    assert (first.summary.state, first.decision.action) == ("quiet", "none")
    assert (first.check.rows, first.check.version, first.check.drift.reference_rows) == (1500, 1, 750)
    assert first.check.accepted
    kept = History(place.store, "churn").latest()
    assert kept is not None
    assert kept.sampled
    again = check(place, start + DAY, reason="once more")
    assert again.check == first.check
    assert len(History(place.store, "churn").checks()) == 1
    _assert_mlflow_has_it(place, again)
    page = latest_page(place.store, "churn", place.workplace.home / "reports")
    assert "Nothing has changed beyond what is usual" in page.read_text()
    assert page.with_name("evidently.html").read_text() == "<html>drawn</html>"


def _assert_mlflow_has_it(place: Place, again: Checked) -> None:
    assert again.pages.run is not None
    assert again.pages.problem == ""
    client = place.registry.client
    experiment = client.get_experiment_by_name("churn.monitoring")
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_id == again.pages.run.run]
    assert len(runs) == 1
    tags = runs[0].data.tags
    assert (tags["tiltyard.version"], tags["tiltyard.state"], tags["tiltyard.decision"]) == ("1", "quiet", "none")
    assert tags["tiltyard.window_end"] == again.check.end.isoformat()
    assert RUN_KEY in tags
    names = {file.path for file in client.list_artifacts(again.pages.run.run)}
    assert names == {"page.html", "evidently.html", "charts"}


@pytest.mark.exhaustive
def test_drift_that_lasts_asks_for_one_retraining(make: Callable[..., Place], start: datetime) -> None:
    place, actions = make(), []
    traffic = Traffic(place)
    for day in range(3):
        traffic.ask(moved(day), start + day * DAY, start + (day + 1) * DAY)
        checked = check(place, start + (day + 1) * DAY)
        assert checked.summary.state == "alarm"
        actions.append(checked.decision.action)
        if acting.claim(place, checked, now=start + (day + 1) * DAY):
            acting.done(place, checked)
    assert actions[:2] == ["none", "retrain"]
    assert checked.check.drift.findings[0].level == "alarm"
    notice = acting.monitoring_notice(check(place, start + 2 * DAY), started=False)
    assert notice is None  # a look back: later windows were checked


def test_a_repeated_check_decides_the_same_and_acts_once(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    traffic = Traffic(place)
    for day in range(2):
        traffic.ask(moved(day), start + day * DAY, start + (day + 1) * DAY)
        first = check(place, start + (day + 1) * DAY)
    assert acting.claim(place, first) == (first,)
    again = check(place, start + 2 * DAY)
    assert again.decision == first.decision
    assert again.decision.action == "retrain"
    assert not acting.claim(place, again)
    later = datetime.now(UTC) + timedelta(minutes=5)
    assert acting.claim(place, again, now=later)  # whoever claimed it was cut off
    acting.done(place, again)
    assert not acting.claim(place, again, now=later)
    notice = acting.monitoring_notice(again, "http://page", started=False)
    assert notice is not None
    assert (notice.event, notice.subject, notice.page) == ("retraining", again.decision.trigger, "http://page")
    assert "`tiltyard train --mode superiority`" in notice.text


def test_what_was_claimed_and_cut_off_is_carried_out_by_the_next_check(
    make: Callable[..., Place], start: datetime
) -> None:
    place = make(sustained=[1, 1])
    traffic = Traffic(place)
    traffic.ask(moved(0), start, start + DAY)
    first = check(place, start + DAY)
    claimed = datetime.now(UTC)
    assert acting.claim(place, first, now=claimed) == (first,)  # and there it ended
    traffic.ask(table(1500, seed=1), start + DAY, start + 2 * DAY)
    second = check(place, start + 2 * DAY)
    assert second.decision.action == "none"
    assert acting.claim(place, second, now=claimed + timedelta(minutes=1)) == ()
    (left,) = acting.claim(place, second, now=claimed + timedelta(hours=1))
    assert (left.decision, left.check.window, left.summary) == (first.decision, first.check.window, first.summary)
    broken = QualityFinding(kind="stuck", columns=("feature_age",), share=1.0, sentence="It stands still.")
    spoiled = second.model_copy(update={"check": second.check.model_copy(update={"quality": (broken,)})})
    assert acting.claim(place, spoiled, now=claimed + timedelta(hours=1)) == ()
    acting.done(place, left)
    assert acting.claim(place, second, now=claimed + timedelta(hours=2)) == ()


def test_what_nobody_wants_any_more_is_not_carried_out(make: Callable[..., Place], start: datetime) -> None:
    place = make(sustained=[1, 1])
    Traffic(place).ask(moved(0), start, start + DAY)
    first, claimed = check(place, start + DAY), datetime.now(UTC)
    assert acting.claim(place, first, now=claimed)
    place.ledger.append("promoted", actor="eve", version=2, replaces=1, reason="better")
    quiet = first.model_copy(
        update={"check": first.check.model_copy(update={"decision": Decision(action="none", reason="")})}
    )
    assert acting.claim(place, quiet, now=claimed + timedelta(hours=1)) == ()
    assert [action.done for action in History(place.store, "churn").actions()] == [True]


def test_a_null_filled_feed_is_told_once_and_never_trains(make: Callable[..., Place], start: datetime) -> None:
    place, told = make(), []
    traffic = Traffic(place)
    for day in range(3):
        frame = table(1500, seed=day).assign(debt=np.nan)
        traffic.ask(frame, start + day * DAY, start + (day + 1) * DAY)
        checked = check(place, start + (day + 1) * DAY)
        assert checked.summary.state == "broken"
        assert [one.kind for one in checked.check.quality] == ["null_filled"]
        told.append(checked.decision.action)
        if acting.claim(place, checked):
            acting.done(place, checked)
    assert told == ["alert", "none", "none"]
    assert not any(action.action == "retrain" for action in History(place.store, "churn").actions())


def test_labels_that_come_late_prove_a_loss(
    make: Callable[..., Place], start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make()
    traffic, frame = Traffic(place), table(1500, seed=5)
    ids = traffic.ask(frame, start, start + DAY)
    assert check(place, start + DAY).check.performance == ()
    wrong = np.where(np.random.default_rng(0).random(len(frame)) < 0.4, "yes", frame["left"])
    traffic.tell(ids, list(wrong), start + 1.5 * DAY)
    traffic.ask(table(1500, seed=6), start + DAY, start + 2 * DAY)
    monkeypatch.setattr(watching, "estimated", _ESTIMATE)
    checked = check(place, start + 2 * DAY)
    score = checked.check.performance[-1]
    assert (score.version, score.labelled, score.rows, score.coverage) == (1, 1500, 1500, 1.0)
    assert (score.start, score.end) == (start, start + DAY)
    assert score.harm
    assert (checked.decision.action, checked.decision.mode) == ("retrain", "superiority")
    assert checked.summary.state == "alarm"
    assert checked.check.estimate is not None


def test_a_check_reads_a_bounded_number_of_records_of_hourly_checks(
    make: Callable[..., Place], start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, read = make(window="1d", labels_within="5d"), list[str]()
    Traffic(place).ask(table(600, seed=7), start, start + DAY)
    first = check(place, start + DAY).check
    history = History(place.store, "churn")
    for hour in range(1, 24 * 7):
        end = start + DAY - timedelta(hours=hour)
        history.keep(first.model_copy(update={"start": end - DAY, "end": end}))
    check(place, start + DAY)  # copies what it reads, day by day
    real = FolderStore.read

    def noted(store: FolderStore, key: str) -> bytes:
        read.append(key)
        return real(store, key)

    monkeypatch.setattr(FolderStore, "read", noted)
    check(place, start + DAY)
    assert len([key for key in read if "/checks/" in key]) <= 24
    assert len([key for key in read if "/days/" in key]) <= 8
    assert len([key for key in read if key.startswith("monitoring/churn/")]) <= 24 + 8 + 1


def test_rows_that_come_to_the_store_late_count_for_their_labels(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    traffic, frame = Traffic(place), table(1500, seed=5)
    ids = traffic.ask(frame[:1000], start, start + DAY)
    assert check(place, start + DAY).check.rows == 1000
    ids += traffic.ask(frame[1000:], start, start + DAY, name="late")
    traffic.tell(ids, list(frame["left"]), start + 1.5 * DAY)
    traffic.ask(table(1500, seed=6), start + DAY, start + 2 * DAY)
    score = check(place, start + 2 * DAY).check.performance[-1]
    assert (score.start, score.rows, score.labelled) == (start, 1500, 1500)


@pytest.mark.exhaustive
def test_drift_that_labels_show_to_be_harmless_is_learnt(make: Callable[..., Place], start: datetime) -> None:
    place = make(sustained=[3, 3])
    traffic = Traffic(place)
    found = []
    for day in range(7):
        frame = table(1200, seed=20 + day)
        frame["age"] = np.clip(frame["age"] + 5, 18, 79)
        ids = traffic.ask(frame, start + day * DAY, start + (day + 1) * DAY)
        traffic.tell(ids, list(frame["left"]), start + (day + 1) * DAY, name=f"l{day}")
        found.append(check(place, start + (day + 1) * DAY).check)
    assert found[0].drift.level == "alarm"
    assert [len(one.vindicated) for one in found[1:5]] == [1, 1, 1, 1]
    assert found[-1].calibration.ready
    assert found[-1].drift.level != "alarm"


def test_small_windows_are_judged_together(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    traffic = Traffic(place)
    for day in range(2):
        traffic.ask(table(300, seed=day), start + day * DAY, start + (day + 1) * DAY)
        checked = check(place, start + (day + 1) * DAY)
    assert (checked.check.drift.pooled, checked.check.drift.rows, checked.check.rows) == (2, 600, 300)


def test_windows_are_asked_for_in_time_or_rows(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    Traffic(place).ask(table(2000, seed=1), start, start + 2 * DAY)
    end = start + 2 * DAY
    version = watched(place, end)

    def rows(window: str | None = None, since: datetime | None = None) -> int:
        until = end_of_window(window, since, place, end)
        return see(place, version, window_until(until, window, since, place, 1)).sample.sample.rows

    assert (rows(), rows("1d"), rows("600")) == (1000, 1000, 600)
    assert (rows("12h", start), rows(since=start)) == (500, 2000)
    with pytest.raises(UsageError, match="yet to come"):
        check(place, end, since=end + DAY)
    with pytest.raises(UsageError, match="`600` rows are counted back"):
        check(place, end, since=start, window="600")
    with pytest.raises(UsageError, match="`--window soon`"):
        check(place, end, window="soon")
    with pytest.raises(AbsentError, match="had no champion"):
        check(place, datetime(2020, 1, 1, tzinfo=UTC))


def test_a_look_back_sets_nothing_in_motion(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    traffic = Traffic(place)
    traffic.ask(moved(0), start, start + DAY)
    traffic.ask(table(1500, seed=1), start + DAY, start + 2 * DAY)
    latest = check(place, start + 2 * DAY)
    back = check(place, start + 2 * DAY, since=start, window="1d")
    assert Figures.model_validate_json(place.store.read(figures_key("churn"))) == figures_of(latest.check)
    assert back.summary.state == "alarm"
    assert (back.decision.action, acting.claim(place, back)) == ("none", ())
    assert "look back" in back.decision.reason


def test_the_best_that_a_champion_was_tested_for_is_handed_on(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    traffic = Traffic(place)
    traffic.ask(table(600, seed=7), start, start + DAY)
    first = check(place, start + DAY).check
    assert (first.metric, first.standard) == ("roc_auc", None)
    assert first.reference is not None
    best = first.reference.model_copy(update={"value": 0.99, "low": 0.985, "high": 0.995})
    before = {"version": 7, "start": start - 2 * DAY, "end": start - DAY, "reference": best}
    History(place.store, "churn").keep(first.model_copy(update=before))
    traffic.ask(table(600, seed=8), start + DAY, start + 2 * DAY, name="s")
    assert check(place, start + 2 * DAY).check.standard == best
    late = start + 400 * DAY  # beyond the look-back: only the latest check is known
    traffic.ask(table(600, seed=9), late - DAY, late, name="t")
    assert check(place, late).check.standard == best
    other = first.model_copy(update={"metric": "log_loss", "reference": best})
    assert standard_of([other], 1, "roc_auc") is None


def test_what_waits_to_become_champion_is_no_training_run(make: Callable[..., Place]) -> None:
    place = make()
    assert (challenger_of(place), is_training(place)) == (None, False)
    started = place.ledger.append(
        "rollout_started",
        actor="eve",
        version=2,
        replaces=1,
        reason="a winner",
        evidence={"settings": RolloutSection(strategy="canary").model_dump_json()},
    )
    rolled = challenger_of(place)
    assert rolled is not None
    assert (rolled.asks, rolled.sentence.startswith("version 2 answers")) == (False, True)
    place.ledger.append("rollout_ended", actor="eve", version=2, reason="no", evidence={
        "rollout": started.sequence, "outcome": "returned",
    })  # fmt: skip
    assert challenger_of(place) is None
    approvals.ask(place.ledger, 3, replaces=1, actor="run", question="Why?", verdict="Better.", hours=48, evidence={})
    asked = challenger_of(place)
    assert asked is not None
    assert (asked.asks, asked.sentence.startswith("version 3 waits for a decision until")) == (True, True)
    assert not is_training(place)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("default")
def test_evidently_draws_the_same_verdict(
    make: Callable[..., Place], start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make()
    monkeypatch.setattr(monitoring_pages, "_report", _DRAW)
    monkeypatch.setattr(monitoring_pages, "draw_charts", _CHARTS)
    Traffic(place).ask(moved(0), start, start + DAY)
    check(place, start + DAY)
    page = latest_page(place.store, "churn", place.workplace.home / "reports")
    assert "usage" in page.with_name("evidently.html").read_text()


def test_a_classifier_is_asked_on_demand(make: Callable[..., Place], start: datetime, tmp_path: Path) -> None:
    place = make()
    Traffic(place).ask(moved(7), start, start + DAY)
    assert check(place, start + DAY).check.domain is None
    asked = check(place, start + DAY, domain=True)
    assert asked.check.domain is not None
    assert asked.check.domain.columns[0][0] == "feature_usage"
    assert "given away by `usage`" in asked.summary.together
    assert "All columns together" in latest_page(place.store, "churn", tmp_path / "page").read_text("utf-8")


def test_a_column_that_the_champion_does_not_know_is_named(make: Callable[..., Place], start: datetime) -> None:
    place = make(ignore=["usag"])
    with pytest.raises(ProjectError, match=r"`monitoring.ignore` names `usag`, .* Did you mean `usage`"):
        check(place, start + DAY)


def test_a_part_of_a_window_in_another_unit_is_broken_data(make: Callable[..., Place], start: datetime) -> None:
    place = make()
    traffic = Traffic(place)
    traffic.ask(table(1100, seed=7), start, start + DAY / 2)
    other = table(400, seed=8)
    traffic.ask(other.assign(usage=100 * other["usage"]), start + DAY / 2, start + DAY)
    found = check(place, start + DAY)
    assert (found.summary.state, found.decision.action) == ("broken", "alert")
    assert [(one.kind, one.columns) for one in found.check.quality] == [("shifted_unit", ("feature_usage",))]


def test_a_column_of_few_values_that_stands_still_is_stuck_after_four_good_windows(
    make: Callable[..., Place], start: datetime
) -> None:
    place = make()
    traffic = Traffic(place)
    for day in range(4):
        traffic.ask(table(600, seed=day), start + day * DAY, start + (day + 1) * DAY)
        assert check(place, start + (day + 1) * DAY).check.accepted
    traffic.ask(table(600, seed=9).assign(city="Winterthur"), start + 4 * DAY, start + 5 * DAY)
    found = check(place, start + 5 * DAY).check.quality
    assert [(one.kind, one.columns) for one in found] == [("stuck", ("feature_city",))]
