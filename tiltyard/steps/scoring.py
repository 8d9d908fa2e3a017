"""Batch predictions: a table of any size, chunk by chunk, answered by a version's bundle."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from tiltyard.bundle.model import Predictions
from tiltyard.bundle.runtime import Runtime
from tiltyard.data.coercion import ARROW_TYPES, coerce_features, feature_columns
from tiltyard.data.contract import Contract
from tiltyard.data.protect import protect_frame
from tiltyard.data.sources import PARQUET_ENDINGS, iter_source, source_of
from tiltyard.errors import AbsentError, DataError, StorageError, UsageError
from tiltyard.project.section import Section
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

    The output has the table's columns as they were written (a CSV file's as text), then `prediction` and, for classes,
    `probability_<class>` each. Columns under `data.protect` are hashed or coarser there too, and dropped ones are left
    out. It appears when it is complete; a run that fails leaves what was there before.

    Args:
        project_file: The project file, or the folder that holds it.
        table: A CSV or Parquet file, folder, glob or `s3://` address, relative to the current folder.
        output: Where the answers go; `.csv` or `.parquet`.
        version: Version that answers; the champion when left out.
        chunk_rows: Rows in memory at a time.

    Raises:
        UsageError: The output's ending is not known, or a column of the table has the name of an answer.
        ProjectError: The model needs the key of the keyed hashes, and it is missing or wrong.
        DataError: The table has no rows, cannot be read or breaks the contract; names file, line and column.
        StorageError: The output cannot be written.
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
            rows += answers.num_rows
            tell(rows)
        if not rows:
            raise DataError("the table has no rows", where=table, cure="Check the source.")
    return ScoringOutcome(project=place.project.name, version=ref.version, rows=rows, output=output)


def _answering(place: Place, version: int | None) -> ModelRef:
    """Return the version that answers."""
    if version is not None:
        return models.version(place.registry, ModelRef(name=place.project.name, version=version)).ref
    champion = models.champion(place.registry, place.project.name)
    if champion is None:
        raise AbsentError(f"`{place.project.name}` has no champion yet", cure="Run `tiltyard train` first.")
    return champion


def _answers(place: Place, runtime: Runtime, table: str, chunk_rows: int) -> Iterator[pa.Table]:
    """Yield the table with its answers, chunk by chunk."""
    source = source_of(table, folder=Path.cwd())
    if "://" not in table:
        source = source.model_copy(update={"path": str(Path.cwd() / table)})
    contract, key = runtime.contract, place.workplace.environment.key
    dropped = [name for name, protection in place.project.data.protect.items() if protection == "drop"]
    for chunk in iter_source(source, chunk_rows, workplace=place.workplace, open_remote=place.open_remote):
        protected = protect_frame(chunk, contract, key)
        typed = coerce_features(protected, contract, where=table)
        predictions = runtime.predict(feature_columns(typed, contract))
        shown = _arrow_table(protected.drop(columns=dropped, errors="ignore"), contract)
        yield _beside(shown, runtime, predictions)


def _arrow_table(frame: pd.DataFrame, contract: Contract) -> pa.Table:
    """Return a protected chunk as an Arrow table of which no type depends on the values."""
    fixed = {column.name: ARROW_TYPES[column.kind] for column in contract.columns if column.protection is not None}
    columns = {str(name): pa.array(frame[name], type=fixed.get(str(name)), from_pandas=True) for name in frame.columns}
    return pa.table(columns)


def _beside(table: pa.Table, runtime: Runtime, predictions: Predictions) -> pa.Table:
    """Return a chunk with the answers as further columns."""
    answers: dict[str, Any]
    if predictions.probabilities is None:
        answers = {PREDICTION: predictions.array}
    else:
        answers = {PREDICTION: runtime.labels(predictions)}
        for code, name in enumerate(runtime.classes):
            answers[f"probability_{name}"] = predictions.probabilities[:, code]
    taken = sorted(set(answers) & set(table.column_names))
    if taken:
        raise UsageError(f"the table has a column `{taken[0]}` already", cure="Rename it or leave it out.")
    for name, values in answers.items():
        table = table.append_column(name, pa.array(values))
    return table


class _Writer:
    """Writes chunks to a CSV or Parquet file that gets its name when it is complete."""

    def __init__(self, output: Path) -> None:
        name = output.name.lower()
        if not name.endswith((*_CSV_ENDINGS, *PARQUET_ENDINGS)):
            raise UsageError(f"`{output}` is neither .csv nor .parquet", cure="Give the output one of these endings.")
        if not output.parent.is_dir():
            raise UsageError(f"there is no folder `{output.parent}`", cure="Make it first.")
        if output.is_dir():
            raise UsageError(f"`{output}` is a folder", cure="Name a file.")
        self._output = output
        self._draft = output.with_name(f".{output.name}.{os.getpid()}.part")
        self._kind = pq.ParquetWriter if name.endswith(PARQUET_ENDINGS) else pc.CSVWriter
        self._open: pq.ParquetWriter | pc.CSVWriter | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, table: pa.Table) -> None:
        """Append a chunk.

        Raises:
            DataError: The output's format cannot hold a value.
            StorageError: The disk is full or read-only.
        """
        with self._explained():
            if self._open is None:
                self._open = self._kind(self._draft, table.schema)
            self._open.write_table(table)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._explained() if kind is None else suppress(OSError, pa.ArrowException):
                if self._open is not None:
                    self._open.close()
                    if kind is None:
                        self._draft.replace(self._output)
        finally:
            self._draft.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in a sentence why the output cannot be written."""
        where = str(self._output)
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise StorageError(f"cannot be written ({reason})", where=where, cure="Free the disk.") from error
        except pa.ArrowException as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"cannot hold the table ({reason})", where=where, cure="Write .parquet.") from error
