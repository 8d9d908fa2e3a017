"""`tiltyard predict`: the champion's answers for a whole table."""

from pathlib import Path
from typing import Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption


def predict(
    *,
    table: Annotated[str, typer.Argument(help="CSV or Parquet: a file, folder, glob or s3:// address.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .parquet or .csv.")],
    project: ProjectOption = HERE,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version that answers.", show_default="the champion")
    ] = None,
    chunk_rows: Annotated[int, typer.Option(min=1, help="Rows in memory at a time.")] = 50_000,
    json: JsonOption = False,
) -> None:
    """Predict every row of a table, in chunks, so that it may be larger than memory.

    Examples:
      tiltyard predict new.csv -o answers.parquet
      tiltyard predict 's3://bucket/2026/*.parquet' -o answers.csv --version 3
    """
    from tiltyard.cli.opening import find_project
    from tiltyard.cli.output import say, write_json
    from tiltyard.cli.tables import progress_bar

    _, workplace = find_project(project)

    from flows.local import temporary_server

    server = temporary_server(workplace)

    from flows import scoring
    from flows.orchestrator import using
    from tiltyard.steps.progress import listening

    with progress_bar("reading", hidden=json) as bar, listening(bar), using(server):
        outcome = scoring.score(workplace.project_file, table, output, version=version, chunk_rows=chunk_rows)
    if json:
        write_json(outcome.model_dump(mode="json"))
    else:
        say(f"{outcome.rows:,} rows answered by {outcome.project} version {outcome.version}: {outcome.output}")
