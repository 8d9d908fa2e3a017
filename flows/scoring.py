"""The scoring flow: a table of any size, predicted by the champion."""

from pathlib import Path

from prefect import flow

from flows.ending import explained
from tasks import scoring
from tiltyard.steps.scoring import ScoringOutcome


def _in_words(outcome: ScoringOutcome) -> str:
    """Say in a line what was predicted."""
    return f"{outcome.rows:,} rows answered by version {outcome.version}: {outcome.output}"


@flow(name="score", flow_run_name="{table}", persist_result=False)
@explained(_in_words)
def score(
    project: Path, table: str, output: Path, *, version: int | None = None, chunk_rows: int = 50_000
) -> ScoringOutcome:
    """Predict every row of a table.

    Args:
        project: The project file, or the folder that holds it.
        table: A CSV or Parquet file, folder, glob or `s3://` address.
        output: Where the answers go; `.csv` or `.parquet`.
        version: Version that answers; the champion when left out.
        chunk_rows: Rows in memory at a time.

    Raises:
        TiltyardError: Something went wrong that a person can cure; says what to do.
    """
    return scoring.score(project, table, output, version=version, chunk_rows=chunk_rows)
