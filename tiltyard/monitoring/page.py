"""The page about a check that a person opens first: one HTML file that stands alone, and the same as Markdown."""

import base64
import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from tiltyard.evaluation import records
from tiltyard.evaluation.wording import amount, interval, title
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import Finding
from tiltyard.monitoring.frames import bare
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.summary import Summary, moment, sentence, shown_name, strength, summarise

MOST_FINDINGS = 50
"""Findings that the page lists, the worst first; the verdict has all of them."""

_MOST_IN_MARKDOWN = 15
_MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\[]|*_"})
_PICTURES = {
    "score": "Score over time: measured with labels, and estimated",
    "drift": "Drift by column and check",
    "traffic": "Predictions in each window, and how many have a label",
    "labels": "Share of each window's predictions that have a label",
}


def render_page(
    check: Check, *, charts: Mapping[str, bytes] | None = None, report: str = "", linked: bool = True
) -> str:
    """Render the page about a check.

    Args:
        check: What was found, and what came of it.
        charts: PNG pictures by name, from `draw_charts`.
        report: Address of Evidently's report, relative to the page; no word of it when left out.
        linked: Whether it is linked to; it is only named where no link leads out of a frame, as in MLflow's viewer.

    Returns:
        One HTML page: no script, nothing loaded from elsewhere; every text escaped.
    """
    pictures = [
        (_PICTURES.get(name, name), base64.b64encode(picture).decode()) for name, picture in (charts or {}).items()
    ]
    summary = summarise(check)
    return _template().render(
        check=check,
        summary=summary,
        answers=answers(summary),
        findings=check.drift.findings[:MOST_FINDINGS],
        pictures=pictures,
        report=report,
        linked=linked,
        amount=amount,
        bare=bare,
        by=_by,
        interval=interval,
        moment=moment,
        sentence=sentence,
        shown_name=shown_name,
        since=_since,
        strength=strength,
        title=title,
    )


def render_markdown(check: Check, *, links: Sequence[tuple[str, str]] = ()) -> str:
    """Render the same for Prefect's UI: without pictures, and with the worst findings only.

    What a client sent may be in a sentence, so nothing of it is read as Markdown or HTML.

    Args:
        check: What was found, and what came of it.
        links: Name and address of what there is to look at.
    """
    summary = summarise(check)
    version = "" if check.version is None else f", version {check.version}"
    parts = [
        f"# {_plain(summary.headline)}",
        f"{_plain(check.model)}{version}, {moment(check.start)} to {moment(check.end)}",
        "\n".join(f"- **{name}**: {_plain(said)}" for name, said in answers(summary)),
    ]
    if check.drift.findings:
        rows = [_finding_row(found) for found in check.drift.findings[:_MOST_IN_MARKDOWN]]
        more = len(check.drift.findings) - len(rows)
        parts += ["## What has changed", _table(("", "Column", "Test", "Effect", "By chance", "Finding"), rows)]
        parts += [f"{more} more stand on the page."] if more else []
    if check.quality:
        rows = [
            (
                found.kind.replace("_", " "),
                ", ".join(map(bare, found.columns)),
                f"{found.share:.1%}",
                sentence(found.sentence),
            )
            for found in check.quality
        ]
        parts += ["## Broken data", _table(("Kind", "Columns", "Share", "Finding"), rows)]
    scores = _score_rows(check)
    if scores:
        parts += ["## Score", _table(("", "Score and 95 % interval", "Of", "Window"), scores)]
    if check.decision is not None:
        said = [check.decision.reason, *check.decision.evidence]
        parts += ["## What the policy decided", "\n".join(f"- {_plain(sentence(one))}" for one in said)]
    if links:
        parts += ["## Where to look", "\n".join(f"- [{_plain(name)}](<{address}>)" for name, address in links)]
    return "\n\n".join(parts) + "\n"


def answers(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return the questions that a page answers first, with their answers."""
    together = (("All columns together", summary.together),) if summary.together else ()
    return (
        ("What", summary.what),
        *together,
        ("How sure", summary.sure),
        ("Since when", summary.since),
        ("What it means for the score", summary.score),
        ("What to do", summary.todo),
    )


def _since(found: Finding) -> str:
    running = "" if found.windows == 1 else f"{found.windows} windows"
    return running if found.since is None else f"{moment(found.since)}{', ' if running else ''}{running}"


def _finding_row(found: Finding) -> tuple[str, ...]:
    test = found.test.replace("_", " ")
    return (found.level, shown_name(found), test, f"{found.effect:.3g}", strength(found.p), sentence(found.sentence))


def _score_rows(check: Check) -> list[tuple[str, ...]]:
    """Return every score there is, each named for what it is."""
    rows: list[tuple[str, ...]] = [
        (
            f"measured{_by(one.version)}",
            _figure(one),
            f"{one.labelled:,} labelled of {one.rows:,} ({one.coverage:.0%})",
            f"{moment(one.start)} to {moment(one.end)}",
        )
        for one in check.performance
    ]
    if check.estimate is not None:
        said = "estimated, not measured" if check.estimate.valid else "estimated, not to be trusted"
        window = f"{moment(check.start)} to {moment(check.end)}"
        rows.append((said, _figure(check.estimate), "no labels", window))
    return rows


def _by(version: int | None) -> str:
    return ", several versions" if version is None else f", version {version}"


def _figure(one: Performance | Estimate) -> str:
    """Return a score with its interval, and with that of the champion's own test."""
    if one.value is None or one.low is None or one.high is None:
        return f"{title(one.metric)}: too little is known"
    figure = f"{title(one.metric)} {_spread(one.metric, one.value, one.low, one.high)}"
    own = one.reference
    beside = "" if own is None else f", on its own test {_spread(one.metric, own.value, own.low, own.high)}"
    return f"{figure}{beside}"


def _spread(metric: str, value: float, low: float, high: float) -> str:
    return f"{amount(metric, value)} ({interval(metric, records.Estimate(value=value, low=low, high=high))})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; bars and line ends in cells would break it."""
    lines = [heads, ["---" for _ in heads], *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Return a text that no reader of Markdown takes for markup; code in backquotes becomes plain text."""
    return html.escape(" ".join(text.replace("`", "").split()), quote=False).translate(_MARKDOWN)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files("tiltyard.monitoring").joinpath("page.html.j2").read_text("utf-8"))
