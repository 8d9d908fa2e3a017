"""What a version is held against while it serves: a sample of its own test rows and training rows, kept beside it.

A new champion brings its own reference. Columns are as in the prediction log, protected as they are there, and answers
are those of the bundle, so that a value that is the same is equal to the last bit: trees answer few different numbers,
and a rounding would look like drift.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from tiltyard.bundle.model import Columns, Predictions
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.contract import Contract, Kind, Level
from tiltyard.errors import DataError
from tiltyard.evaluation.records import Estimate, Scorecard
from tiltyard.evaluation.terms import Labels
from tiltyard.monitoring.logged import Logged, Tally, answer_arrays, answers_of, feature_arrays, features_of, sample_of
from tiltyard.monitoring.sample import FEATURE, PREDICTION, PROBABILITY, Sample, is_answer
from tiltyard.project.metrics import Task
from tiltyard.project.section import Section

Clusters = Literal["row", "key", "time"]

REFERENCE = "reference"
"""Folder of the reference within a version's files."""

FACTS = "facts.json"
ROWS = "rows.parquet"

MOST_ROWS = 20_000
"""Rows of each part at most."""
MOST_CELLS = 2_000_000
"""Values of both parts at most: 16 MB were they all different numbers, a few as tables are."""
FEWEST_ROWS = 2_000
"""Rows that each part keeps however many columns there are."""

_PART = "part"
_LABEL = "label"
_TEST = "test"
_TRAINING = "training"
_LONGEST_REASON = 200
RETRAIN = "Train it again (`tiltyard train`): the version that it registers brings its own reference."


class Counts(Section):
    """Counts over all rows of a part, not only those kept.

    Attributes:
        rows: Rows.
        missing: Missing values, by column.
        new: Levels that the contract does not know, by column.
        outside: Values outside the range of the contract, by column.
    """

    rows: int
    missing: dict[str, int]
    new: dict[str, int]
    outside: dict[str, int]


class Facts(Section):
    """What is known of a version beside its rows.

    Attributes:
        format: Version of this format.
        task: What is predicted.
        classes: Classes in the order of the probabilities; empty for regression.
        threshold: Decision threshold of the positive class.
        contract: Digest of the data contract.
        metric: Primary metric.
        score: The metric on all test rows, with its 95 % interval.
        clusters: What belongs together among the test rows, and so among those of a window: nothing (`row`), rows of
            one group (`key`), or rows of neighbouring times (`time`).
        importance: Drop of the metric when a column is shuffled, largest first; names as in the contract.
        kinds: Kind of every column, named as in the prediction log, answers last.
        test: Counts over the test rows.
        training: Counts over the rows that the model learnt from; of features only.
    """

    format: Literal[1] = 1
    task: Task
    classes: tuple[Level, ...] = ()
    threshold: float
    contract: str
    metric: str
    score: Estimate
    clusters: Clusters = "row"
    importance: tuple[tuple[str, Estimate], ...] = ()
    kinds: dict[str, Kind]
    test: Counts
    training: Counts


class Rows(NamedTuple):
    """Which rows of a table are of which part.

    Attributes:
        test: Row numbers, int64.
        training: Row numbers of those that the model learnt from, int64.
        clusters: What belongs together among the test rows.
    """

    test: NDArray[np.int64]
    training: NDArray[np.int64]
    clusters: Clusters = "row"


@dataclass(frozen=True, eq=False)
class Reference:
    """What a version is held against.

    Attributes:
        facts: What is known beside the rows.
        test: Rows that the version was judged on, with its answers.
        training: Rows that it learnt from, without answers.
        labels: What was true of the sampled test rows, shape (test.sampled,): class codes (int64), values (float64) in
            a regression.
        training_labels: The same of the sampled training rows.
    """

    facts: Facts
    test: Sample
    training: Sample
    labels: Labels
    training_labels: Labels

    @property
    def predictions(self) -> Predictions:
        """What the version answered to the sampled test rows."""
        columns = self.test.columns
        if not self.facts.classes:
            return Predictions(values=columns[PREDICTION].values)
        names = [f"{PROBABILITY}{label}" for label in self.facts.classes]
        return Predictions(probabilities=np.column_stack([columns[name].values for name in names]))

    @property
    def importance(self) -> dict[str, float]:
        """How much the metric drops without a column, never below 0; columns named as in the prediction log."""
        return {f"{FEATURE}{name}": max(0.0, drop.value) for name, drop in self.facts.importance}


