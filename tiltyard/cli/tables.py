"""Tables and progress bars for people."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tiltyard.cli.output import STYLES
from tiltyard.project.metrics import METRICS

if TYPE_CHECKING:
    from tiltyard.training.problem import Progress as SearchProgress

_PIPE_WIDTH = 140


def console(stream: TextIO) -> Console:
    """Return a console that does not squeeze what goes into a pipe; rich colours on a terminal only."""
    width = shutil.get_terminal_size().columns if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people.

    Args:
        headings: One a column.
        rows: Cells as text; a row with a cell that names a verdict or a level is coloured.
    """
    table = Table(*headings, box=SIMPLE, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row, style=next((STYLES[cell] for cell in row if cell in STYLES), ""))
    console(sys.stdout).print(table)


@contextmanager
def progress_bar(waiting: str, *, hidden: bool = False) -> Iterator[Callable[["SearchProgress | int"], None]]:
    """Show on a terminal how far a search is, or how many rows are done; yields what is to be told of it.

    Args:
        waiting: What is being done until the first news.
        hidden: Whether nothing is shown, on a terminal neither.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    disabled = hidden or not sys.stderr.isatty()
    with Progress(*columns, console=console(sys.stderr), transient=True, disable=disabled) as bar:
        task = bar.add_task(waiting, total=None)

        def show(progress: "SearchProgress | int") -> None:
            if isinstance(progress, int):
                bar.update(task, description=f"{progress:,} rows")
            else:
                bar.update(task, description=_search_words(progress), total=1.0, completed=_share(progress))

        yield show


def _search_words(progress: "SearchProgress") -> str:
    """Say how far a search is."""
    words = f"searching: {progress.trials} trials"
    if progress.score is None:
        return words
    return f"{words}, best {METRICS[progress.metric].title} {progress.score:.4g} ({progress.family})"


def _share(progress: "SearchProgress") -> float:
    """Return the share of the budget that is used up, by whichever limit is nearer."""
    trials = progress.trials / progress.trials_limit if progress.trials_limit else 0.0
    seconds = progress.seconds / progress.seconds_limit if progress.seconds_limit else 0.0
    return min(1.0, max(trials, seconds))
