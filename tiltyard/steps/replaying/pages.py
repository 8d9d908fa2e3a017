"""A replay as a picture and as a page for people: scores over time, strategy by strategy, and what was trained."""

import base64
import io
from collections.abc import Sequence
from datetime import datetime
from html import escape

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tiltyard.evaluation.wording import amount, change, title
from tiltyard.steps.replaying.outcome import Replay, Track

_COLOURS = ("#999999", "#e69f00", "#56b4e9", "#cc79a7", "#009e73")
_POLICY = "#0072b2"
"""Told apart by colour-blind readers too (Okabe & Ito 2008)."""
_INK = "#222222"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem } img { max-width: 100% }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; vertical-align: top }
td, th { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #ddd } .number { text-align: right }
"""


def draw_replay(replay: Replay) -> bytes:
    """Draw the score of every window under every strategy, as PNG; promotions are marked below.

    Args:
        replay: The replay.
    """
    tracks = replay.tracks
    figure = Figure(figsize=(9, 4.2 + 0.25 * len(tracks)), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    scores, marks = figure.subplots(2, 1, sharex=True, height_ratios=(4, 0.35 * len(tracks)))
    for place, track in enumerate(tracks):
        colour = _colour(track, place)
        _draw_scores(scores, track, colour)
        _draw_retrainings(marks, track, len(tracks) - 1 - place, colour)
    scores.set_title(f"{title(replay.metric)} over time", loc="left", fontsize=11, color=_INK)
    scores.yaxis.set_major_locator(MaxNLocator(6))
    scores.yaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(replay.metric, value)))
    marks.set_yticks(range(len(tracks)), [track.strategy for track in reversed(tracks)], fontsize=8)
    marks.set_ylim(-0.6, len(tracks) - 0.4)
    marks.set_xlabel("retrainings: filled where the new model took over", fontsize=8)
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    marks.xaxis.set_major_locator(locator)
    marks.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    for axes in (scores, marks):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    scores.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.02), ncols=3)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _colour(track: Track, place: int) -> str:
    return _POLICY if track.strategy == "policy" else _COLOURS[place % len(_COLOURS)]


def _draw_scores(axes: Axes, track: Track, colour: str) -> None:
    found = [(one.start + (one.end - one.start) / 2, one.score) for one in track.windows if one.score is not None]
    days = _days([middle for middle, _ in found])
    axes.plot(days, [score.value for _, score in found], color=colour, linewidth=1.4, label=track.title)
    if track.strategy == "policy":
        lows, highs = [score.low for _, score in found], [score.high for _, score in found]
        axes.fill_between(days, lows, highs, color=colour, alpha=0.15, linewidth=0)


def _draw_retrainings(axes: Axes, track: Track, height: int, colour: str) -> None:
    for promoted in (True, False):
        days = _days([one.at for one in track.retrainings if one.promoted is promoted])
        face = colour if promoted else "white"
        axes.plot(days, [height] * len(days), "o", color=colour, markerfacecolor=face, markersize=4)


def _days(moments: Sequence[datetime]) -> list[float]:
    return [float(date2num(one)) for one in moments]  # type: ignore[no-untyped-call]


def replay_page(replay: Replay) -> str:
    """Return the replay as an HTML page that needs nothing beside itself.

    Args:
        replay: The replay.
    """
    picture = base64.b64encode(draw_replay(replay)).decode()
    rows = "".join(_row(replay, track) for track in replay.tracks)
    told = "".join(_story(track) for track in replay.tracks if track.retrainings or track.alerts)
    heads = ("strategy", "mean score", "against never", "retrainings", "promotions", "alerts")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Replay of {escape(replay.name)}</title>'
        f"<style>{_STYLE}</style><h1>Replay of {escape(replay.name)}</h1><p>{escape(setting(replay))}</p>"
        f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{rows}</table>"
        f'<p><img alt="Scores over time, strategy by strategy" src="data:image/png;base64,{picture}"></p>'
        f"{told}</html>\n"
    )


def setting(replay: Replay) -> str:
    """Say in a few sentences what was replayed."""
    reach = f" Each model learnt from the last {replay.history} of what was known." if replay.history else ""
    return (
        f"{replay.rows:,} rows; the first {replay.first_rows:,} trained a {replay.family} model, which answered from "
        f"{replay.start:%Y-%m-%d} on, until {replay.end:%Y-%m-%d}. Windows of {replay.window}; labels came after "
        f"{replay.labels_after}.{reach} {title(replay.metric)} of the first model on its own test rows: "
        f"{amount(replay.metric, replay.first.value)}. The mean score weighs each window by its rows."
    )


def figures(replay: Replay, track: Track) -> tuple[str, ...]:
    """Return what a table says of a strategy: its name, mean score, gain, retrainings, promotions and alerts."""
    gain = replay.gain(track.strategy)
    better = "" if gain is None or track.strategy == "never" else f"{change(replay.metric, gain)} better"
    if gain is not None and gain < 0:
        better = f"{change(replay.metric, -gain).lstrip('+')} worse"
    mean = "" if track.mean is None else amount(replay.metric, track.mean)
    counts = (len(track.retrainings), track.promotions, track.alerts)
    return (track.strategy, mean, better.lstrip("+"), *map(str, counts))


def _row(replay: Replay, track: Track) -> str:
    name, *rest = figures(replay, track)
    shown = escape(name) + (f" ({escape(track.title)})" if track.title != name else "")
    return f"<tr><td>{shown}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"


def _story(track: Track) -> str:
    """Return what a strategy did, in order."""
    acts = [(one.at, "alert", one.reason, "") for one in track.decisions if one.action == "alert"]
    for one in track.retrainings:
        outcome = f"model {one.model} took over" if one.promoted else "the champion stayed"
        acts.append((one.at, f"retraining: {outcome}", one.reason, one.sentence))
    lines = "".join(
        f"<tr><td>{at:%Y-%m-%d}</td><td>{escape(what)}</td><td>{escape(why)}</td><td>{escape(said)}</td></tr>"
        for at, what, why, said in sorted(acts, key=lambda act: act[:2])
    )
    head = "<tr><th>when</th><th>what</th><th>why</th><th>what the gate said</th></tr>"
    return f"<h2>{escape(track.title[:1].upper() + track.title[1:])}</h2><table>{head}{lines}</table>"