def write_reference(
    folder: Path,
    frame: pd.DataFrame,
    contract: Contract,
    rows: Rows,
    *,
    predict: Callable[[Columns], Predictions],
    scorecard: Scorecard,
    seed: int = 0,
) -> dict[str, Path]:
    """Write the reference of a version; the same arguments give the same files.

    Args:
        folder: Where the files go; made when it is not there.
        frame: The typed table, protected columns protected.
        contract: Its contract, as the project uses it.
        rows: Which rows judged the version, and which it learnt from.
        predict: The version as it will answer, classes in the order of the contract.
        scorecard: What it is worth on the test rows.
        seed: Seed of the samples.

    Returns:
        The files by their place within a version's files.
    """
    test, training = frame.iloc[rows.test], frame.iloc[rows.training]
    most = _most_rows(len(contract.features))
    judged, learnt = _drawn(test, most, seed), _drawn(training, most, seed)
    answers = answer_arrays(predict(feature_columns(judged, contract)), contract, scorecard.threshold)
    tables = [_table(judged, contract, _TEST, answers), _table(learnt, contract, _TRAINING, {})]
    facts = Facts(
        task=contract.task,
        classes=contract.classes,
        threshold=scorecard.threshold,
        contract=contract.digest,
        metric=scorecard.primary,
        score=scorecard.metrics[scorecard.primary],
        clusters=rows.clusters,
        importance=scorecard.importance,
        kinds={column.name: column.kind for column in (*features_of(contract), *answers_of(contract))},
        test=_counts(test, contract),
        training=_counts(training, contract),
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables(tables, promote_options="default"), folder / ROWS, compression="zstd")
    (folder / FACTS).write_text(facts.model_dump_json(indent=1), encoding="utf-8")
    return {f"{REFERENCE}/{name}": folder / name for name in (FACTS, ROWS)}


def read_reference(folder: Path, *, where: str) -> Reference:
    """Read the reference of a version.

    Args:
        folder: Its files.
        where: What it belongs to, for errors.

    Raises:
        DataError: The files are damaged, or of another format.
    """
    try:
        facts = Facts.model_validate_json((folder / FACTS).read_bytes())
        table = pq.read_table(folder / ROWS)
        parts = {part: table.filter(pc.equal(table.column(_PART), part)) for part in (_TEST, _TRAINING)}
        answers = {name: kind for name, kind in facts.kinds.items() if is_answer(name)}
        features = {name: kind for name, kind in facts.kinds.items() if name not in answers}
        return Reference(
            facts=facts,
            test=_sample(parts[_TEST], features | answers, facts.test),
            training=_sample(parts[_TRAINING], features, facts.training),
            labels=_labels(parts[_TEST], facts),
            training_labels=_labels(parts[_TRAINING], facts),
        )
    except (ValidationError, pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0][:_LONGEST_REASON]
        raise DataError(f"the reference cannot be read ({reason})", where=where, cure=RETRAIN) from None


def _most_rows(features: int) -> int:
    """Return how many rows of each part are kept.

    Example:
        >>> _most_rows(10), _most_rows(200), _most_rows(10_000)
        (20000, 5000, 2000)
    """
    return min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // 2 // max(1, features)))


def _drawn(part: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """Return a uniformly random sample of rows, in their order."""
    if len(part) <= most:
        return part
    return part.iloc[np.sort(np.random.default_rng(seed).choice(len(part), most, replace=False))]


def _table(part: pd.DataFrame, contract: Contract, name: str, answers: Mapping[str, Any]) -> pa.Table:
    """Return the rows of a part that are kept."""
    columns = {_PART: pa.repeat(pa.scalar(name), len(part)), _LABEL: pa.array(target_array(part, contract))}
    return pa.table({**columns, **feature_arrays(part, contract), **answers})


def _counts(part: pd.DataFrame, contract: Contract) -> Counts:
    """Count over all rows of a part."""
    tally = Tally(features_of(contract))
    tally.add(pa.RecordBatch.from_pydict(feature_arrays(part, contract)))
    return Counts(rows=tally.rows, missing=tally.missing, new=tally.new, outside=tally.outside)


def _sample(part: pa.Table, kinds: Mapping[str, Kind], counts: Counts) -> Sample:
    """Return the rows of a part as a sample."""
    columns = [Logged(name, kind) for name, kind in kinds.items()]
    batches = part.select(list(kinds)).combine_chunks().to_batches()
    return sample_of(Tally(columns, **counts.model_dump()), batches[0] if batches else None)


def _labels(part: pa.Table, facts: Facts) -> Labels:
    """Return what was true of the rows of a part."""
    labels = part.column(_LABEL).to_numpy()
    return np.array(labels, np.int64) if facts.classes else np.array(labels, np.float64)
