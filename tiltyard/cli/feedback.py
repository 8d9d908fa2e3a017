"""`tiltyard feedback`: labels that arrived later, a whole table of them."""

from typing import Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption


def feedback(
    *,
    table: Annotated[str, typer.Argument(help="CSV or Parquet: a file, folder, glob or s3:// address.")],
    project: ProjectOption = HERE,
    id_column: Annotated[str, typer.Option(help="Column with the ids of predictions.")] = "id",
    label_column: Annotated[
        str, typer.Option(help="Column with what was true; empty where it is not known.")
    ] = "label",
    time_column: Annotated[
        str | None, typer.Option(help="Column that says when it was known (UTC).", show_default="now")
    ] = None,
    chunk_rows: Annotated[int, typer.Option(min=1, help="Rows in memory at a time.")] = 100_000,
    json: JsonOption = False,
) -> None:
    """Tell what was true of predictions made earlier; a table that is given again is stored once.

    Examples:
      tiltyard feedback labels.csv
      tiltyard feedback 's3://bucket/labels/*.parquet' --id-column request --label-column churned --time-column seen
    """
    from tiltyard.cli.output import say, write_json
    from tiltyard.predictions.label_tables import LabelColumns
    from tiltyard.steps.feedback import store_feedback

    columns = LabelColumns(id_column, label_column, time_column)
    outcome = store_feedback(project, table, columns, chunk_rows=chunk_rows)
    if json:
        write_json({"table": table, **outcome._asdict()})
        return
    left_out = outcome.rows - outcome.labels
    say(f"{outcome.labels:,} labels are in the store; {left_out:,} of {outcome.rows:,} rows had none yet.")
    if outcome.known and not outcome.objects:
        say("They were there already: nothing was written.")
