"""Pictures over time, as PNG: score, drift by column, traffic, labels; drawn without a display or global state."""

import io
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from tiltyard.evaluation import records
from tiltyard.evaluation.wording import amount, title
from tiltyard.monitoring.findings import Level
from tiltyard.monitoring.points import Point

_INK, _BLUE, _ORANGE, _GREEN, _GREY = "#222222", "#0072b2", "#d55e00", "#009e73", "#999999"
"""Told apart by colour-blind readers too (Okabe & Ito 2008)."""
_HEAT = ("#f3f3f3", "#b9d4e6", "#e69f00", "#a23b00")
"""Nothing, note, warning, alarm: also darker each time, so that they are told apart in grey."""
_LEVELS: dict[Level, int] = {"note": 1, "warning": 2, "alarm": 3}
_MOST_COLUMNS = 25
_MOST_LETTERS = 31
_MOST_DATES = 8
_WIDTH = 8.0


def draw_charts(points: Sequence[Point], metric: str, reference: records.Estimate | None = None) -> dict[str, bytes]:
    """Draw how a champion has done, check by check.

    Args:
        points: Past windows in any order, from `points_of`.
        metric: Name of the metric of the scores.
        reference: The champion's score on its own test rows.

    Returns:
        PNG by name: `score` where there is any, `drift`, `traffic`, `labels`; nothing for no windows.
    """
    if not points:
        return {}
    ordered = sorted(points, key=lambda point: point.end)
    pictures = {}
    if any(point.score or point.estimate for point in ordered):
        pictures["score"] = _draw_score(ordered, metric, reference)
    checked = [point for point in ordered if point.checked]
    if checked:
        pictures["drift"] = _draw_drift(checked)
        pictures["traffic"] = _draw_traffic(checked)
    pictures["labels"] = _draw_labels(ordered)
    return pictures


