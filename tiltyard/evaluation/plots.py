"""Pictures of an evaluation, as PNG; drawn without a display and without global state."""

import io
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation import curves
from tiltyard.evaluation.records import Estimate, Scorecard, Verdict
from tiltyard.evaluation.terms import Floats, Labels
from tiltyard.evaluation.wording import amount, interval, title
from tiltyard.project.metrics import Task

_INK, _BLUE, _ORANGE, _GREY = "#222222", "#0072b2", "#d55e00", "#999999"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#222222")
"""Told apart by colour-blind readers too (Okabe & Ito 2008)."""
_MOST_CURVES = len(_COLOURS)
_MOST_POINTS = 5_000
_MOST_BARS = 15


def draw_plots(
    scorecard: Scorecard, y: Labels, predictions: Predictions, verdict: Verdict | None = None
) -> dict[str, bytes]:
    """Draw all pictures that suit the task.

    Args:
        scorecard: What the model is worth.
        y: True class codes or values of the rows that judged, shape (n,).
        predictions: The model's answers to them.
        verdict: What the gate decided, for the picture of the difference.

    Returns:
        PNG by name: `confusion`, `roc`, `pr`, `calibration`, `lift` (binary), `residuals` and `predicted`
        (regression), `slices`, `importance`, `difference`.
    """
    task = scorecard.task
    if task is Task.REGRESSION:
        pictures = dict(_regression(y, predictions))
    else:
        pictures = dict(_classification(scorecard, y, predictions))
    if scorecard.slices:
        pictures["slices"] = _draw_slices(scorecard)
    if scorecard.importance:
        pictures["importance"] = _draw_importance(scorecard)
    if verdict is not None and verdict.difference is not None:
        pictures["difference"] = _draw_difference(verdict, verdict.difference)
    return pictures


