"""Batch predictions: a table of any size, chunk by chunk, answered by a version's bundle."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from tiltyard.bundle.model import Predictions
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.coercion import coerce_features, feature_columns
from tiltyard.data.sources import PARQUET_ENDINGS, iter_source, source_of
from tiltyard.errors import DataError, RegistryError, UsageError
from tiltyard.project.model import Section
from tiltyard.registry import models
from tiltyard.registry.records import ModelRef
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.progress import tell

PREDICTION = "prediction"
_CSV_ENDINGS = (".csv",)


class ScoringOutcome(Section):
    """What was predicted.

    Attributes:
        project: Name of the project.
        version: Version that answered.
        rows: Rows answered.
        output: The file with the answers.
    """

    project: str
    version: int
    rows: int
    output: Path


def score_table(
    project_file: Path,
    table: str,
    output: Path,
    *,
    version: int | None = None,
    chunk_rows: int = 50_000,
) -> ScoringOutcome:
    """Predict every row of a table.

    The output has the table's columns, then `prediction` and, for classes, `probability_<class>` each. It appears
    when it is complete; a run that fails leaves what was there before.

    Args:
        project_file: The project file, or the folder that holds it.
        table: A CSV or Parquet file, folder, glob or `s3://` address, relative to the current folder.
        output: Where the answers go; `.csv` or `.parquet`.
        version: Version that answers; the champion when left out.
        chunk_rows: Rows in memory at a time.

    Raises:
        UsageError: The output's ending is not known, or a column of the table has the name of an answer.
        DataError: The table cannot be read or breaks the contract; names file, line and column.
        RegistryError: There is no champion or no such version, or MLflow cannot be reached.
    """
    place = open_place(project_file)
    ref = _answering(place, version)
    writer = _Writer(output)
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime.load(models.download_bundle(place.registry, ref, Path(folder) / "bundle"))
        rows = 0
        with writer:
            for answers in _answers(place, runtime, table, chunk_rows):
                writer.write(answers)
                rows += len(answers)
                tell(rows)
    return ScoringOutcome(project=place.project.name, version=ref.version, rows=rows, output=output)


def _answering(place: Place, version: int | None) -> ModelRef:
    """Return the version that answers."""
    if version is not None:
        return models.version(place.registry, ModelRef(name=place.project.name, version=version)).ref
    champion = models.champion(place.registry, place.project.name)
    if champion is None:
        raise RegistryError(f"`{place.project.name}` has no champion yet", cure="Run `tiltyard train` first.")
    return champion


def _answers(place: Place, runtime: Runtime, table: str, chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Yield the table with its answers, chunk by chunk."""
    source = source_of(table, folder=Path.cwd())
    if "://" not in table:
        source = source.model_copy(update={"path": str(Path.cwd() / table)})
    chunks = iter_source(source, chunk_rows, workplace=place.workplace, open_remote=place.open_remote)
    for chunk in chunks:
        typed = coerce_features(chunk, runtime.contract, where=table)
        predictions = runtime.predict(feature_columns(typed, runtime.contract))
        yield _beside(chunk, runtime, predictions)


def _beside(chunk: pd.DataFrame, runtime: Runtime, predictions: Predictions) -> pd.DataFrame:
    """Return a chunk with the answers as further columns."""
    answers: dict[str, Any]
    if predictions.probabilities is None:
        answers = {PREDICTION: predictions.array}
    else:
        answers = {PREDICTION: runtime.labels(predictions)}
        for code, name in enumerate(runtime.classes):
            answers[f"probability_{name}"] = predictions.probabilities[:, code]
    taken = sorted(set(answers) & set(chunk.columns))
    if taken:
        raise UsageError(f"the table has a column `{taken[0]}` already", cure="Rename it or leave it out.")
    return chunk.assign(**answers)


class _Writer:
    """Writes chunks to a CSV or Parquet file that gets its name when it is complete."""

    def __init__(self, output: Path) -> None:
        name = output.name.lower()
        if not name.endswith((*_CSV_ENDINGS, *PARQUET_ENDINGS)):
            raise UsageError(f"`{output}` is neither .csv nor .parquet", cure="Give the output one of these endings.")
        if not output.parent.is_dir():
            raise UsageError(f"there is no folder `{output.parent}`", cure="Make it first.")
        self._output = output
        self._draft = output.with_name(f".{output.name}.{os.getpid()}.part")
        self._parquet = name.endswith(PARQUET_ENDINGS)
        self._open: pq.ParquetWriter | pc.CSVWriter | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, frame: pd.DataFrame) -> None:
        """Append a chunk."""
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        if self._open is None:
            self._open = (pq.ParquetWriter if self._parquet else pc.CSVWriter)(self._draft, table.schema)
        try:
            self._open.write_table(table.cast(self._open.schema) if self._parquet else table)
        except OSError as error:
            raise DataError(f"cannot be written ({error})", where=str(self._output), cure="Free the disk.") from error

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._open is not None:
            self._open.close()
        if kind is None and self._open is not None:
            self._draft.replace(self._output)
        self._draft.unlink(missing_ok=True)