def _axes(heading: str, up: str, height: float) -> tuple[Figure, Axes]:
    """Return a figure with one plain pair of axes."""
    figure = Figure(figsize=(_WIDTH, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(heading, fontsize=11, color=_INK, loc="left")
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in letters that the font lacks is drawn as boxes
        figure.savefig(target, format="png", metadata={"Software": ""})
    return target.getvalue()


def _plain(text: str, most: int = 30) -> str:
    """Return a text that is short enough, and that the drawing library does not read as mathematics."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def _days(points: Iterable[Point]) -> list[float]:
    return [float(date2num(point.end.astimezone(UTC))) for point in points]  # type: ignore[no-untyped-call]


def _date_axis(axes: Axes, points: Sequence[Point]) -> None:
    """Write dates below, with room for a bar at both ends."""
    days = _days(points)
    room = max(_step(days), (days[-1] - days[0]) * 0.02)
    axes.set_xlim(days[0] - room, days[-1] + room)
    locator = AutoDateLocator(minticks=2, maxticks=_MOST_DATES, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))  # type: ignore[no-untyped-call]
    axes.set_xlabel("end of the window, UTC")


def _step(days: Sequence[float]) -> float:
    """Return the usual time between two checks, in days; an hour for a single one."""
    gaps = np.diff(np.unique(days))
    return float(np.median(gaps)) if len(gaps) else timedelta(hours=1) / timedelta(days=1)


def _draw_score(points: Sequence[Point], metric: str, reference: records.Estimate | None) -> bytes:
    figure, axes = _axes(f"{title(metric)} over time", title(metric), 3.6)
    if reference is not None:
        axes.axhspan(reference.low, reference.high, color=_GREY, alpha=0.25, linewidth=0)
        axes.axhline(reference.value, color=_GREY, linewidth=1)
    _estimates(axes, [point for point in points if point.estimate])
    _scores(axes, [point for point in points if point.score])
    _changes(axes, points)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(metric, value)))
    axes.margins(y=0.18)
    _date_axis(axes, points)
    figure.legend(
        handles=_score_legend(points, reference), frameon=False, fontsize=8, loc="outside lower center", ncols=3
    )
    return _png(figure)


def _scores(axes: Axes, points: Sequence[Point]) -> None:
    """Draw what labels say; the line is broken where another version answers."""
    scores = [point.score for point in points if point.score]
    days = _days(points)
    axes.vlines(days, [one.low for one in scores], [one.high for one in scores], color=_BLUE, linewidth=2)
    for version in dict.fromkeys(point.version for point in points):
        chosen = [place for place, point in enumerate(points) if point.version == version]
        places, values = [days[place] for place in chosen], [scores[place].value for place in chosen]
        axes.plot(places, values, "o-", color=_BLUE, markersize=5, linewidth=1, zorder=3)


def _estimates(axes: Axes, points: Sequence[Point]) -> None:
    """Draw what is estimated, hollow and broken: it is no measurement."""
    step = 0.12 * _step(_days(points)) if points else 0.0
    for trusted, symbol, colour in ((True, "D", _ORANGE), (False, "x", _GREY)):
        chosen = [point for point in points if point.trusted is trusted]
        found = [point.estimate for point in chosen if point.estimate]
        days = [day + step for day in _days(chosen)]
        lows, highs = [one.low for one in found], [one.high for one in found]
        axes.vlines(days, lows, highs, color=colour, linewidth=1, linestyles="dashed")
        axes.plot(days, [one.value for one in found], symbol, color=colour, markersize=5, markerfacecolor="white")


def _changes(axes: Axes, points: Sequence[Point]) -> None:
    """Mark where another version answers, and where the policy acted."""
    for before, after in pairwise(points):
        if after.version is not None and after.version != before.version:
            day = sum(_days((before, after))) / 2
            axes.axvline(day, color=_GREEN, linewidth=1, linestyle=":")
            axes.annotate(
                f"version {after.version}",
                (day, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -10),
                textcoords="offset points",
                fontsize=8,
                color="#00714f",
            )
    for point in points:
        if point.action != "none":
            colour = _INK if point.action == "retrain" else _ORANGE
            axes.plot(_days([point]), [0.035], "^", color=colour, markersize=8, transform=axes.get_xaxis_transform())


def _score_legend(points: Sequence[Point], reference: records.Estimate | None) -> list[Line2D | Patch]:
    """Name only what is drawn."""

    def line(style: str, colour: str, label: str, **more: str) -> Line2D:
        kind = {"o": "-", "D": "--", "x": "--"}.get(style, "none")
        return Line2D([], [], marker=style, color=colour, linestyle=kind, markersize=5, label=label, **more)  # type: ignore[arg-type]

    handles: list[Line2D | Patch] = []
    if any(point.score for point in points):
        handles.append(line("o", _BLUE, "measured with labels, 95 % interval"))
    if any(point.estimate and point.trusted for point in points):
        handles.append(line("D", _ORANGE, "estimate without labels", markerfacecolor="white"))
    if any(point.estimate and not point.trusted for point in points):
        handles.append(line("x", _GREY, "estimate that does not hold"))
    if reference is not None:
        handles.append(Patch(color=_GREY, alpha=0.35, label="champion's own test, 95 % interval"))
    for action, colour, label in (("retrain", _INK, "retraining asked for"), ("alert", _ORANGE, "alert")):
        if any(point.action == action for point in points):
            handles.append(line("^", colour, label))
    return handles


def _draw_drift(points: Sequence[Point]) -> bytes:
    """Draw columns down, checks across; the worst columns on top."""
    columns = _worst_columns(points)
    shown = columns[:_MOST_COLUMNS]
    rest = f", the worst {len(shown)} of {len(columns)} columns" if len(columns) > len(shown) else ""
    heading = f"Drift by column{rest}" if columns else "Drift by column: none was found in any check"
    figure, axes = _axes(heading, "", 1.5 + 0.27 * max(len(shown), 1))
    places = {column: place for place, column in enumerate(shown)}
    levels = np.zeros((max(len(shown), 1), len(points)))
    letters: dict[tuple[int, int], str] = {}
    for across, point in enumerate(points):
        for mark in point.marks:
            place = places.get(mark.column)
            if place is not None and _LEVELS[mark.level] > levels[place, across]:
                levels[place, across] = _LEVELS[mark.level]
                letters[place, across] = mark.test[0].upper()
    axes.pcolormesh(levels, cmap=ListedColormap(_HEAT), vmin=-0.5, vmax=3.5, edgecolors="white", linewidth=1)
    axes.invert_yaxis()
    if len(points) <= _MOST_LETTERS:
        _write_letters(axes, letters, levels)
    _heat_axes(axes, points, shown)
    _heat_legend(figure, letters, points)
    return _png(figure)


def _write_letters(
    axes: Axes, letters: dict[tuple[int, int], str], levels: "np.ndarray[tuple[int, int], np.dtype[np.float64]]"
) -> None:
    for (down, across), letter in letters.items():
        colour = "white" if levels[down, across] == _LEVELS["alarm"] else _INK
        axes.text(across + 0.5, down + 0.5, letter, ha="center", va="center", fontsize=8, color=colour)


def _worst_columns(points: Sequence[Point]) -> list[str]:
    """Return the columns with findings: those with the most and gravest of them first, then by name."""
    weights: dict[str, int] = {}
    for point in points:
        worst: dict[str, int] = {}
        for mark in point.marks:
            worst[mark.column] = max(worst.get(mark.column, 0), 10 ** _LEVELS[mark.level])
        for column, weight in worst.items():
            weights[column] = weights.get(column, 0) + weight
    return sorted(weights, key=lambda column: (-weights[column], column))


def _heat_axes(axes: Axes, points: Sequence[Point], shown: Sequence[str]) -> None:
    axes.set_yticks([place + 0.5 for place in range(len(shown))], [_plain(name) for name in shown], fontsize=8)
    every = -(-len(points) // _MOST_DATES)
    chosen = range(0, len(points), every)
    short = "%d %b" if points[-1].end - points[0].end > timedelta(days=2) else "%d %b %H:%M"
    axes.set_xticks(
        [place + 0.5 for place in chosen], [f"{points[place].end.astimezone(UTC):{short}}" for place in chosen]
    )
    axes.tick_params(axis="both", length=0, labelsize=8)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_xlabel("check, by the end of its window, UTC")


def _heat_legend(figure: Figure, letters: dict[tuple[int, int], str], points: Sequence[Point]) -> None:
    handles = [Patch(color=colour, label=name) for name, colour in zip(("nothing", *_LEVELS), _HEAT, strict=True)]
    figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside upper right", ncols=4)
    tests = sorted({mark.test for point in points for mark in point.marks})
    if letters and len(points) <= _MOST_LETTERS:
        said = ", ".join(f"{test[0].upper()} {test.replace('_', ' ')}" for test in tests)
        figure.supxlabel(said, fontsize=8, color="#555555")


def _draw_traffic(points: Sequence[Point]) -> bytes:
    figure, axes = _axes("Traffic: predictions in each window", "predictions", 2.7)
    days = _days(points)
    width = 0.8 * _step(days)
    axes.bar(days, [point.rows for point in points], width=width, color="#b9d4e6", label="predictions")
    axes.bar(days, [point.labelled for point in points], width=width, color=_BLUE, label="with a label")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(0, None if any(point.rows for point in points) else 1)
    _date_axis(axes, points)
    figure.legend(frameon=False, fontsize=8, loc="outside upper right", ncols=2)
    return _png(figure)


def _draw_labels(points: Sequence[Point]) -> bytes:
    figure, axes = _axes("Labels: share of each window's predictions that have one", "labelled", 2.4)
    seen = [point for point in points if point.rows]
    shares = [point.labelled / point.rows for point in seen]
    axes.plot(_days(seen), shares, "o-", color=_BLUE, markersize=4)
    axes.fill_between(_days(seen), shares, color=_BLUE, alpha=0.12, linewidth=0)
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _date_axis(axes, points)
    return _png(figure)