def draw_scores(challenger: Scorecard, champion: Scorecard | None = None) -> bytes:
    """Draw every score with its 95 % interval, each on a scale of its own, the metric that decides first.

    Args:
        challenger: What the challenger is worth.
        champion: What the champion is worth; None when there is none to compare with.

    Returns:
        A PNG picture.
    """
    names = [challenger.primary, *(name for name in challenger.metrics if name != challenger.primary)]
    figure = Figure(figsize=(6.4, 0.9 + 0.62 * len(names)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    models = [("challenger", challenger, _BLUE), *([("champion", champion, _ORANGE)] if champion else [])]
    for axes, metric in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        for place, (_, scorecard, colour) in enumerate(models):
            estimate = scorecard.metrics.get(metric)
            if estimate is not None:
                axes.plot([estimate.low, estimate.high], [-place, -place], color=colour, linewidth=2)
                axes.plot([estimate.value], [-place], "o", color=colour, markersize=5)
        axes.set_yticks([(1 - len(models)) / 2], [title(metric)], fontsize=9)
        axes.set_ylim(0.6 - len(models), 0.6)
        axes.margins(x=0.1)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.tick_params(axis="x", labelsize=7)
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
    for name, _, colour in models:
        figure.axes[0].plot([], [], "o-", color=colour, label=f"{name}, 95 % interval")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    figure.suptitle(f"Scores on {challenger.rows:,} test rows", fontsize=11, color=_INK, x=0.02, ha="left")
    return _png(figure)


def _classification(scorecard: Scorecard, y: Labels, predictions: Predictions) -> Iterator[tuple[str, bytes]]:
    assert predictions.probabilities is not None
    yield "confusion", _draw_confusion(scorecard)
    yield "roc", _draw_roc(scorecard, y, predictions.probabilities)
    yield "pr", _draw_pr(scorecard, y, predictions.probabilities)
    yield "calibration", _draw_calibration(scorecard, y, predictions.probabilities)
    if scorecard.task is Task.BINARY:
        yield "lift", _draw_lift(scorecard, y, predictions.probabilities)


def _regression(y: Labels, predictions: Predictions) -> Iterator[tuple[str, bytes]]:
    assert predictions.values is not None
    chosen = np.linspace(0, len(y) - 1, min(len(y), _MOST_POINTS)).astype(np.int64)
    truth, answers = np.asarray(y, dtype=np.float64), predictions.values
    yield "predicted", _draw_predicted(truth[chosen], answers[chosen])
    yield "residuals", _draw_residuals(answers[chosen], truth[chosen] - answers[chosen])


def _axes(heading: str, across: str, up: str, size: tuple[float, float] = (5.2, 4.2)) -> tuple[Figure, Axes]:
    """Return a figure with one plain pair of axes."""
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(heading, fontsize=11, color=_INK, loc="left")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", metadata={"Software": ""})
    return target.getvalue()


def _plain(text: str) -> str:
    """Return a text that the drawing library does not read as mathematics."""
    return text.replace("$", r"\$")


def _short(name: str, most: int = 28) -> str:
    return _plain(name if len(name) <= most else f"{name[: most - 1]}…")


def _curves_of(scorecard: Scorecard, y: Labels, probabilities: Floats) -> Iterator[tuple[str, str, Floats, Floats]]:
    """Yield (name, colour, 0/1 truth, scores) of the positive class, or of the classes with most rows."""
    if scorecard.task is Task.BINARY:
        yield scorecard.classes[1], _BLUE, (y == 1).astype(np.float64), probabilities[:, 1]
        return
    sizes = np.bincount(y.astype(np.int64), minlength=len(scorecard.classes))
    for colour, code in zip(_COLOURS, np.argsort(-sizes, kind="stable")[:_MOST_CURVES], strict=False):
        if 0 < sizes[code] < len(y):
            yield scorecard.classes[code], colour, (y == code).astype(np.float64), probabilities[:, code]


def _with_score(heading: str, metric: str, scorecard: Scorecard) -> str:
    """Return a heading with the metric and its interval."""
    estimate = scorecard.metrics.get(metric)
    if estimate is None:
        return heading
    return f"{heading}: {title(metric)} {amount(metric, estimate.value)} ({interval(metric, estimate)})"


def _draw_confusion(scorecard: Scorecard) -> bytes:
    counts = np.array(scorecard.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = len(scorecard.classes)
    side = float(np.clip(2.6 + 0.5 * classes, 4.2, 11))
    figure, axes = _axes("Confusion: rows by true class", "predicted", "true", (side + 0.6, side))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_short(name, 16) for name in scorecard.classes]
    axes.set_xticks(range(classes), names, rotation=0 if classes <= 4 else 90)
    axes.set_yticks(range(classes), names)
    for true, predicted in np.ndindex(classes, classes) if classes <= 20 else ():
        text = f"{counts[true, predicted]:,}" + (f"\n{shares[true, predicted]:.0%}" if classes <= 6 else "")
        colour = "white" if shares[true, predicted] > 0.55 else _INK
        axes.text(predicted, true, text, ha="center", va="center", color=colour, fontsize=9 if classes <= 6 else 7)
    return _png(figure)


def _draw_roc(scorecard: Scorecard, y: Labels, probabilities: Floats) -> bytes:
    heading = _with_score("ROC", "roc_auc", scorecard)
    figure, axes = _axes(heading, "false positives, share of negatives", "true positives, share of positives")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="by chance")
    for name, colour, truth, scores in _curves_of(scorecard, y, probabilities):
        axes.plot(*curves.roc(truth, scores), color=colour, label=_short(name))
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return _png(figure)


def _draw_pr(scorecard: Scorecard, y: Labels, probabilities: Floats) -> bytes:
    figure, axes = _axes(_with_score("Precision and recall", "pr_auc", scorecard), "recall", "precision")
    for name, colour, truth, scores in _curves_of(scorecard, y, probabilities):
        axes.step(*curves.precision_recall(truth, scores), where="pre", color=colour, label=_short(name))
        axes.axhline(truth.mean(), color=colour, linewidth=0.8, linestyle="--")
    axes.plot([], [], color=_GREY, linewidth=0.8, linestyle="--", label="share of the class")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, fontsize=8, loc="best")
    return _png(figure)


def _draw_calibration(scorecard: Scorecard, y: Labels, probabilities: Floats) -> bytes:
    if scorecard.task is Task.BINARY:
        said, came = probabilities[:, 1], (y == 1).astype(np.float64)
        across, up = f"predicted probability of {_short(scorecard.classes[1])}", "observed share"
    else:
        said, came = probabilities.max(axis=1), (probabilities.argmax(axis=1) == y).astype(np.float64)
        across, up = "probability of the likeliest class", "share that was right"
    figure, axes = _axes(_with_score("Calibration", "ece", scorecard), across, up)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="perfect")
    means, shares, lows, highs = curves.calibration(said, came)
    errors = np.clip([shares - lows, highs - shares], 0, None)
    axes.errorbar(means, shares, yerr=errors, color=_BLUE, marker="o", markersize=4, capsize=2, label="95 % interval")
    below = axes.inset_axes((0, 0, 1, 0.12), sharex=axes)
    below.hist(said, bins=40, range=(0, 1), color=_BLUE, alpha=0.3)
    below.axis("off")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _png(figure)


