"""`/metrics`: the counts of a server as Prometheus reads them (text format 0.0.4)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import tiltyard
from tiltyard.evaluation.evidence import LATENCY_BOUNDS
from tiltyard.serving import metrics
from tiltyard.serving.checks import read_checks
from tiltyard.serving.counting import Numbers
from tiltyard.serving.metrics import Totals, totals

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_VERSION = ("model", "version", "slot")


class Family(NamedTuple):
    """One metric.

    Attributes:
        name: As Prometheus knows it, after `tiltyard_`.
        kind: `counter`, `gauge` or `histogram`.
        help: What it counts.
        series: Name of the series it is made from.
        labels: Names of the series' labels.
        which: Which of the totals.
        bounds: Upper bounds of a histogram's buckets.
    """

    name: str
    kind: str
    help: str
    series: str
    labels: tuple[str, ...] = ()
    which: Callable[[Totals], Numbers] = lambda found: found.sums
    bounds: tuple[float, ...] = ()


def _living(found: Totals) -> Numbers:
    return found.living


def _largest(found: Totals) -> Numbers:
    return found.largest


FAMILIES = (
    Family(
        "requests_total",
        "counter",
        "Requests answered. Model and version are empty where none was concerned.",
        metrics.REQUESTS,
        (*_VERSION, "protocol", "code"),
    ),
    Family(
        "request_seconds",
        "histogram",
        "Time from a request's last byte to its answer.",
        metrics.SECONDS,
        _VERSION,
        bounds=LATENCY_BOUNDS,
    ),
    Family("rows_total", "counter", "Rows answered.", metrics.ROWS, _VERSION),
    Family("predictions_total", "counter", "Answers by class.", metrics.CLASSES, (*_VERSION, "class")),
    Family(
        "predicted_value",
        "histogram",
        "Values predicted by a regression.",
        metrics.VALUES,
        _VERSION,
        bounds=metrics.VALUE_BOUNDS,
    ),
    Family(
        "candidate_failures_total",
        "counter",
        "Requests that a candidate should have answered and the champion did.",
        metrics.FAILED,
        _VERSION,
    ),
    Family(
        "unknown_categories_total",
        "counter",
        "Values of a category that training had never seen.",
        metrics.UNKNOWN,
        ("model", "column"),
    ),
    Family(
        "unexpected_columns_total",
        "counter",
        "Columns in requests that the model does not know.",
        metrics.UNEXPECTED,
        ("model",),
    ),
    Family("requests_in_flight", "gauge", "Requests that have begun and not ended.", metrics.IN_FLIGHT, (), _living),
    Family("version_loaded", "gauge", "Workers that have a version loaded.", metrics.LOADED, _VERSION, which=_living),
    Family("workers", "gauge", "Processes that answer.", metrics.WORKERS, (), _living),
    Family("log_records_total", "counter", "Records written to the prediction log.", metrics.LOG_WRITTEN),
    Family("log_records_missing_total", "counter", "Answers sent without a place in the log.", metrics.LOG_MISSING),
    Family("log_refusals_total", "counter", "Requests refused for want of a place in the log.", metrics.LOG_REFUSED),
    Family(
        "sidecar_last_look_timestamp_seconds",
        "gauge",
        "When the sidecar last looked at the registry.",
        metrics.LOOKED,
        (),
        _largest,
    ),
    Family(
        "sidecar_last_success_timestamp_seconds",
        "gauge",
        "When a look of the sidecar last found no trouble.",
        metrics.SUCCEEDED,
        (),
        _largest,
    ),
)
"""Every metric that is made from the counts."""


def exposition(folder: Path, gauges: Mapping[str, tuple[str, float]], *, now: float) -> bytes:
    """Return the counts of a server in Prometheus's text format, and what the last checks of its models found.

    Args:
        folder: Where the pages of its processes are.
        gauges: Further numbers: name after `tiltyard_` → what it is, and the number.
        now: UTC, seconds since 1970.
    """
    found = totals(folder)
    lines = [line for family in FAMILIES for line in _lines(family, family.which(found))]
    for name, (told, value) in {**gauges, **_since(found, now)}.items():
        lines += [*_head(name, "gauge", told), _line(name, (), value)]
    for figure in read_checks(folder):
        lines += _head(figure.name, "gauge", figure.help)
        lines += [_line(figure.name, tuple(one.labels.items()), one.value) for one in figure.samples]
    lines += [
        *_head("build_info", "gauge", "Version of Tiltyard."),
        _line("build_info", (("version", tiltyard.__version__),), 1),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _since(found: Totals, now: float) -> dict[str, tuple[str, float]]:
    """Return how long ago the sidecar looked with success, once it has."""
    ((last, *_), *_) = [*(numbers for key, numbers in found.largest.items() if key.name == metrics.SUCCEEDED), (0.0,)]
    told = "Time since a look of the sidecar last found no trouble."
    return {"sidecar_seconds_since_success": (told, max(0.0, now - last))} if last else {}


def _head(name: str, kind: str, told: str) -> tuple[str, str]:
    return f"# HELP tiltyard_{name} {told}", f"# TYPE tiltyard_{name} {kind}"


def _lines(family: Family, numbers: Numbers) -> Iterator[str]:
    """Yield the lines of one metric; none when nothing was counted."""
    found = [(labels, values) for (name, labels), values in numbers.items() if name == family.series]
    if not found:
        return
    yield from _head(family.name, family.kind, family.help)
    for labels, values in found:
        pairs = tuple(zip(family.labels, labels, strict=False))
        if family.bounds:
            yield from _histogram(family, pairs, values)
        else:
            yield _line(family.name, pairs, values[0])


def _histogram(family: Family, pairs: Sequence[tuple[str, str]], values: Sequence[float]) -> Iterator[str]:
    """Yield buckets, each with all below it, count and sum."""
    *counts, total = values
    up_to = list(accumulate(counts))
    for bound, count in zip([*map(_number, family.bounds), "+Inf"], up_to, strict=True):
        yield _line(f"{family.name}_bucket", (*pairs, ("le", bound)), count)
    yield _line(f"{family.name}_sum", pairs, total)
    yield _line(f"{family.name}_count", pairs, up_to[-1])


def _line(name: str, pairs: Sequence[tuple[str, str]], value: float) -> str:
    labels = ",".join(f'{label}="{_escaped(text)}"' for label, text in pairs)
    return f"tiltyard_{name}{{{labels}}} {_number(value)}" if labels else f"tiltyard_{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
