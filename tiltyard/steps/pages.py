"""What a run found, as short pages of Markdown and rows of tables, for whoever shows them to people."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tiltyard.data.findings import Finding, counted
from tiltyard.evaluation.records import Check, Estimate, Scorecard, Verdict
from tiltyard.evaluation.rollout import figures
from tiltyard.evaluation.wording import amount, change, interval, title
from tiltyard.registry.entry import Entry
from tiltyard.registry.records import Scalar
from tiltyard.registry.rollout import ROLLOUT, Rollout
from tiltyard.steps.data import CheckSummary
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.promoting import Documented
from tiltyard.steps.registering import Registered
from tiltyard.steps.rolling_out import View
from tiltyard.steps.run import TrainingOutcome, TrainingRun
from tiltyard.training.leaderboard import leaderboard
from tiltyard.training.problem import Progress, SearchResult

MOST_TRIALS = 25
"""Rows of the leaderboard that are shown; MLflow has all of them."""


def outcome_in_words(outcome: TrainingOutcome) -> str:
    """Say in a line or two how a run ended."""
    version = f"Version {outcome.version}"
    if outcome.version is None:
        said = "A dry run: nothing is registered"
    elif outcome.promoted:
        said = f"{version} is the champion"
    elif outcome.rollout is not None:
        said = f"{outcome.rollout.sentence[:1].upper()}{outcome.rollout.sentence[1:]}"
    elif outcome.held:
        said = f"{version} is registered and waits: {outcome.held}"
    elif outcome.approval == "waiting":
        said = f"{version} waits for a person's decision"
    else:
        stays = "there is no champion yet" if outcome.champion_before is None else "the champion stays"
        said = f"{version} is registered; {stays}"
    done = "Everything was done before. " if outcome.repeated else ""
    decided = f"{outcome.decision[:1].upper()}{outcome.decision[1:]}. " if outcome.decision else ""
    verdict = (
        outcome.verdict.sentence if outcome.approval is None else f"The gate's verdict: {outcome.verdict.sentence}"
    )
    return f"{done}{decided}{said}. {verdict}"


def findings_in_short(summary: CheckSummary) -> str:
    """Say in a line what the checks found."""
    levels = Counter(finding.level for finding in summary.findings)
    said = [counted(levels[level], level) for level in ("error", "warning", "note") if levels[level]]
    return ", ".join(said) if said else "Nothing was found: the table is what the contract promises."


def validation(run: TrainingRun, summary: CheckSummary) -> str:
    """Return the page about a table: what it is, and what the checks found."""
    known = [] if run.as_of is None else [("Known until", f"{run.as_of:%Y-%m-%d %H:%M:%S} UTC")]
    facts = [
        ("Rows", f"{run.dataset.rows:,}"),
        ("Columns", str(run.dataset.columns)),
        *known,
        ("Fingerprint", f"`{run.dataset.fingerprint}`"),
        ("Report", f"`{summary.report}`"),
    ]
    findings = _table(("", "Column", "Found", "What to do"), [_finding(one) for one in summary.findings])
    said = findings if summary.findings else findings_in_short(summary)
    return f"# Table of {run.project.name}\n\n{_table(('', ''), facts)}\n\n## What the checks found\n\n{said}\n"


def leaderboard_rows(result: SearchResult) -> list[dict[str, str]]:
    """Return the best of what was tried, the best first, as rows of text."""
    table = leaderboard(result).head(MOST_TRIALS)
    score = title(result.metric)
    rows = []
    for row in table.to_dict("records"):
        value = row["score"]
        rows.append(
            {
                "Rank": str(row["rank"]),
                "Family": str(row["family"]),
                score: "" if value is None or value != value else amount(result.metric, float(value)),  # noqa: PLR0124  # NaN
                "State": str(row["state"]),
                "Folds": str(row["folds"]),
                "Seconds": f"{row['seconds']:.2f}",
                "Parameters": str(row["parameters"]),
            }
        )
    return rows


def score_in_words(scorecard: Scorecard) -> str:
    """Say what a model is worth by the metric that decides."""
    primary = scorecard.metrics[scorecard.primary]
    return f"{_score(scorecard.primary, primary)} on {scorecard.rows:,} test rows"


def progress_in_words(progress: Progress) -> tuple[float, str]:
    """Return how far a search is: the share of its budget, 0 to 1, and a sentence."""
    shares = [
        done / limit
        for done, limit in (
            (progress.trials, progress.trials_limit),
            (progress.seconds, progress.seconds_limit),
        )
        if limit
    ]
    limit = f" of {progress.trials_limit}" if progress.trials_limit else ""
    time = f" of {progress.seconds_limit:.0f}" if progress.seconds_limit else ""
    words = f"{progress.trials}{limit} trials, {progress.seconds:.0f}{time} s"
    if progress.score is not None:
        words += f"; best {title(progress.metric)} {amount(progress.metric, progress.score)} ({progress.family})"
    return min(1.0, max(shares, default=0.0)), words


def rollout_rows(view: View, entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return the steps of a rollout, as rows of text: those that are over as the ledger has them, then the present one.

    Args:
        view: The rollout at one look.
        entries: Entries of its ledger.
    """
    rollout = view.rollout
    own = ("rollout_step", "rollout_ended")
    mine = [entry for entry in entries if entry.kind in own and entry.evidence.get(ROLLOUT) == rollout.sequence]
    rows = [_rollout_row(rollout, entry.evidence, entry.reason, number) for number, entry in enumerate(mine)]
    if rollout.outcome is None:
        rows.append(_rollout_row(rollout, figures(view.evidence, view.decision), view.decision.sentence, len(mine)))
    return rows


