"""What a check of a window costs, by rows and by columns: time, peak memory, and how fast both grow.

    python -m benchmarks.monitoring.scale [--most 3000000] [--place FOLDER]

A check is all that `tiltyard monitor` does with a window: its sample, the labels that have come, drift, broken data,
performance and the estimate (`benchmarks.monitoring.scale.check`). The pages with Evidently's report are drawn from a
bounded sample, and measured beside it. Each size is checked by a process of its own, so that its peak memory is that of
the check and of the libraries. FOLDER is where the logs go, 3 GB for a while.

Promises, each printed with its figure; ends with 1 when one is broken: the largest check takes at most 60 s and 2 GB;
its CPU time, and that of its sample, grow no faster than linear in rows and in columns, and that of the labels, which
are sorted, as sorting does; the pages take as long for many rows as for few.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.monitoring.scale.check import PARTS, measure
from benchmarks.monitoring.scale.log import OBJECT_ROWS, link_start, size_of, write_log
from tiltyard.project.environment import Workplace

RESULTS = Path("benchmarks/results/monitoring_scale.json")
COLUMNS = (12, 25, 50, 100)
SHARES = (8, 4, 2, 1)
"""The largest number of rows is divided by these."""

MOST_SECONDS = 60.0
MOST_MEGABYTES = 2_000.0
LINEAR = 1.1
"""Largest exponent that is called linear: a tenth is left to the caches of the machine."""
BOUNDED = 0.1
"""Largest exponent of what does not grow."""

Run = dict[str, float]


def main() -> int:
    """Check logs of all sizes, print a line each, and hold the promises against them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--most", type=int, default=3_000_000, help="rows of the largest log")
    parser.add_argument("--place", default=tempfile.gettempdir(), help="folder for the logs")
    parser.add_argument("--check", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        file, rows, columns = options.check
        print(json.dumps(measure(Path(file), int(rows), int(columns))))
        return 0
    print(_HEAD)
    runs = []
    for run in check_all(options.most, options.place):
        runs.append(run)
        print(_line(run), flush=True)
    promises = list(_promises(runs))
    for promise, _, kept in promises:
        print(f"{promise}: {'kept' if kept else 'BROKEN'}")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    figures = {promise: figure for promise, figure, _ in promises}
    content = {"finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "runs": runs, "promises": figures}
    RESULTS.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return 0 if all(kept for _, _, kept in promises) else 1


def check_all(most: int, place: str) -> Iterator[Run]:
    """Yield what each check cost: of all numbers of columns, and of all numbers of rows with the most columns."""
    most = most // OBJECT_ROWS // max(SHARES) * OBJECT_ROWS * max(SHARES)
    for columns in COLUMNS:
        with tempfile.TemporaryDirectory(dir=place) as folder:
            whole = _project(Path(folder) / "whole")
            write_log(_store(whole), most, columns)
            for share in SHARES if columns == COLUMNS[-1] else (1,):
                part = whole
                if share > 1:
                    part = _project(Path(folder) / f"part{share}")
                    link_start(_store(whole), _store(part), most // share)
                yield _checked(part, most // share, columns)


def _project(folder: Path) -> Path:
    folder.mkdir()
    return folder / "tiltyard.yaml"


def _store(file: Path) -> Path:
    return Path(Workplace(file).store)


def _checked(file: Path, rows: int, columns: int) -> Run:
    """Check a log by a process of its own."""
    facts = {"rows": rows, "columns": columns, "log": size_of(_store(file)) / 1e6, "load": os.getloadavg()[0]}
    command = [sys.executable, "-m", "benchmarks.monitoring.scale", "--check", str(file), str(rows), str(columns)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    costs: Run = json.loads(done.stdout)
    return facts | costs


_HEAD = (
    "     rows columns  log MB  load  wall s   CPU s = "
    + "".join(f"{name:>12}" for name in PARTS)
    + "  peak MB  µs a cell   pages s  peak MB  page MB"
)


def _line(run: Run) -> str:
    parts = "".join(f"{run[name]:12.1f}" for name in PARTS)
    cell = 1e6 * run["cpu"] / run["rows"] / run["columns"]
    return (
        f"{run['rows']:9,} {run['columns']:7} {run['log']:7.0f} {run['load']:5.1f} "
        f"{run['wall']:7.1f} {run['cpu']:7.1f}   {parts} {run['peak']:8.0f} {cell:10.3f} "
        f"{run['report']:9.1f} {run['report_peak']:8.0f} {run['report_size']:8.1f}"
    )


def exponent(runs: Sequence[Run], size: str, cost: str) -> float:
    """Return the power of a size that a cost grows with: the slope of a line through logarithms."""
    sizes, costs = (np.log([run[name] for run in runs]) for name in (size, cost))
    return float(np.polyfit(sizes, costs, 1)[0])


def _promises(runs: Sequence[Run]) -> Iterator[tuple[str, float, bool]]:
    """Yield each promise in words, its figure, and whether it was kept."""
    largest = max(runs, key=lambda run: (run["rows"], run["columns"]))
    most = f"{largest['rows']:,} rows of {largest['columns']} columns"
    yield f"{most} in {largest['wall']:.1f} s", largest["wall"], largest["wall"] <= MOST_SECONDS
    yield f"{most} in {largest['peak']:.0f} MB", largest["peak"], largest["peak"] <= MOST_MEGABYTES
    series = {
        "rows": [run for run in runs if run["columns"] == largest["columns"]],
        "columns": [run for run in runs if run["rows"] == largest["rows"]],
    }
    for cost, words in (("cpu", "a check"), ("sample", "its sample")):
        for name, some in series.items():
            power = exponent(some, name, cost)
            yield f"CPU time of {words} grows as {name}^{power:.2f}", power, power <= LINEAR
    by_sorting = [run | {"sorting": run["rows"] * math.log(run["rows"])} for run in series["rows"]]
    power = exponent(by_sorting, "sorting", "labels")
    yield f"CPU time of its labels grows as (rows log rows)^{power:.2f}", power, power <= LINEAR
    power = exponent(series["rows"], "rows", "report")
    yield f"CPU time of its pages grows as rows^{power:.2f}", power, power <= BOUNDED


if __name__ == "__main__":
    sys.exit(main())
