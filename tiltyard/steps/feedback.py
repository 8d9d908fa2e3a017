"""Feedback: a table of labels that arrived later goes to the store, beside what was predicted."""

from pathlib import Path

from tiltyard.data.sources import iter_source, source_of
from tiltyard.errors import DataError
from tiltyard.predictions.label_tables import LabelColumns, LabelsStored, store_labels
from tiltyard.steps.place import open_place


def store_feedback(project_file: Path, table: str, columns: LabelColumns, *, chunk_rows: int = 100_000) -> LabelsStored:
    """Write a table of labels into the store; one that is given again is stored once.

    Args:
        project_file: The project file, or the folder that holds it.
        table: A CSV or Parquet file, folder, glob or `s3://` address, relative to the current folder.
        columns: Which of its columns are what.
        chunk_rows: Rows in memory at a time, and in one object of the store.

    Raises:
        ProjectError: The project file or the contract is missing or wrong.
        DataError: The table has no rows, a column is missing, or a label is none of the target's; names the row.
        StorageError: The store cannot be reached.
    """
    place = open_place(project_file)
    source = source_of(table, folder=Path.cwd())
    if "://" not in table:
        source = source.model_copy(update={"path": str(Path.cwd() / table)})
    chunks = iter_source(source, chunk_rows, workplace=place.workplace, open_remote=place.open_remote)
    outcome = store_labels(place.store, place.project.name, place.contract, chunks, columns, where=table)
    if not outcome.rows:
        raise DataError("the table has no rows", where=table, cure="Check the source.")
    return outcome