def _draw_lift(scorecard: Scorecard, y: Labels, probabilities: Floats) -> bytes:
    reached, found = curves.gains((y == 1).astype(np.float64), probabilities[:, 1])
    heading = f"Lift: how many of {_short(scorecard.classes[1])} the top rows hold"
    figure, axes = _axes(heading, "share of rows, likeliest first", "share of the class found")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--", label="by chance")
    axes.plot([0, float(np.mean(y == 1)), 1], [0, 1, 1], color=_GREY, linewidth=1, linestyle=":", label="perfect")
    axes.plot(reached, found, color=_BLUE, label="model")
    for share in (0.1, 0.2):
        part = float(np.interp(share, reached, found))
        axes.plot([share], [part], "o", color=_ORANGE, markersize=4)
        label = f"top {share:.0%}: {part / share:.1f} times chance"
        white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.annotate(label, (share, part), xytext=(8, -12), textcoords="offset points", fontsize=8, bbox=white)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return _png(figure)


def _draw_predicted(truth: Floats, answers: Floats) -> bytes:
    figure, axes = _axes("Predicted against true", "true", "predicted")
    ends = [float(min(truth.min(), answers.min())), float(max(truth.max(), answers.max()))]
    axes.plot(ends, ends, color=_GREY, linewidth=1, linestyle="--", label="perfect")
    axes.scatter(truth, answers, s=6, alpha=0.3, color=_BLUE, linewidths=0)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _png(figure)


def _draw_residuals(answers: Floats, residuals: Floats) -> bytes:
    figure, axes = _axes("Residuals: true minus predicted", "predicted", "residual")
    axes.axhline(0, color=_GREY, linewidth=1, linestyle="--")
    axes.scatter(answers, residuals, s=6, alpha=0.3, color=_BLUE, linewidths=0)
    centres, medians = curves.running_median(answers, residuals)
    axes.plot(centres, medians, color=_ORANGE, label="median of neighbours")
    beside = axes.inset_axes((1.02, 0, 0.18, 1), sharey=axes)
    beside.hist(residuals, bins=40, orientation="horizontal", color=_BLUE, alpha=0.5)
    beside.axis("off")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _png(figure)


def _bars(axes: Axes, names: list[str], estimates: list[Estimate], colours: list[str]) -> None:
    """Draw estimates with their intervals, the first on top."""
    places = np.arange(len(names))[::-1]
    for place, estimate, colour in zip(places, estimates, colours, strict=True):
        axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2)
        axes.plot([estimate.value], [place], "o", color=colour, markersize=5)
    axes.set_yticks(places, names, fontsize=8)


def _draw_slices(scorecard: Scorecard) -> bytes:
    shown = scorecard.slices[:_MOST_BARS]
    heading = f"The weakest {len(shown)} of {len(scorecard.slices)} groups"
    across = f"{title(scorecard.primary)}, 95 % interval"
    figure, axes = _axes(heading, across, "", (6.4, 1.4 + 0.28 * len(shown)))
    overall = scorecard.metrics.get(scorecard.primary)
    if overall is not None:
        axes.axvline(overall.value, color=_GREY, linewidth=1, linestyle="--", label="all rows")
    names = [f"{_short(one.column, 18)} = {_short(one.level)} ({one.rows:,})" for one in shown]
    real = [one.p_value is not None and one.p_value <= 0.05 for one in shown]
    _bars(axes, names, [one.score for one in shown], [_ORANGE if weak else _BLUE for weak in real])
    axes.plot([], [], "o-", color=_ORANGE, label="weaker than the others, not by luck")
    axes.plot([], [], "o-", color=_BLUE, label="can be luck")
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    return _png(figure)


def _draw_importance(scorecard: Scorecard) -> bytes:
    shown = scorecard.importance[:_MOST_BARS]
    across = f"drop of {title(scorecard.primary)} when the column is shuffled"
    figure, axes = _axes("What the model relies on", across, "", (6.4, 1.2 + 0.28 * len(shown)))
    axes.axvline(0, color=_GREY, linewidth=1, linestyle="--")
    names = [_short(name) for name, _ in shown]
    _bars(axes, names, [estimate for _, estimate in shown], [_BLUE] * len(shown))
    return _png(figure)


def _draw_difference(verdict: Verdict, difference: Estimate) -> bytes:
    heading = f"Challenger minus champion, {verdict.rows:,} rows: {verdict.outcome}"
    across = f"difference of {title(verdict.metric)}, positive is better"
    figure, axes = _axes(heading, across, "", (6.4, 1.9))
    axes.axvline(0, color=_INK, linewidth=1)
    if verdict.margin is not None:
        axes.axvspan(
            -verdict.margin, verdict.margin, color=_GREY, alpha=0.25, linewidth=0, label="smaller than matters"
        )
    colour = {"promote": "#009e73", "refuse": _ORANGE, "inconclusive": _BLUE}[verdict.outcome]
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _bars(axes, ["95 % interval"], [difference], [colour])
    axes.set_ylim(-0.8, 0.8)
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    return _png(figure)
