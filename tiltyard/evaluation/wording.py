"""Figures as people read them: shares in per cent, their differences in points, other metrics in their own units."""

from tiltyard.evaluation.records import Estimate
from tiltyard.project.metrics import METRICS

_SHARES = frozenset({"accuracy", "precision", "recall", "f1", "ece", "mape"})
_FOUR_PLACES = frozenset({"roc_auc", "pr_auc", "log_loss", "brier", "r2"})


def title(metric: str) -> str:
    """Return a metric's name as people write it."""
    return METRICS[metric].title


def amount(metric: str, value: float) -> str:
    """Return a metric's value in words.

    Example:
        >>> amount("accuracy", 0.9123), amount("roc_auc", 0.9123), amount("rmse", 49123.4)
        ('91.2 %', '0.9123', '49,120')
    """
    if metric in _SHARES:
        return f"{100 * value:.1f} %"
    return _plain(metric, value)


def change(metric: str, value: float) -> str:
    """Return a difference of two values in words, with its sign.

    Example:
        >>> change("accuracy", 0.021), change("log_loss", -0.01)
        ('+2.1 points', '-0.0100')
    """
    return f"{_signed(metric, value)} points" if metric in _SHARES else _signed(metric, value)


def size(metric: str, value: float) -> str:
    """Return the size of a difference in words.

    Example:
        >>> size("accuracy", 0.01), size("f1", 0.025), size("roc_auc", 0.01)
        ('1 point', '2.5 points', '0.0100')
    """
    if metric not in _SHARES:
        return _plain(metric, value)
    points = f"{100 * value:.2g}"
    return f"{points} point" if points == "1" else f"{points} points"


def interval(metric: str, estimate: Estimate, *, difference: bool = False) -> str:
    """Return an interval in words.

    Example:
        >>> interval("accuracy", Estimate(value=0.9, low=0.85, high=0.94))
        '85.0 to 94.0 %'
        >>> interval("accuracy", Estimate(value=0.0, low=-0.01, high=0.01), difference=True)
        '-1.0 to +1.0 points'
    """
    if difference:
        return f"{_signed(metric, estimate.low)} to {change(metric, estimate.high)}"
    return f"{amount(metric, estimate.low).removesuffix(' %')} to {amount(metric, estimate.high)}"


def chance(p_value: float) -> str:
    """Return a probability in words.

    Example:
        >>> chance(0.0312), chance(0.05), chance(0.00001), chance(1.0)
        ('3.1 %', '5 %', 'less than 0.1 %', '100 %')
    """
    if p_value < 0.001:
        return "less than 0.1 %"
    return f"{100 * p_value:.0f} %" if p_value > 0.0995 else f"{100 * p_value:.2g} %"


def _signed(metric: str, value: float) -> str:
    if metric in _SHARES:
        return f"{100 * value:+.1f}"
    text = _plain(metric, value)
    return text if text.startswith("-") else f"+{text}"


def _plain(metric: str, value: float) -> str:
    """Return a number with four places, or four figures when it is in the target's units."""
    if metric in _FOUR_PLACES:
        return f"{value:.4f}"
    digits = float(f"{value:.4g}")
    return f"{digits:,.0f}" if abs(digits) >= 1000 else f"{digits:g}"
