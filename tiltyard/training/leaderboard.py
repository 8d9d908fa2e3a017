"""What was tried, as a table and as a picture."""

import io
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tiltyard.project.metrics import METRICS
from tiltyard.training.problem import SearchResult, TrialRecord, oriented
from tiltyard.training.space import Scalar


def leaderboard(result: SearchResult) -> pd.DataFrame:
    """Return everything tried, the best first.

    Full trials come before cut-off ones and first looks, whose scores are over other folds or rows.

    Args:
        result: A finished search.

    Returns:
        One row per trial: `rank`, `family`, `score`, `state` (`complete`, `pruned`, `unfinished`, `failed`,
        `first look`), `folds`, `rows`, `iterations`, `seconds`, `finished`, `parameters` (as text), `number`, `error`.
    """
    ordered = sorted(result.trials, key=lambda one: _place(one, result.metric))
    return pd.DataFrame(
        [
            {
                "rank": place,
                "family": one.family,
                "score": one.score,
                "state": "first look" if one.screening and one.state == "complete" else one.state,
                "folds": len(one.folds),
                "rows": one.rows,
                "iterations": one.iterations,
                "seconds": round(one.seconds, 3),
                "finished": round(one.finished, 3),
                "parameters": ", ".join(f"{key} {_short(value)}" for key, value in one.parameters.items()),
                "number": one.number,
                "error": one.error,
            }
            for place, one in enumerate(ordered, start=1)
        ]
    )


def leaderboard_plot(result: SearchResult) -> bytes:
    """Draw score over time, a colour per family, with the line of the best so far.

    The scale spans the better full trials; hopeless ones lie outside.

    Args:
        result: A finished search.

    Returns:
        A PNG picture.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    tried = [one for one in result.trials if one.score is not None]
    for index, name in enumerate(dict.fromkeys(one.family for one in tried)):
        own = [one for one in tried if one.family == name]
        axes.scatter([], [], s=28, color=f"C{index}", label=name)
        for full, marker, alpha in ((True, "o", 0.9), (False, "x", 0.35)):
            points = [(one.finished, one.score) for one in own if _is_full(one) is full]
            x, y = zip(*points, strict=True) if points else ((), ())
            axes.scatter(x, y, s=28, marker=marker, alpha=alpha, color=f"C{index}")
    line = _best_so_far(result)
    axes.step([time for time, _ in line], [score for _, score in line], where="post", color="black", lw=1, zorder=0)
    axes.set_ylim(*_limits(result))
    axes.set_xlabel("seconds")
    axes.set_ylabel(METRICS[result.metric].title)
    axes.set_title(result.sentence, fontsize=9, wrap=True)
    axes.legend(fontsize=8, title="cross: on fewer folds or rows", title_fontsize=8, ncols=3, loc="lower right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()


def write_leaderboard(result: SearchResult, folder: Path) -> tuple[Path, Path]:
    """Write table and picture.

    Args:
        result: A finished search.
        folder: Where `leaderboard.csv` and `leaderboard.png` go.

    Returns:
        The two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table, picture = folder / "leaderboard.csv", folder / "leaderboard.png"
    leaderboard(result).to_csv(table, index=False)
    picture.write_bytes(leaderboard_plot(result))
    return table, picture


def _is_full(one: TrialRecord) -> bool:
    return one.state == "complete" and not one.screening


def _place(one: TrialRecord, metric: str) -> tuple[bool, bool, int, float, int]:
    """Return what a trial is sorted by."""
    value = float("-inf") if one.score is None else oriented(metric, one.score)
    return (one.score is None, not _is_full(one), -len(one.folds), -value, one.number)


def _best_so_far(result: SearchResult) -> list[tuple[float, float]]:
    """Return time and score of every new best among the full trials, up to the end of the search."""
    line: list[tuple[float, float]] = []
    for one in sorted(filter(_is_full, result.trials), key=lambda trial: trial.finished):
        assert one.score is not None
        if not line or oriented(result.metric, one.score) > oriented(result.metric, line[-1][1]):
            line.append((one.finished, one.score))
    return [*line, (result.seconds, line[-1][1])] if line else []


def _limits(result: SearchResult) -> tuple[float, float]:
    """Return the limits of the score axis: around the full trials, the baseline and other hopeless ones left out."""
    full = [one.score for one in result.trials if one.score is not None and _is_full(one)]
    values = sorted(full or [one.score for one in result.trials if one.score is not None])
    drop = len(values) // 4
    kept = values[drop:] if METRICS[result.metric].greater_is_better else values[: len(values) - drop]
    margin = max(0.6 * (kept[-1] - kept[0]), 2e-3 * abs(kept[-1]), 1e-9)
    return kept[0] - margin, kept[-1] + margin


def _short(value: Scalar) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
