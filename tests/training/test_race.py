"""The race's decisions, as a pure function of what is known."""

from dataclasses import replace

from tests.training.problems import problem
from tiltyard.project.metrics import Task
from tiltyard.training.families import FAMILIES, facts_of
from tiltyard.training.problem import TrialRecord
from tiltyard.training.proposal import Arena, Standing, turned, usual_folds
from tiltyard.training.race import SCREENING_ROWS, Race

ARENA = Arena(FAMILIES, replace(facts_of(problem(Task.BINARY), 30_000)), 3, "roc_auc", None, 2)
USUAL = FAMILIES["boosting"].defaults(ARENA.facts)[0]


def record(number: int, family: str, score: float, **changes: object) -> TrialRecord:
    content = {
        "number": number,
        "family": family,
        "parameters": FAMILIES[family].defaults(ARENA.facts)[0],
        "state": "complete",
        "score": score,
        "fold_scores": (score,),
        "folds": (0,),
        "rows": 4000,
        "screening": True,
        "seconds": 0.5,
    }
    return TrialRecord.model_validate({**content, **changes})


def screened(**scores: float) -> tuple[TrialRecord, ...]:
    return tuple(record(number, family, score) for number, (family, score) in enumerate(scores.items()))


EVERY = screened(
    dummy=0.5, linear=0.7, tree=0.7, boosting=0.9, knn=0.7, forest=0.893, extra_trees=0.7, mlp=0.7, svm=0.7
)


def propose(*history: TrialRecord, left: float | None = 60.0) -> object:
    return Race(1).propose(Standing(ARENA, len(history), history, (), left))


def test_the_cheapest_default_comes_first_on_few_rows() -> None:
    first = Race(1).propose(Standing(ARENA, 0, (), (), 60.0))
    assert first is not None
    assert (first.family, first.rows, first.folds, first.screening) == ("dummy", SCREENING_ROWS, (0,), True)


def test_only_a_good_and_cheap_family_gets_a_second_default() -> None:
    second = Race(1).propose(Standing(ARENA, 9, EVERY, (), 60.0))
    assert second is not None
    assert second.parameters == FAMILIES["boosting"].defaults(ARENA.facts)[1]
    dear = tuple(replace_seconds(one, 20.0) for one in EVERY)
    assert Race(1).propose(Standing(ARENA, 9, dear, (), 60.0)) is None


def replace_seconds(one: TrialRecord, seconds: float) -> TrialRecord:
    return one.model_copy(update={"seconds": seconds})


def everything_screened() -> tuple[TrialRecord, ...]:
    more = [
        record(20 + number, "boosting", 0.88, parameters=parameters)
        for number, parameters in enumerate(FAMILIES["boosting"].defaults(ARENA.facts)[1:])
    ]
    return (*EVERY, *more)


def test_the_best_is_promoted_to_all_rows() -> None:
    best = Race(1).propose(Standing(ARENA, 11, everything_screened(), (), 60.0))
    assert best is not None
    assert (best.family, best.rows, best.screening, best.parameters) == ("boosting", None, False, USUAL)


def cut(number: int, family: str) -> TrialRecord:
    """A first look that ended for lack of time."""
    return TrialRecord(
        number=number,
        family=family,
        parameters=FAMILIES[family].defaults(ARENA.facts)[0],
        state="unfinished",
        screening=True,
    )


def test_a_family_cut_for_lack_of_time_is_looked_at_once_more_on_fewer_rows() -> None:
    weak = screened(dummy=0.5, linear=0.7, tree=0.7)
    history = (*weak, cut(3, "knn"), cut(4, "forest"), cut(5, "boosting"))
    again = Race(1).propose(Standing(ARENA, 6, history, (), 5.0))
    assert again is not None
    assert (again.family, again.rows, again.screening) == ("boosting", SCREENING_ROWS // 4, True)
    later = Race(1).propose(Standing(ARENA, 7, (*history, cut(6, "boosting")), (), 5.0))
    assert later is not None
    assert later.family == "forest"


def test_a_strong_family_has_a_score_or_there_are_none_in_the_race() -> None:
    weak = screened(dummy=0.5, linear=0.7)
    only_weak = replace(ARENA, families={name: FAMILIES[name] for name in ("dummy", "linear")})
    assert Standing(ARENA, 2, weak, (), 5.0).lacks_strong
    assert Standing(ARENA, 3, (*weak, cut(2, "boosting")), (), 5.0).lacks_strong
    assert not Standing(ARENA, 9, EVERY, (), 5.0).lacks_strong
    assert not Standing(only_weak, 2, weak, (), 5.0).lacks_strong


def test_where_time_is_scarce_a_strong_leader_is_run_in_full_at_once() -> None:
    history = screened(dummy=0.5, linear=0.7, tree=0.7, boosting=0.9)
    cost = Standing(ARENA, 4, history, (), 60.0).seconds("boosting", USUAL)
    assert cost is not None
    ample, scarce, too_little = (
        Race(1).propose(Standing(ARENA, 4, history, (), share * cost)) for share in (6.0, 2.0, 1.0)
    )
    assert ample is not None
    assert (ample.family, ample.screening) == ("knn", True)
    assert scarce is not None
    assert (scarce.family, scarce.screening, len(scarce.folds)) == ("boosting", False, 1)
    assert too_little is not None
    assert too_little.screening


def test_steps_stay_inside_the_space_and_repeat() -> None:
    full = record(
        12, "boosting", 0.91, screening=False, rows=30_000, folds=(0, 1, 2), fold_scores=(0.9, 0.91, 0.92), seconds=6.0
    )
    standing = Standing(ARENA, 40, (*everything_screened(), full), (), 600.0)
    step = Race(1).propose(standing)
    assert step is not None
    assert step == Race(1).propose(standing)
    assert step.parameters != USUAL


def test_the_polishing_run_comes_when_little_else_fits() -> None:
    full = record(12, "boosting", 0.91, screening=False, rows=30_000, seconds=2.0)
    polish = Race(1).propose(Standing(ARENA, 40, (*everything_screened(), full), (), 8.0))
    assert polish is not None
    assert polish.parameters == {**USUAL, "rate": 0.1 / 3.0}
    assert polish.eager


def test_without_a_clock_the_last_trials_polish() -> None:
    arena = replace(ARENA, trials=42)
    full = record(12, "boosting", 0.91, screening=False, rows=30_000)
    polish = Race(1).propose(Standing(arena, 41, (*everything_screened(), full), (), None))
    assert polish is not None
    assert polish.parameters["rate"] == 0.1 / 3.0


def test_folds_are_fewer_on_large_tables_and_turn() -> None:
    assert [usual_folds(rows, 5) for rows in (500, 20_000, 100_000, 10**6)] == [5, 3, 2, 1]
    assert usual_folds(500, 10) == 10
    assert {turned(3, number)[0] for number in range(3)} == {0, 1, 2}
