"""A replay: a turn of the world is found and recovered from, a quiet world is left alone, nobody sees the future."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.steps.replaying.conftest import first_default
from tests.steps.replaying.worlds import CONTRACT, history, project
from tiltyard.errors import DataError, ProjectError, UsageError
from tiltyard.monitoring.observation import Observation
from tiltyard.steps.replaying import trainer
from tiltyard.steps.replaying.clock import moment, stamp, windows_between
from tiltyard.steps.replaying.outcome import Replay
from tiltyard.steps.replaying.pages import draw_replay, figures, replay_page
from tiltyard.steps.replaying.replay import Plan, as_first_seen, planned, replay
from tiltyard.steps.replaying.strategies import Moment, schedule
from tiltyard.steps.replaying.stream import Stream, make_stream
from tiltyard.steps.replaying.trainer import Trainer

TURN = 40
DAYS = 100


@pytest.fixture(scope="module")
def turned() -> Replay:
    """A history that turns round on a day, replayed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "search", first_default)
        plan = Plan(first=0.25, labels_after="5d", schedules=("monthly",), ungated=True, history="21d")
        return replay(history(DAYS, turns=TURN), project(), CONTRACT, plan, where="a history")


def test_the_policy_trains_after_a_turn_and_recovers(turned: Replay) -> None:
    policy, never = turned.track("policy"), turned.track("never")
    turn = moment(np.datetime64("2026-01-01")) + timedelta(days=TURN)
    begun = [one.at for one in policy.retrainings]
    assert begun
    assert turn < begun[0] <= turn + timedelta(days=7 + 5 + 7)
    assert policy.promotions >= 1
    last, left = policy.windows[-2].score, never.windows[-2].score
    assert last is not None
    assert left is not None
    assert last.low > 0.8
    assert left.high < 0.4
    gain = turned.gain("policy")
    assert gain is not None
    assert gain > 0.2


def test_before_the_turn_nothing_is_trained(turned: Replay) -> None:
    for one in turned.track("policy").decisions:
        if one.at <= moment(np.datetime64("2026-01-01")) + timedelta(days=TURN):
            assert one.action == "none", one


def test_all_strategies_begin_alike(turned: Replay) -> None:
    first = [track.windows[0] for track in turned.tracks]
    assert all(one == first[0] for one in first)
    assert [track.strategy for track in turned.tracks] == ["never", "monthly", "monthly (no gate)", "policy"]


def test_a_schedule_trains_when_it_is_due_and_the_same_rows_once(turned: Replay) -> None:
    gated, free = turned.track("monthly").retrainings, turned.track("monthly (no gate)").retrainings
    assert [one.at for one in gated] == [one.at for one in free]
    assert len(gated) == 2  # the history has 75 days after the first rows
    assert [one.model for one in gated] == [one.model for one in free]
    assert all(one.promoted for one in free)


@pytest.mark.usefixtures("quick_search")
def test_a_quiet_world_is_left_alone() -> None:
    quiet = history(30, a_day=120, seed=8)
    plan = Plan(first=1 / 3, labels_after="2d", window="1d")
    found = replay(quiet, project(min_rows=120), CONTRACT, plan, where="a history")
    assert found.track("policy").retrainings == ()
    assert len(found.track("policy").decisions) == 20
    assert found.gain("policy") == 0.0


@pytest.mark.usefixtures("quick_search")
def test_the_same_history_is_replayed_alike() -> None:
    once, again = (
        replay(history(24, turns=14), project(), CONTRACT, Plan(labels_after="1d"), where="x") for _ in range(2)
    )
    assert once == again


def test_a_real_search_is_deterministic_by_its_trials() -> None:
    stream = make_stream(history(8), planned(project(), Plan(trials=1)), CONTRACT, first=0.5,
                         delay=timedelta(days=1), where="x")  # fmt: skip
    trained = Trainer(stream).train((0, stream.first))
    assert trained.model.family == "linear"
    assert trained.score.value > 0.8


@pytest.mark.usefixtures("quick_search")
def test_nobody_sees_the_future() -> None:
    stream = _stream(days=20, first=0.25, delay=timedelta(days=3))
    now = stream.start + timedelta(days=6)
    low, high = stream.known(now)
    assert low == 0
    assert moment(stream.times[high - 1]) < now - timedelta(days=3) <= moment(stream.times[high])
    assert stream.known(stream.start) == (0, stream.first)
    trained = Trainer(stream).train((low, high))
    assert len(trained.jury.y) + len(trained.seen) == high


