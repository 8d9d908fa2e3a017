"""What a check for drift says in words: what has changed, how sure that is, and since when."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from tiltyard.monitoring.comparisons import RARE, Comparison
from tiltyard.monitoring.findings import Finding, Test
from tiltyard.monitoring.sample import spoken

_NAMED = 3
_RAREST = 1e-9


def describe(comparison: Comparison, p: float, windows: int, since: datetime | None) -> str:
    """Return a sentence about a finding.

    Args:
        comparison: What was found.
        p: How often chance alone shows as much.
        windows: Checks running in which the column was seen.
        since: Start of the first of these windows.
    """
    return f"{_what(comparison)}; {_how_sure(p)}{_since_when(windows, since)}"


def scope(rows: int, reference_rows: int, pooled: int, tests: int) -> str:
    """Say what a check was made of.

    Args:
        rows: Rows of the window, or of those that were taken together.
        reference_rows: Rows of the reference.
        pooled: Windows that were taken together.
        tests: Tests that were made.

    Example:
        >>> scope(620, 5000, 2, 1)
        '620 rows of 2 windows taken together beside 5,000 of the reference, 1 test'
    """
    return f"{_rows(rows, pooled)} beside {reference_rows:,} of the reference, {_count(tests, 'test')}"


def sum_up(level: str, findings: Sequence[Finding], made_of: str) -> str:
    """Return a sentence about a whole check.

    Args:
        level: Of the verdict: `none`, `warning` or `alarm`.
        findings: All of them, worst first.
        made_of: What `scope` says.
    """
    notes = sum(finding.level == "note" for finding in findings)
    noted = f"; {_count(notes, 'smaller change')} noted" if notes else ""
    if level == "none":
        return f"no drift: {made_of}{noted}"
    names = list(dict.fromkeys(_name(finding) for finding in findings if finding.level == level))
    rest = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    first = findings[0].sentence
    return f"{level}: drift of {', '.join(names[:_NAMED])}{rest}. {_capital(first)}. Seen in {made_of}{noted}"


def too_few(rows: int, reference_rows: int, pooled: int, needed: int) -> str:
    """Return a sentence about a window that is too small to be judged.

    Args:
        rows: Rows it has.
        reference_rows: Rows of the reference.
        pooled: Windows that were taken together.
        needed: Rows that are needed on either side.
    """
    if rows >= needed:
        return f"too few rows: the reference has {reference_rows:,}, {needed:,} are needed"
    return f"too few rows: {_rows(rows, pooled)}, {needed:,} are needed; take a longer window"


def _what(comparison: Comparison) -> str:
    return _WORDS[comparison.test](comparison)


def _location(seen: Comparison) -> str:
    where = "higher" if seen.effect > 0 else "lower"
    odds = f"a new value exceeds an old one in {_share(0.5 + seen.effect)} of pairs instead of 50 %"
    return f"{spoken(seen.column)} lies {where}: median {seen.after:.4g} instead of {seen.before:.4g}, {odds}"


def _scale(seen: Comparison) -> str:
    how = "wider" if seen.effect > 0 else "less wide"
    width = f"half of the values lie within ±{seen.after:.4g} of the median instead of ±{seen.before:.4g}"
    return f"{spoken(seen.column)} spreads {how}: {width}"


def _missing(seen: Comparison) -> str:
    return f"{spoken(seen.column)} is missing in {_shares(seen)}"


def _new_level(seen: Comparison) -> str:
    return f"{spoken(seen.column)} has levels that the contract does not know in {_shares(seen)}"


def _outside(seen: Comparison) -> str:
    return f"{spoken(seen.column)} lies outside the contract's range in {_shares(seen)}"


def _correlation(seen: Comparison) -> str:
    pair = f"{spoken(seen.column)} and {spoken(seen.other)}"
    return f"{pair} go together otherwise: rank correlation {seen.after:.2f} instead of {seen.before:.2f}"


def _distribution(seen: Comparison) -> str:
    if not seen.level:
        return f"{spoken(seen.column)} is distributed otherwise: distribution functions {seen.effect:.3f} apart"
    level = seen.level if seen.level == RARE else f"`{seen.level}`"
    shares = f"{_share(seen.after)} instead of {_share(seen.before)}"
    return f"the levels of {spoken(seen.column)} have other shares, {level} most: {shares}"


_WORDS: Mapping[Test, Callable[[Comparison], str]] = {
    "distribution": _distribution,
    "location": _location,
    "scale": _scale,
    "missing": _missing,
    "new_level": _new_level,
    "outside": _outside,
    "correlation": _correlation,
}


def _shares(seen: Comparison) -> str:
    return f"{_share(seen.after)} of the rows instead of {_share(seen.before)}"


def _how_sure(p: float) -> str:
    if p < _RAREST:
        return "chance alone practically never does this"
    times = 1.0 / p
    if times < 10:
        return f"chance alone does this in {p * 100:.0f} % of tests"
    digits = 10 ** (len(str(int(times))) - 1)
    return f"chance alone does this once in {int(times / digits) * digits:,} tests"


def _since_when(windows: int, since: datetime | None) -> str:
    running = f", in {windows} checks running" if windows > 1 else ""
    return running + (f", since {since:%Y-%m-%d %H:%M}" if since else "")


def _rows(rows: int, pooled: int) -> str:
    together = f" of {pooled} windows taken together" if pooled > 1 else ""
    return f"{_count(rows, 'row')}{together}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _name(finding: Finding) -> str:
    return spoken(finding.column) + (f" with {spoken(finding.other)}" if finding.other else "")


def _share(share: float) -> str:
    text = f"{share:.1%}" if share >= 0.001 or share == 0 else f"{share:.2%}"
    return text.replace("%", " %")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
