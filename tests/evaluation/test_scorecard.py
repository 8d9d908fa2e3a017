"""The scorecard, importance, pictures and card of real models of each task."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray
from scipy.special import expit, softmax

from tiltyard.bundle.model import Columns, Predictions
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import DataError
from tiltyard.evaluation.baseline import compare_with_constant, constant_answers
from tiltyard.evaluation.card import CardFacts, render_card
from tiltyard.evaluation.curves import roc
from tiltyard.evaluation.gate import judge
from tiltyard.evaluation.importance import permutation_importance
from tiltyard.evaluation.paired import compare
from tiltyard.evaluation.plots import draw_plots
from tiltyard.evaluation.records import Evidence, Scorecard, Verdict
from tiltyard.evaluation.scorecard import evaluate
from tiltyard.project.gates import GatesSection
from tiltyard.project.metrics import DEFAULT_METRIC, Task
from tiltyard.project.model import DataSection, Project, SqlSource, TaskSection

HOSTILE = "<script>alert('$x$')</script>"
Predict = Callable[[Columns], Predictions]


@dataclass(frozen=True)
class World:
    """A table, the truth and a model of one task."""

    contract: Contract
    columns: dict[str, NDArray[np.generic]]
    y: NDArray[np.int64] | NDArray[np.float64]
    predict: Predict

    def evaluate(self) -> Scorecard:
        primary = DEFAULT_METRIC[self.contract.task]
        return evaluate(self.predict, self.columns, self.y, contract=self.contract, primary=primary)


def world(task: Task, rows: int = 800) -> World:
    """Return a world whose truth depends on `strong` and a little on `weak`, and not on `useless`."""
    rng = np.random.default_rng(5)
    names = ("strong", "weak", "useless")
    columns: dict[str, NDArray[np.generic]] = {name: rng.normal(size=rows) for name in names}
    columns[HOSTILE] = rng.choice(np.array(["a", HOSTILE, None], dtype=object), rows)
    classes = {Task.BINARY: ("no", HOSTILE), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}[task]
    target = Column(name="y", kind=Kind.CATEGORY if classes else Kind.NUMBER, role=Role.TARGET)
    features = [Column(name=name, kind=Kind.NUMBER) for name in names]
    features.append(Column(name=HOSTILE, kind=Kind.CATEGORY, nullable=True, levels=("a", HOSTILE)))
    contract = Contract(task=task, columns=(*features, target), classes=classes)

    def signal(some: Columns) -> NDArray[np.float64]:
        return np.asarray(2 * some["strong"] + 0.7 * some["weak"], dtype=np.float64)

    def predict(some: Columns) -> Predictions:
        if task is Task.REGRESSION:
            return Predictions(values=signal(some))
        if task is Task.BINARY:
            return Predictions(np.column_stack([1 - expit(signal(some)), expit(signal(some))]))
        return Predictions(softmax(np.outer(signal(some), [-1.0, 0.0, 1.0]), axis=1))

    if task is Task.REGRESSION:
        return World(contract, columns, signal(columns) + rng.normal(size=rows), predict)
    bounds = predict(columns).array.cumsum(axis=1)
    y = (bounds < rng.random((rows, 1))).sum(axis=1).astype(np.int64)
    return World(contract, columns, y, predict)


@pytest.mark.parametrize("task", list(Task))
def test_a_scorecard_is_complete_and_survives_json(task: Task) -> None:
    card = world(task).evaluate()
    assert card.rows == 800
    assert card.primary in card.metrics
    assert [name for name, _ in card.importance[:2]] == ["strong", "weak"]
    assert card.weakest
    if task.is_classification:
        assert sum(sum(row) for row in card.confusion) == 800
        assert sum(one.rows for one in card.report) == 800
    assert Scorecard.model_validate_json(card.model_dump_json()) == card


def test_the_same_seed_gives_the_same_scorecard() -> None:
    assert world(Task.BINARY).evaluate() == world(Task.BINARY).evaluate()


def test_a_model_that_answers_nan_is_refused_with_the_row() -> None:
    some = world(Task.REGRESSION)
    answers = np.zeros(800)
    answers[17] = np.nan
    with pytest.raises(DataError, match="nan to row 17"):
        evaluate(lambda _: Predictions(values=answers), some.columns, some.y, contract=some.contract, primary="rmse")


def test_a_model_that_answers_too_few_rows_is_refused() -> None:
    some = world(Task.REGRESSION)
    with pytest.raises(DataError, match="answers 3 rows where 800 were asked"):
        evaluate(
            lambda _: Predictions(values=np.zeros(3)), some.columns, some.y, contract=some.contract, primary="rmse"
        )


def test_importance_is_bounded_and_near_nothing_for_a_useless_column() -> None:
    some = world(Task.BINARY)
    asked = []

    def counting(columns: Columns) -> Predictions:
        asked.append(len(columns["strong"]))
        return some.predict(columns)

    found = dict(permutation_importance(counting, some.columns, some.y, metric="roc_auc", most_predictions=4_000))
    assert sum(asked) <= 4_000 + 800
    assert abs(found["useless"].value) < 1e-12
    assert found["strong"].low > 0.1


def test_importance_of_an_undefined_metric_is_empty() -> None:
    some = world(Task.BINARY)
    assert permutation_importance(some.predict, some.columns, np.ones(800, dtype=np.int64), metric="roc_auc") == ()


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        (Task.BINARY, "accuracy"),
        (Task.BINARY, "f1"),
        (Task.BINARY, "ece"),
        (Task.MULTICLASS, "roc_auc"),
        (Task.MULTICLASS, "recall"),
        (Task.REGRESSION, "mae"),
        (Task.REGRESSION, "r2"),
    ],
)
def test_a_good_model_beats_a_constant_answer(task: Task, metric: str) -> None:
    some = world(task)
    found = compare_with_constant(metric, task, some.y, some.y, some.predict(some.columns))
    assert found is not None
    assert found.p_value < 0.01


def test_a_constant_answer_does_not_beat_itself() -> None:
    y = np.arange(60) % 2
    constant = constant_answers(Task.BINARY, y, 60, classes=2)
    found = compare_with_constant("accuracy", Task.BINARY, y, y, constant)
    assert found is not None
    assert judge(GatesSection(), world(Task.BINARY).evaluate(), Evidence(baseline=found)).outcome == "refuse"


def judged(task: Task) -> tuple[World, Scorecard, Verdict, dict[str, bytes]]:
    some = world(task)
    card = some.evaluate()
    answers = some.predict(some.columns)
    noise = np.random.default_rng(0).normal(size=answers.array.shape)
    if task is Task.REGRESSION:
        worse = Predictions(values=answers.array + noise)
    else:
        worse = Predictions(softmax(np.log(answers.array) + noise, axis=1))
    comparison = compare(card.primary, some.y, answers, worse)
    verdict = judge(GatesSection(), card, Evidence(champion="3", comparison=comparison))
    return some, card, verdict, draw_plots(card, some.y, answers, verdict)


@pytest.mark.parametrize("task", list(Task))
def test_pictures_and_card_of_a_hostile_table(task: Task) -> None:
    some, card, verdict, plots = judged(task)
    expected = {"slices", "importance", "difference"}
    expected |= {"predicted", "residuals"} if task is Task.REGRESSION else {"confusion", "roc", "pr", "calibration"}
    assert set(plots) == expected | ({"lift"} if task is Task.BINARY else set())
    for picture in plots.values():
        assert np.std(imread(BytesIO(picture))[:, :, :3]) > 0.02
    facts = CardFacts(project="churn", purpose=HOSTILE, source="csv: data.csv", version="4", limits=("Only <2026>.",))
    page = render_card(facts, some.contract, card, champion=card, verdict=verdict, plots=plots)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/png;base64,") == len(plots)
    assert "&lt;script&gt;" in page
    assert "Only &lt;2026&gt;." in page
    assert verdict.sentence.partition(".")[0] in page


def test_a_card_without_champion_verdict_or_pictures() -> None:
    some = world(Task.MULTICLASS)
    page = render_card(CardFacts(project="churn"), some.contract, some.evaluate())
    assert "No purpose is written in the project file." in page
    assert "Champion" not in page


def test_a_card_keeps_the_address_of_a_database_to_itself() -> None:
    source = SqlSource(url="postgresql://me:secret@host/db", query="SELECT secret")
    project = Project(
        name="churn", purpose="Why.", task=TaskSection(kind=Task.BINARY), data=DataSection(source=source, target="y")
    )
    facts = CardFacts.of(project, version="2")
    assert (facts.source, facts.purpose, facts.version) == ("sql", "Why.", "2")


def test_a_card_names_its_limits() -> None:
    some = world(Task.BINARY)
    columns = (
        Column(name="note", kind=Kind.TEXT),
        Column(name="age", kind=Kind.INTEGER, minimum=18, maximum=99),
        Column(name="city", kind=Kind.CATEGORY, levels=tuple(f"city {code}" for code in range(15))),
        some.contract.target,
    )
    contract = Contract(task=Task.BINARY, columns=columns, classes=("no", "yes"))
    card = some.evaluate()
    card = card.model_copy(update={"report": (card.report[0].model_copy(update={"name": "rare", "rows": 3}),)})
    verdict = Verdict(outcome="promote", sentence="Passed.", metric="roc_auc", mode="non_inferiority", rows=800)
    page = render_card(CardFacts(project="churn"), contract, card, verdict=verdict)
    for words in ("18 to 99", "city 11 and 3 more", "hashed words only", "was not required", "judged the class rare"):
        assert words in page


def test_curves_of_many_rows_are_thinned_and_keep_their_ends() -> None:
    rng = np.random.default_rng(0)
    false, true = roc((rng.random(5_000) < 0.5).astype(np.float64), rng.random(5_000))
    assert len(false) <= 1_001
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