@pytest.mark.usefixtures("quick_search")
def test_models_learn_from_as_far_back_as_the_project_or_the_plan_says() -> None:
    data = project().data.model_copy(update={"history": "6d"})
    asked = project().model_copy(update={"data": data})
    shares = {}
    for plan in (Plan(), Plan(history="3d"), Plan(history="90d")):
        stream = make_stream(history(20), planned(asked, plan), CONTRACT, first=0.5, delay=timedelta(days=2), where="x")
        trained = Trainer(stream).train(stream.known(stream.start + timedelta(days=8)))
        assert trained.rows == (0, 16 * 80)
        shares[plan.history] = len(trained.jury.y) + len(trained.seen)
    assert shares == {None: 6 * 80 + 1, "3d": 3 * 80 + 1, "90d": 16 * 80}


@pytest.mark.usefixtures("quick_search")
def test_a_replay_goes_as_far_back_as_its_project_unless_told_otherwise() -> None:
    data = project().data.model_copy(update={"history": "9d"})
    asked = project().model_copy(update={"data": data})
    plan = Plan(first=0.5, labels_after="1d", schedules=("5d",))
    found, other = (
        replay(history(24), asked, CONTRACT, one, where="x") for one in (plan, plan._replace(history="12d"))
    )
    assert (found.history, other.history) == ("9d", "12d")
    assert found == replay(history(24), project(), CONTRACT, plan._replace(history="9d"), where="x")
    assert found.tracks != other.tracks
    assert "the last 9d" in replay_page(found)


def test_rows_are_put_in_the_order_of_time_and_those_without_are_left_out() -> None:
    frame = history(10)
    mixed = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    mixed.loc[3, "seen"] = None
    mixed.loc[5, "left"] = None
    stream = make_stream(mixed, project(), CONTRACT, first=0.3, delay=timedelta(days=1), where="x")
    assert len(stream.times) == len(frame) - 2
    assert (np.diff(stream.times) >= np.timedelta64(0)).all()


def test_what_cannot_be_replayed_is_said() -> None:
    with pytest.raises(DataError, match="100 are needed"):
        _stream(days=5, first=0.1, delay=timedelta(days=1))
    with pytest.raises(UsageError, match="no share"):
        _stream(days=5, first=1.5, delay=timedelta(days=1))
    timeless = project().model_copy(update={"data": project().data.model_copy(update={"time": None})})
    with pytest.raises(ProjectError, match="no time column"):
        make_stream(history(5), timeless, CONTRACT, first=0.5, delay=timedelta(days=1), where="x")
    with pytest.raises(UsageError, match="no schedule"):
        schedule("seldom", datetime(2026, 1, 1, tzinfo=UTC), "superiority")
    with pytest.raises(UsageError, match="windows"):
        list(windows_between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), timedelta(minutes=1)))


def test_a_schedule_is_due_once_a_period() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    weekly = schedule("weekly", start, "superiority")
    begun: list[datetime] = []
    for day in range(1, 30):
        now = start + timedelta(days=day)
        decision = weekly.decide(Moment(now, 1, start, tuple(begun), _never_look))
        begun += [now] if decision.action == "retrain" else []
    assert [(one - start).days for one in begun] == [7, 14, 21, 28]


def test_a_guessed_contract_promises_only_what_was_seen() -> None:
    frame = history(4).assign(city="Olten")
    seen = as_first_seen(CONTRACT, frame)
    assert seen.column("city").levels == ("Olten",)
    assert seen.column("left").levels == ("no", "yes")


def test_moments_and_times_are_each_others_reverse() -> None:
    now = datetime(2026, 3, 29, 1, 30, 0, 5, tzinfo=UTC)
    assert moment(stamp(now)) == now


def test_a_page_tells_of_all_strategies(turned: Replay) -> None:
    page = replay_page(turned)
    assert draw_replay(turned).startswith(b"\x89PNG")
    for track in turned.tracks:
        assert track.strategy in page
        assert figures(turned, track)[3] == str(len(track.retrainings))
    assert "took over" in page
    assert Replay.model_validate_json(turned.model_dump_json()) == turned


def _stream(*, days: int, first: float, delay: timedelta) -> Stream:
    return make_stream(history(days), project(), CONTRACT, first=first, delay=delay, where="x")


def _never_look() -> Observation:
    raise AssertionError("a schedule looks at nothing")
