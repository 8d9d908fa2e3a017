"""One check of a log by this process, as `tiltyard monitor` makes it, and what each part of it costs.

Nothing is mirrored here: what is timed is what a check calls. Left out are MLflow and the ledger, whose cost does not
grow with the window.
"""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.monitoring.scale.log import MODEL, ROWS_A_DAY, START, VERSION, contract
from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.metrics import score
from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring import watching
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.logged import answers_of, features_of
from tiltyard.monitoring.past import Past
from tiltyard.monitoring.reference import FEWEST_ROWS, MOST_CELLS, MOST_ROWS, Counts, Facts, Reference
from tiltyard.monitoring.sample import PROBABILITY, Sample, is_answer
from tiltyard.monitoring.watching import Seen
from tiltyard.monitoring.windows import read_window
from tiltyard.predictions.reading import Window
from tiltyard.project.metrics import Task
from tiltyard.registry.records import ModelRef
from tiltyard.steps import monitoring_pages, window
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.window import Watched

PARTS = {
    "sample": (window, "read_window"),
    "labels": (window, "_labelled"),
    "drift": (watching, "check_drift"),
    "quality": (watching, "check_quality"),
    "performance": (watching, "scores_of"),
    "estimate": (watching, "estimated"),
}
"""What a check consists of: where it is called, and by what name."""

_PROJECT = "name: churn\ntask: {kind: binary}\ndata: {source: a.csv, target: churned}\n"


def measure(file: Path, rows: int, columns: int) -> dict[str, float]:
    """Return what one check of a whole log costs: seconds of CPU time and of the clock, peaks in MB.

    Args:
        file: The project file; its store holds the log.
        rows: Rows of the log.
        columns: Features.
    """
    file.write_text(_PROJECT, encoding="utf-8")
    place, span = open_place(file), Window(START, START + timedelta(days=rows / ROWS_A_DAY))
    version = Watched(
        ModelRef(name=MODEL, version=VERSION), START, START, contract(columns), _reference(place, columns)
    )
    spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    began, used = time.perf_counter(), time.process_time()
    with _timed(spent):
        seen = window.see(place, version, span)
        section = place.project.monitoring
        found = watching.look(
            seen, version.reference, version.contract, Past(), section, model=MODEL, made=span.end
        ).check
    costs = {"wall": time.perf_counter() - began, "cpu": time.process_time() - used, **spent, "peak": _peak()}
    _whole(seen, found, rows)
    used = time.process_time()
    with patch.object(monitoring_pages, "_track", return_value=(None, "")):
        pages = monitoring_pages.write_pages(place, "one", found, (), seen=seen, reference=version.reference)
    size = len(place.store.read(pages.report)) / 1e6
    return costs | {"report": time.process_time() - used, "report_peak": _peak(), "report_size": size}


def _whole(seen: Seen, found: Check, rows: int) -> None:
    """Make sure that nothing was left out."""
    assert (seen.sample.sample.rows, found.rows) == (rows, rows)
    assert [(one.rows, one.labelled) for one in found.performance if one.value is not None] == [(rows, rows // 2)]
    assert found.estimate is not None
    assert found.estimate.value is not None


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _timed(spent: dict[str, float]) -> Iterator[None]:
    """Add up the CPU time of every part of a check."""
    with ExitStack() as patches:
        for name, (module, called) in PARTS.items():
            patches.enter_context(patch.object(module, called, _adding(getattr(module, called), name, spent)))
        yield


def _adding(call: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.process_time()
        try:
            return call(*args, **kwargs)
        finally:
            spent[name] += time.process_time() - began

    return timed


def _reference(place: Place, columns: int) -> Reference:
    """Return a reference as large as one of so many columns can be, drawn from the first day."""
    about, day = contract(columns), Window(START, START + timedelta(days=1))
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // 2 // columns))
    test, training = (
        read_window(place.store, MODEL, day, about, versions={VERSION}, most=most, seed=seed).sample for seed in (1, 2)
    )
    chances = test.columns[f"{PROBABILITY}yes"].values
    y = (np.random.default_rng(3).random(len(chances)) < chances).astype(np.int64)
    value = score("roc_auc", y, Predictions(np.column_stack([1 - chances, chances])), threshold=0.5)
    facts = Facts(
        task=Task.BINARY,
        classes=about.classes,
        threshold=0.5,
        contract=about.digest,
        metric="roc_auc",
        score=Estimate(value=value, low=value - 0.01, high=value + 0.01),
        kinds={column.name: column.kind for column in (*features_of(about), *answers_of(about))},
        test=_counts(test),
        training=_counts(training),
    )
    features = {name: column for name, column in training.columns.items() if not is_answer(name)}
    return Reference(facts, test, Sample(training.rows, training.sampled, features), y, y)


def _counts(sample: Sample) -> Counts:
    named = sample.columns.items()
    return Counts(
        rows=sample.rows,
        missing={name: column.missing for name, column in named},
        new={name: column.new for name, column in named},
        outside={name: column.outside for name, column in named},
    )