def _rollout_row(rollout: Rollout, seen: Mapping[str, Scalar], said: str, step: int) -> dict[str, str]:
    """Return what was seen in a step."""
    share = rollout.settings.shares[min(step, len(rollout.settings.shares) - 1)]
    shown = {"Requests": "requests", "Errors": "errors", "Champion's": "champion_requests", "Same rows": "pairs"}
    return {
        "Step": str(step + 1),
        "Share": f"{share:.4g}",
        **{title: str(seen.get(name, "")) for title, name in shown.items()},
        "What came of it": said,
    }


def verdict_page(
    run: TrainingRun,
    registered: Registered | None,
    evaluation: Evaluation,
    verdict: Verdict,
    documented: Documented,
) -> str:
    """Return the page about a verdict: the sentence first, then the figures and conditions, then where to look."""
    challenger = "The challenger" if registered is None else f"Version {registered.ref.version}"
    lines = [f"# {verdict.outcome.capitalize()}", f"**{verdict.sentence}**", "## Scores"]
    lines.append(_scores(evaluation, challenger))
    if verdict.difference is not None:
        value, spread = verdict.difference, interval(verdict.metric, verdict.difference, difference=True)
        lines.append(
            f"Difference of {title(verdict.metric)}, positive is better: **{change(verdict.metric, value.value)}** "
            f"(95 % interval {spread}) on {counted(verdict.rows, 'row')} that neither was trained on."
        )
    lines += ["## Conditions", _table(("Condition", "", "Why"), [_condition(check) for check in verdict.checks])]
    lines += ["## Where to look", _table(("", ""), _places(run, registered, documented))]
    return "\n\n".join(lines) + "\n"


def _scores(evaluation: Evaluation, challenger: str) -> str:
    """Return the scores of challenger and champion side by side."""
    ours, theirs = evaluation.challenger, evaluation.champion
    names = [ours.primary, *(name for name in ours.metrics if name != ours.primary)]
    rows = []
    for name in names:
        other = theirs.metrics.get(name) if theirs else None
        rows.append((title(name), _interval(name, ours.metrics[name]), _interval(name, other) if other else ""))
    champion = f"Champion (version {evaluation.evidence.champion})" if theirs else ""
    table = _table(("Metric", challenger, champion), rows)
    return f"{table}\n\nWith 95 % intervals, on {counted(ours.rows, 'test row')}. {ours.weakest}".rstrip()


def _places(run: TrainingRun, registered: Registered | None, documented: Documented) -> list[tuple[str, str]]:
    """Return where a run is written down."""
    places = [("Training run", f"`{run.key}`"), ("Model card", f"`{documented.card}`")]
    if registered is not None:
        tracked = registered.tracked
        shown = f"[{tracked.run}]({tracked.url})" if tracked.url else f"`{tracked.run}`"
        places = [("Version", f"{registered.ref.name} {registered.ref.version}"), ("MLflow run", shown), *places]
    return [*places, ("Reason", run.reason or "not given")]


def _finding(finding: Finding) -> tuple[str, str, str, str]:
    column = f"`{finding.column}`" if finding.column else ""
    return (f"**{finding.level}**", column, finding.sentence, finding.cure)


def _condition(check: Check) -> tuple[str, str, str]:
    return (check.name, f"**{check.outcome}**", check.sentence)


def _score(metric: str, estimate: Estimate) -> str:
    return f"{title(metric)} {_interval(metric, estimate)}"


def _interval(metric: str, estimate: Estimate) -> str:
    return f"{amount(metric, estimate.value)} ({interval(metric, estimate)})"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in Markdown; bars and line ends in cells would break it."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    cells = (" | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) for line in lines)
    return "\n".join(f"| {line} |" for line in cells)
