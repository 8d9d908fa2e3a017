"""A check in a few sentences: what, how sure, since when, what it means for the score, what to do."""

from datetime import UTC, datetime
from typing import Literal

from tiltyard.data.findings import counted
from tiltyard.evaluation.wording import chance
from tiltyard.monitoring.findings import DriftVerdict, Finding
from tiltyard.monitoring.frames import bare
from tiltyard.monitoring.history import Check
from tiltyard.project.section import Section

State = Literal["quiet", "unsure", "warning", "alarm", "broken"]

_HEADLINES: dict[State, str] = {
    "quiet": "Nothing has changed beyond what is usual",
    "unsure": "Too few rows to tell",
    "warning": "Something has changed: worth a look",
    "alarm": "The data is no longer what the champion knows",
    "broken": "The data that arrives is broken",
}
_NAMED = 3
_HARM = "The champion does worse than it did"
_SILENCE = "Hardly any data arrives"
_CALIBRATED = "How much good windows differ from each other is taken into account."
_NOT_CALIBRATED = (
    "Too few good windows are known yet to tell how much they differ from each other: "
    "only larger effects count until then."
)


class Summary(Section):
    """A check in a few sentences.

    Attributes:
        state: The worst there is: `broken` before `alarm`, `warning`, `unsure` (nothing could be tested), `quiet`.
        headline: In a few words.
        what: What was found.
        sure: How sure that is.
        since: Since when.
        score: What it means for the score.
        todo: What to do.
        together: Whether all columns together tell the window from the reference; empty when nobody asked.
    """

    state: State
    headline: str
    what: str
    sure: str
    since: str
    score: str
    todo: str
    together: str = ""


def summarise(check: Check) -> Summary:
    """Say what a check found, in a few sentences that a person reads first."""
    state = _state(check)
    return Summary(
        state=state,
        headline=_headline(check, state),
        what=_what(check),
        sure=_sure(check),
        since=_since(check.drift),
        score=_score(check),
        todo=_todo(check, state),
        together="" if check.domain is None else check.domain.sentence,
    )


def moment(time: datetime) -> str:
    """Return a time as people read it.

    Example:
        >>> moment(datetime(2026, 11, 14, 2, 0, tzinfo=UTC))
        '2026-11-14 02:00 UTC'
    """
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _state(check: Check) -> State:
    if check.quality:
        return "broken"
    if check.drift.level == "alarm" or any(one.harm for one in check.performance):
        return "alarm"
    if check.drift.level == "warning" or (check.estimate is not None and check.estimate.harm):
        return "warning"
    return "unsure" if check.drift.level == "too_few_rows" else "quiet"


def _headline(check: Check, state: State) -> str:
    if state == "broken" and all(found.kind in {"empty", "traffic"} for found in check.quality):
        return _SILENCE
    harmed = any(one.harm for one in check.performance)
    return _HARM if harmed and state == "alarm" else _HEADLINES[state]


def _what(check: Check) -> str:
    """Name what is broken and the gravest changes; how sure they are and since when stands further down."""
    grave = {shown_name(found): found for found in reversed(check.drift.findings) if found.level != "note"}
    if not grave:
        return " ".join(sentence(said) for said in [*(found.sentence for found in check.quality), check.drift.sentence])
    named = list(grave.values())[::-1]
    said = [found.sentence for found in check.quality]
    said += [found.sentence.partition(";")[0] for found in named[:_NAMED]]
    rest = len(check.drift.findings) - min(len(named), _NAMED)
    more = [f"{counted(rest, 'more finding')} on the page"] if rest else []
    return " ".join(sentence(one) for one in [*said, *more])


def _sure(check: Check) -> str:
    drift = check.drift
    said = ["Data is called broken by limits that ordinary change stays far below."] if check.quality else []
    if drift.level == "too_few_rows":
        return " ".join([*said, sentence(f"No drift was looked for: {drift.sentence or 'too few rows'}")])
    pooled = f" of {drift.pooled} windows taken together" if drift.pooled > 1 else ""
    beside = f"{counted(drift.rows, 'row')}{pooled} against {drift.reference_rows:,} of the reference"
    said.append(f"{counted(drift.tests, 'test')} on {beside}, corrected for their number.")
    said.append(_CALIBRATED if drift.calibrated else _NOT_CALIBRATED)
    if drift.findings:
        worst = min(found.p for found in drift.findings)
        said.append(f"As much as the surest finding comes by chance in {chance(worst)} of such tests.")
    return " ".join(said)


def _since(drift: DriftVerdict) -> str:
    grave = [found for found in drift.findings if found.level != "note"]
    if not grave:
        return "There is nothing to date."
    longest = max(grave, key=lambda found: found.windows)
    if longest.windows < 2:  # a window has no before
        return "First seen in this window."
    times = [found.since for found in grave if found.since is not None]
    since = f"Since {moment(min(times))}: " if times else ""
    return f"{since}{longest.windows} windows running."


def _score(check: Check) -> str:
    """Say what labels say, and what is estimated; each names itself for what it is."""
    said = [_measured(check)] if check.performance else ["No labels have come yet for a score."]
    if check.estimate is not None:
        said.append(sentence(check.estimate.sentence or check.estimate.why))
    return " ".join(said)


def _measured(check: Check) -> str:
    """Say what labels say of the latest window that has any, and which that is where it is another one."""
    latest = check.performance[-1]
    if (latest.start, latest.end) == (check.start, check.end):
        return sentence(latest.sentence)
    return f"Of {moment(latest.start)} to {moment(latest.end)}: {latest.sentence}"


def _todo(check: Check, state: State) -> str:
    said = []
    if state == "broken":
        said.append("Repair the feed; nothing is retrained on broken data.")
    if check.decision is None:
        return " ".join(said) or "Nothing was decided."
    lead = {"retrain": "Retraining is asked for.", "alert": "A person is asked to look.", "none": "Nothing is done."}
    said += [lead[check.decision.action], sentence(check.decision.reason)]
    return " ".join(said)


def sentence(text: str) -> str:
    """Return what another part says as a sentence of its own.

    Example:
        >>> sentence("drift of `age`"), sentence("")
        ('Drift of `age`.', '')
    """
    plain = text.strip().rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}." if plain else ""


def shown_name(found: Finding) -> str:
    """Return the column of a finding, or both of a pair, as a table names them.

    Example:
        >>> shown_name(Finding(column="feature_age", other="feature_pay", test="correlation", effect=0.2, p=0.01,
        ...                    level="note", sentence="…"))
        'age and pay'
    """
    return " and ".join(bare(name) for name in (found.column, found.other) if name)


def strength(p: float) -> str:
    """Return a p-value as a table shows it.

    Example:
        >>> strength(0.0312), strength(0.00001), strength(1e-30), strength(0.0)
        ('0.031', '1e-05', 'below 1e-12', 'below 1e-12')
    """
    return "below 1e-12" if p < 1e-12 else f"{p:.2g}"  # what arithmetic can still tell
