"""Performance with late labels: any order, repetition and delay gives the same bits; too few and unfair ones say so."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.errors import DataError
from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring import labelled as labelled_module
from tiltyard.monitoring.labelled import Labelled, collect, columns_for
from tiltyard.monitoring.performance import Performance, by_version, performance, worse_by_luck
from tiltyard.predictions.columns import MOMENT
from tiltyard.predictions.labels import Labels

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=7)
CLASSES = ("no", "yes")
GOOD = Estimate(value=0.80, low=0.78, high=0.82)


def chances_of(count: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    positive = rng.beta(1.0, 1.0, count).round(2)
    return positive, rng.random(count) < positive


def batch_of(positive: Any, *, version: int = 3, first: int = 0, keys: Any = None) -> pa.RecordBatch:
    count = len(positive)
    numbers = range(first, first + count)
    times = [START + timedelta(minutes=number) for number in numbers]
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array([f"r{number:05d}-0" for number in numbers], pa.string()),
            "time": pa.array(times, MOMENT),
            "version": pa.array([version] * count, pa.int64()),
            "key": pa.array(keys if keys is not None else [None] * count, pa.string()),
            "prediction": pa.array(["yes" if value >= 0.5 else "no" for value in positive], pa.string()),
            "probability_no": pa.array(1.0 - np.asarray(positive)),
            "probability_yes": pa.array(np.asarray(positive, dtype=np.float64)),
        }
    )


def arrived(ids: list[str], truths: list[Any], minutes: list[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(ids, pa.string()),
            "label": pa.array(truths),
            "time": pa.array([START + timedelta(minutes=minute) for minute in minutes], MOMENT),
        }
    )


def labelled_of(positive: Any, truth: Any, *, known: Any = None, parts: int = 1) -> Labelled:
    batch, labels = batch_of(positive), Labels()
    known = np.ones(len(positive), bool) if known is None else known
    rows = np.flatnonzero(known)
    ids = batch.column("id").to_pylist()
    labels.add(arrived([ids[row] for row in rows], [CLASSES[int(truth[row])] for row in rows], [0] * len(rows)))
    pieces = [batch.take(pa.array(piece)) for piece in np.array_split(np.arange(len(positive)), parts)]
    return collect([labels.beside(piece) for piece in pieces], CLASSES)


def judged(labelled: Labelled, metric: str = "accuracy", **rest: Any) -> Performance:
    return performance(labelled, metric, start=START, end=END, **rest)


@settings(deadline=None, max_examples=25)
@given(data=st.data(), metric=st.sampled_from(["accuracy", "roc_auc", "log_loss", "f1"]))
def test_any_order_repetition_and_parts_of_labels_and_of_predictions_give_the_same_bits(
    data: st.DataObject, metric: str
) -> None:
    positive, truth = chances_of(160, 1)
    batch = batch_of(positive)
    ids = batch.column("id").to_pylist()
    known = np.flatnonzero(np.random.default_rng(2).random(160) < 0.9)
    feedback = [(ids[row], CLASSES[int(truth[row])], 10) for row in known]
    feedback += [(ids[row], CLASSES[1 - int(truth[row])], 5) for row in known[:30]]  # corrected later
    at_once = Labels()
    at_once.add(arrived(*map(list, zip(*feedback, strict=True))))
    expected = judged(collect([at_once.beside(batch)], CLASSES), metric, reference=GOOD)

    order = data.draw(st.permutations(range(len(feedback))))
    again = data.draw(st.lists(st.integers(0, len(feedback) - 1), max_size=20))
    shuffled = [feedback[place] for place in (*order, *again)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=4)))
    late = Labels()
    for start, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        if start < end:
            late.add(arrived(*map(list, zip(*shuffled[start:end], strict=True))))
    rows = data.draw(st.permutations(range(160)))
    doubled = [*rows, *data.draw(st.lists(st.integers(0, 159), max_size=10))]
    split = data.draw(st.integers(0, len(doubled)))
    pieces = [piece for piece in (doubled[:split], doubled[split:]) if piece]
    batches = [late.beside(batch.take(pa.array(piece))) for piece in pieces]
    if data.draw(st.booleans()):
        batches.insert(0, Labels().beside(batch))  # read before any label came
    assert judged(collect(batches, CLASSES), metric, reference=GOOD) == expected


def test_clusters_and_regression_do_not_depend_on_the_order_either() -> None:
    rng = np.random.default_rng(3)
    values, truth = rng.normal(size=300), rng.normal(size=300)
    batch = batch_of(np.full(300, 0.5), keys=[f"k{number % 40}" for number in range(300)])
    places = batch.schema.get_field_index("prediction")
    batch = batch.set_column(places, "prediction", pa.array(values))
    labels = Labels()
    labels.add(arrived(batch.column("id").to_pylist(), list(truth), [0] * 300))
    whole = labels.beside(batch)
    back = [whole.take(pa.array(rng.permutation(300))), whole.slice(0, 100)]
    for clusters in ("row", "key", "time"):
        once = judged(collect([whole], ()), "rmse", clusters=clusters)
        assert once.value == pytest.approx(np.sqrt(np.mean((values - truth) ** 2)))
        assert judged(collect(back, ()), "rmse", clusters=clusters) == once


def test_few_labels_give_words_instead_of_a_number() -> None:
    positive, truth = chances_of(1_000, 4)
    found = judged(labelled_of(positive, truth, known=np.arange(1_000) < 40), reference=GOOD)
    assert (found.value, found.low, found.high, found.p, found.harm) == (None, None, None, None, False)
    assert found.sentence.startswith("Accuracy cannot be told: 40 of 1,000 predictions have a label (4.0 %), 100")
    one_class = judged(labelled_of(positive, np.ones(1_000)), "roc_auc")
    assert one_class.value is None
    assert "of one class there are 0" in one_class.sentence
    nothing = judged(collect([], CLASSES))
    assert (nothing.rows, nothing.coverage, nothing.version, nothing.value) == (0, 0.0, None, None)


def test_harm_is_a_metric_beyond_the_reference_and_never_luck() -> None:
    positive, truth = chances_of(4_000, 5)
    fine = judged(labelled_of(positive, truth), reference=Estimate(value=0.75, low=0.73, high=0.77))
    assert not fine.harm
    assert "no worse" in fine.sentence
    bad = judged(labelled_of(positive, truth), reference=Estimate(value=0.85, low=0.83, high=0.87))
    assert bad.harm
    assert bad.p is not None
    assert bad.p < 0.001
    assert "worse than the champion is held to" in bad.sentence
    few = judged(labelled_of(positive, truth, known=np.arange(4_000) < 99), reference=GOOD)
    assert not few.harm


def test_a_champion_as_good_as_ever_is_harm_in_less_than_one_window_in_a_hundred() -> None:
    rng, harmed = np.random.default_rng(6), 0
    for _ in range(2_000):
        tested, now = rng.binomial(2_000, 0.8) / 2_000, rng.binomial(500, 0.8) / 500
        reference, live = (
            Estimate(value=share, low=share - 1.96 * error, high=share + 1.96 * error)
            for share, error in ((tested, np.sqrt(0.16 / 2_000)), (now, np.sqrt(0.16 / 500)))
        )
        harmed += worse_by_luck("accuracy", live, reference) < 0.01
    assert harmed / 2_000 < 0.02


def test_labels_that_come_for_high_scores_first_are_no_fair_sample_and_no_harm() -> None:
    positive, truth = chances_of(4_000, 7)
    sure = np.abs(positive - 0.5) < 0.15
    found = judged(labelled_of(positive, truth, known=sure), reference=Estimate(value=0.75, low=0.73, high=0.77))
    assert found.value is not None
    assert found.value < 0.70
    assert (found.fair, found.harm) == (False, False)
    by_score = judged(labelled_of(positive, truth, known=positive > 0.6), reference=GOOD)
    assert by_score.fair is False
    assert "no fair sample" in by_score.sentence
    by_class = judged(labelled_of(positive, truth, known=truth), reference=Estimate(value=0.95, low=0.94, high=0.96))
    assert by_class.fair is False
    assert not by_class.harm
    at_random = judged(labelled_of(positive, truth, known=np.arange(4_000) % 3 == 0))
    assert at_random.fair is True


def test_a_window_is_judged_by_version_and_by_part() -> None:
    positive, truth = chances_of(600, 8)
    labels = Labels()
    first, second = batch_of(positive[:300]), batch_of(positive[300:], version=4, first=300)
    for batch, some in ((first, truth[:300]), (second, ~truth[300:])):
        labels.add(arrived(batch.column("id").to_pylist(), [CLASSES[int(one)] for one in some], [0] * 300))
    found = collect([labels.beside(second), labels.beside(first)], CLASSES)
    three, four = by_version(found, "accuracy", start=START, end=END, thresholds={3: 0.5})
    assert (three.version, four.version, three.rows, four.rows) == (3, 4, 300, 300)
    assert three.value is not None
    assert four.value is not None
    assert three.value > 0.5 > four.value
    early = found.part(end=START + timedelta(minutes=100))
    assert (early.rows, early.versions) == (100, (3,))
    assert found.part(start=START + timedelta(minutes=100)).rows == 500


def test_memory_is_bounded_by_a_sample_that_does_not_depend_on_the_order() -> None:
    positive, truth = chances_of(3_000, 9)
    labels, batch = Labels(), batch_of(positive)
    ids = batch.column("id").to_pylist()
    labels.add(arrived(ids[:2_000], [CLASSES[int(one)] for one in truth[:2_000]], [0] * 2_000))
    whole = labels.beside(batch)
    pieces = [whole.slice(start, 100) for start in range(0, 3_000, 100)]
    there, back = (collect(order, CLASSES, most_rows=300) for order in (pieces, pieces[::-1]))
    assert (len(there.known), len(there.unknown), there.known_rows, there.unknown_rows) == (300, 300, 2_000, 1_000)
    assert judged(there) == judged(back)
    assert "measured on 300 of the labels, drawn" in judged(there).sentence
    half = there.part(end=START + timedelta(minutes=1_000))
    assert 850 < half.known_rows < 1_150


def test_labels_of_several_types_and_labels_that_are_none_of_the_classes() -> None:
    positive, _ = chances_of(4, 10)
    labels, batch = Labels(), batch_of(positive)
    labels.add(arrived(["r00000-0"], [1], [0]))
    labels.add(arrived(["r00001-0"], [True], [0]))
    labels.add(arrived(["r00002-0"], [0.0], [0]))
    labels.add(arrived(["r00003-0"], ["perhaps"], [0]))
    renamed = labels.beside(batch).rename_columns(
        [name.replace("_no", "_0").replace("_yes", "_1") for name in labels.beside(batch).schema.names]
    )
    found = collect([renamed], (0, 1))
    assert sorted(found.y) == [0, 1]
    assert found.unusable == 2  # "perhaps", and the text of a boolean, which is no whole number's
    with pytest.raises(DataError, match="probability_a"):
        collect([renamed], ("a", "b"))


def test_predictions_that_are_missing_are_left_out_and_counted() -> None:
    positive, truth = chances_of(300, 11)
    positive[0] = np.nan
    found = labelled_of(positive, truth)
    assert (found.rows, found.unusable) == (299, 1)
    assert "1 rows were left out" in judged(found).sentence


def test_the_columns_to_read_are_those_that_are_used() -> None:
    assert set(columns_for(CLASSES)) <= set(batch_of(np.zeros(1)).schema.names)
    assert labelled_module.MOST_ROWS == 1_000_000
