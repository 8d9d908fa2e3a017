"""Whether anything has drifted, and whether a person must know: the verdict over all comparisons of a check.

A finding must be sure (after a correction for all tests) and large enough to matter. A warning is one window; an alarm
is the same column in two windows running, or one large change.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tiltyard.monitoring.calibration import Calibration, p_values, seen_twice
from tiltyard.monitoring.comparisons import Comparison, compare
from tiltyard.monitoring.discovery import UNIMPORTANT, false_discovery_rates, share_out, weigh, weight_of
from tiltyard.monitoring.findings import DriftVerdict, Finding, Level, Span, Suspect
from tiltyard.monitoring.pairs import Pair
from tiltyard.monitoring.sample import Sample, is_answer, pool
from tiltyard.monitoring.sentences import describe, scope, sum_up, too_few

ENOUGH_ROWS = 500
"""Rows from which on a window is judged alone; smaller ones are pooled with those before."""

FEWEST_ROWS = 300
"""Rows below which nothing is tested."""

SURE = 0.01
"""Rate of false discoveries of a warning."""

SUSPICIOUS = 0.10
"""Rate of false discoveries at which a column is looked at again; twice running is an alarm, if that is then sure."""

MOST_FINDINGS = 300
"""Findings that a verdict keeps, the worst ones."""


class Floors(NamedTuple):
    """Effects below which a change does not matter, however sure it is.

    Attributes:
        small: Of a warning, once p-values are calibrated.
        middle: Of a warning before that.
        large: Of an alarm in a single window.
    """

    small: float
    middle: float
    large: float


FLOORS: Mapping[str, Floors] = {
    "distribution": Floors(0.03, 0.05, 0.08),
    "levels": Floors(0.03, 0.06, 0.08),
    "location": Floors(0.018, 0.035, 0.05),
    "scale": Floors(0.02, 0.035, 0.05),
    "missing": Floors(0.01, 0.02, 0.05),
    "new_level": Floors(0.005, 0.01, 0.02),
    "outside": Floors(0.005, 0.01, 0.02),
    "correlation": Floors(0.08, 0.12, 0.20),
}
"""By family of tests, on the scale of its effect. A shift by a tenth of a standard deviation is a location of 0.028."""

_RANKS: Mapping[str, int] = {"alarm": 0, "warning": 1, "note": 2}


class DriftCheck(NamedTuple):
    """A check and what it was made of.

    Attributes:
        verdict: What it says.
        reference: What was compared with.
        current: The window, or the windows taken together.
        span: From when to when that was.
        comparisons: All that was tested; empty when there were too few rows.
    """

    verdict: DriftVerdict
    reference: Sample
    current: Sample
    span: Span | None
    comparisons: tuple[Comparison, ...]

    @property
    def quiet(self) -> bool:
        """Whether the window can be accepted as good by itself: it was tested alone, and nothing was found."""
        return self.verdict.level == "none" and self.verdict.pooled == 1

    def accept(self, calibration: Calibration) -> Calibration:
        """Return the calibration with this window among the accepted ones.

        Call it for a check that is `quiet`, or whose window labels or a person have found good.

        Args:
            calibration: As it was.
        """
        if not self.comparisons:
            return calibration
        return calibration.accept(self.comparisons, self.reference, self.current, self.span)


class Settings(NamedTuple):
    """How drift is looked for.

    Attributes:
        importance: Weight of each feature, by its name in the prediction log; all alike when empty.
        ignore: Columns that are not looked at, named as in the prediction log.
        enough_rows: Rows from which on a window is judged alone.
        pairs: Pairs whose correlation is looked at, as of `choose_pairs` of the same reference; found when None.
    """

    importance: Mapping[str, float] = MappingProxyType({})
    ignore: Collection[str] = ()
    enough_rows: int = ENOUGH_ROWS
    pairs: Sequence[Pair] | None = None


def check_drift(
    reference: Sample,
    windows: Sequence[Sample],
    *,
    previous: DriftVerdict | None = None,
    calibration: Calibration | None = None,
    spans: Sequence[Span] = (),
    settings: Settings = Settings(),  # noqa: B008  # immutable
) -> DriftCheck:
    """Compare a window with the reference and say what has drifted.

    Args:
        reference: Sample that belongs to the champion.
        windows: The window to judge last, before it those it may be pooled with, oldest first. At least one.
        previous: Verdict over the window before; None when there is none, or when it was of another champion.
        calibration: What is known of accepted windows; None when nothing is.
        spans: When each window began and ended; empty when nobody knows, and then no two windows share any rows.
        settings: How drift is looked for.
    """
    pooled, current = gather(windows, settings.enough_rows)
    span = Span(start=spans[-pooled].start, end=spans[-1].end) if spans else None
    fewest = min(FEWEST_ROWS, settings.enough_rows)
    if min(current.rows, reference.rows) < fewest:
        verdict = DriftVerdict(
            level="too_few_rows",
            rows=current.rows,
            reference_rows=reference.rows,
            pooled=pooled,
            suspects=previous.suspects if previous else (),
            sentence=too_few(current.rows, reference.rows, pooled, fewest),
        )
        return DriftCheck(verdict, reference, current, span, ())
    comparisons = compare(reference, current, pairs=settings.pairs, ignore=settings.ignore)
    setting = _Setting(reference, current, pooled, span, previous, calibration or Calibration())
    return DriftCheck(_judge(setting, comparisons, settings.importance), reference, current, span, comparisons)


def gather(windows: Sequence[Sample], enough_rows: int = ENOUGH_ROWS) -> tuple[int, Sample]:
    """Return how many of the last windows are needed for rows enough, and those taken together.

    Args:
        windows: Oldest first, at least one; all are taken when they are not enough.
        enough_rows: Rows wanted.
    """
    count, rows = 1, windows[-1].rows
    while rows < enough_rows and count < len(windows):
        count += 1
        rows += windows[-count].rows
    return count, pool(windows[-count:])


class _Setting(NamedTuple):
    """What a check is made of, beside its comparisons."""

    reference: Sample
    current: Sample
    pooled: int
    span: Span | None
    previous: DriftVerdict | None
    calibration: Calibration

    @property
    def suspects(self) -> Mapping[str, Suspect]:
        return {suspect.column: suspect for suspect in (self.previous.suspects if self.previous else ())}


class _Seen(NamedTuple):
    """One comparison with all that its level depends on."""

    comparison: Comparison
    p: float
    rate: float
    rate_twice: float
    weight: float


def _judge(setting: _Setting, comparisons: tuple[Comparison, ...], importance: Mapping[str, float]) -> DriftVerdict:
    weights = weigh(list(setting.reference.columns), importance)
    own = [weight_of(comparison, weights) for comparison in comparisons]
    p = p_values(comparisons, setting.calibration, setting.reference, setting.current)
    shares = share_out(comparisons, weights)
    rates = false_discovery_rates(p, shares)
    twice = false_discovery_rates(seen_twice(p, comparisons, setting.reference, setting.current), shares)
    tested = map(_Seen, comparisons, p.tolist(), rates.tolist(), twice.tolist(), own)
    seen = [each for each in tested if each.rate <= SUSPICIOUS and _size(each) >= FLOORS[each.comparison.family].small]
    suspects = _suspects(setting, seen)
    found = sorted((_finding(setting, each, suspects) for each in seen), key=_order)
    level = found[0].level if found and found[0].level != "note" else "none"
    made_of = scope(setting.current.rows, setting.reference.rows, setting.pooled, len(comparisons))
    return DriftVerdict(
        level=level,
        rows=setting.current.rows,
        reference_rows=setting.reference.rows,
        pooled=setting.pooled,
        calibrated=setting.calibration.ready,
        tests=len(comparisons),
        findings=tuple(found[:MOST_FINDINGS]),
        suspects=tuple(suspects.values()),
        sentence=sum_up(level, found, made_of),
    )


def _size(seen: _Seen) -> float:
    return abs(seen.comparison.effect)


def _floor(seen: _Seen, *, calibrated: bool) -> float:
    """Return the effect from which on a finding is more than a note."""
    floors = FLOORS[seen.comparison.family]
    if seen.weight < UNIMPORTANT:
        return floors.large
    return floors.small if calibrated else floors.middle


def _columns(seen: _Seen) -> tuple[str, ...]:
    return tuple(filter(None, (seen.comparison.column, seen.comparison.other)))


def _suspects(setting: _Setting, seen: Sequence[_Seen]) -> dict[str, Suspect]:
    """Return the columns that are looked at again, each with how long it has been seen."""
    before = setting.suspects
    suspects: dict[str, Suspect] = {}
    for each in seen:
        if _size(each) < _floor(each, calibrated=setting.calibration.ready):
            continue
        for column in _columns(each):
            known = before.get(column)
            suspects[column] = (
                known.model_copy(update={"windows": known.windows + 1})
                if known
                else Suspect(column=column, span=setting.span)
            )
    return suspects


def _again(setting: _Setting, suspect: Suspect) -> bool:
    """Return whether a column was seen before, in rows that are mostly others."""
    if setting.span is None or suspect.span is None:
        return suspect.windows > setting.pooled
    return suspect.windows > 1 and not setting.span.mostly_in(suspect.span)


def _level(setting: _Setting, seen: _Seen, suspects: Sequence[Suspect]) -> Level:
    large = _size(seen) >= FLOORS[seen.comparison.family].large
    if _size(seen) < _floor(seen, calibrated=setting.calibration.ready):
        return "note"
    if seen.rate_twice <= SURE and any(_again(setting, suspect) for suspect in suspects):
        return "alarm"
    if seen.rate > SURE:
        return "note"
    return "alarm" if large and seen.weight >= UNIMPORTANT else "warning"


def _finding(setting: _Setting, seen: _Seen, suspects: Mapping[str, Suspect]) -> Finding:
    own = [suspects[column] for column in _columns(seen) if column in suspects]
    longest = max(own, key=lambda suspect: suspect.windows, default=Suspect(column="", span=setting.span))
    since = longest.span.start if longest.span else None
    return Finding(
        column=seen.comparison.column,
        other=seen.comparison.other,
        test=seen.comparison.test,
        effect=seen.comparison.effect,
        p=min(1.0, seen.p),
        level=_level(setting, seen, own),
        importance=seen.weight,
        windows=longest.windows,
        since=since,
        sentence=describe(seen.comparison, min(1.0, seen.p), longest.windows, since),
    )


def _order(finding: Finding) -> tuple[int, bool, float]:
    """Return what findings are sorted by: the worst level, then answers, then what is largest beside its floor."""
    size = abs(finding.effect) / FLOORS[finding.test].large
    return _RANKS[finding.level], not is_answer(finding.column), -size * (1.0 + finding.importance)
