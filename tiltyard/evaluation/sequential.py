"""Tests and bounds that stay valid however often one looks, and whenever one stops.

All are mixture sequential probability ratio tests (mSPRT): the likelihood ratio, averaged over what the truth may be
under the alternative, is a nonnegative supermartingale under the null with mean at most 1, so that the chance that it
*ever* exceeds 1/alpha is at most alpha (Ville 1939). Its inverse is an always-valid p-value.

Sources:
    Robbins, H. (1970). Statistical methods related to the law of the iterated logarithm. Ann. Math. Statist. 41.
    Johari, R., Pekelis, L., Walsh, D. (2022). Always valid inference: continuous monitoring of A/B tests. Operations
    Research 70(3); arXiv 1512.04922.
    Waudby-Smith, I., Arbour, D., Sinha, R., Kennedy, E., Ramdas, A. (2024). Time-uniform central limit theory and
    asymptotic confidence sequences. Ann. Statist. 52(6); arXiv 2103.06476.
"""

import math

from scipy.special import betainc, betaincc, betaln

from tiltyard.project.section import Section

FEWEST = 30
"""Fewer differences than this say nothing: the test of a mean leans on the central limit theorem."""

_AIM_ALPHA, _AIM_COUNT = 0.005, 300
_RHO2 = (-2 * math.log(_AIM_ALPHA) + math.log(1 - 2 * math.log(_AIM_ALPHA))) / _AIM_COUNT
"""Variance of the mixture for means: tightest about 300 differences (Waudby-Smith et al., section 3.5)."""

_PRIOR = 0.5
"""Mixture of shares: Jeffreys' Beta(1/2, 1/2), cut to the alternative."""

_PRIOR_WEIGHT = float(betaln(_PRIOR, _PRIOR))

_NEAR = 1e-9
"""How near a bound is looked for."""


class Interval(Section):
    """Where a truth is, at every look at once.

    Attributes:
        low: Lower bound.
        high: Upper bound.
    """

    low: float
    high: float


def excess(events: int, trials: int, limit: float) -> float:
    """Return the always-valid p-value against a share of at most `limit`.

    The likelihood is binomial and the mixture a Beta distribution above the limit: exact for any counts. With
    q > limit, each factor of the likelihood ratio has mean at most 1 under every share up to the limit.

    Args:
        events: How often it happened.
        trials: How often it could have.
        limit: Largest share under the null, between 0 and 1.

    Example:
        >>> excess(1, 10, 0.1)
        1.0
        >>> excess(9, 10, 0.1) < 1e-6
        True
    """
    if limit >= 1 or trials == 0:
        return 1.0
    if limit <= 0:
        return 0.0 if events else 1.0
    a, b = events + _PRIOR, trials - events + _PRIOR
    above = float(betaincc(a, b, limit))
    if above == 0.0:
        return 1.0
    mixed = betaln(a, b) + math.log(above) - _PRIOR_WEIGHT - math.log(betaincc(_PRIOR, _PRIOR, limit))
    return _p_value(float(mixed) - _log_likelihood(events, trials, limit))


def more_often(events: int, trials: int, other_events: int, other_trials: int, ratio: float = 1.0) -> float:
    """Return the always-valid p-value against one share being at most `ratio` times another, seen at the same time.

    Requests are dealt to two versions by chance. If the share is the same, an event that happens belongs to the first
    version with the probability of a request being its own; what happens over time does to both. So the labels of the
    events, not the counts of either side, are tested: exact where events are rare, and untouched by a rate that both
    share and that changes.

    Args:
        events: Events of the first version.
        trials: Requests of the first version.
        other_events: Events of the second.
        other_trials: Requests of the second.
        ratio: How many times as often is still accepted.

    Example:
        >>> more_often(15, 300, 27, 2700) < 0.01
        True
        >>> more_often(3, 300, 27, 2700)
        1.0
    """
    if not trials or not other_trials:
        return 1.0
    weight = ratio * trials
    return excess(events, events + other_events, weight / (weight + other_trials))


def upper_bound(events: int, trials: int, alpha: float) -> float:
    """Return what a share is at most, with confidence `1 - alpha` at every look at once.

    Args:
        events: How often it happened.
        trials: How often it could have.
        alpha: Chance that the bound is ever too low.

    Example:
        >>> upper_bound(0, 0, 0.05)
        1.0
        >>> 0.015 < upper_bound(0, 200, 0.05) < 0.025
        True
    """
    if events == trials:
        return 1.0
    a, b = events + _PRIOR, trials - events + _PRIOR
    whole = float(betaln(a, b)) - _PRIOR_WEIGHT

    def doubt(share: float) -> float:
        mixed = whole + math.log(betainc(a, b, share)) - math.log(betainc(_PRIOR, _PRIOR, share))
        return mixed - _log_likelihood(events, trials, share) + math.log(alpha)

    low, high = max(events / trials, 1e-12), 1 - 1e-12
    if doubt(high) < 0:
        return 1.0
    while high - low > _NEAR:  # scipy's own search would take a sixth of the sidecar's start to import
        middle = (low + high) / 2
        low, high = (middle, high) if doubt(middle) < 0 else (low, middle)
    return high


def shifted(count: int, total: float, squares: float, tolerance: float = 0.0, *, scale: float = 1.0) -> float:
    """Return the always-valid p-value against a mean between `-tolerance` and `tolerance`.

    The mixture is normal about the nearer end, with the variance as it is estimated: valid for many differences.

    Args:
        count: Number of differences.
        total: Their sum.
        squares: The sum of their squares.
        tolerance: Largest mean accepted.
        scale: Size of a large difference; keeps the variance off zero where all are alike.
    """
    if count < FEWEST:
        return 1.0
    beyond = max(0.0, abs(total / count) - tolerance)
    if beyond == 0.0:
        return 1.0
    weight = count * _RHO2
    z2 = count * beyond**2 / _variance(count, total, squares, scale)
    return _p_value(z2 * weight / (2 * (1 + weight)) - 0.5 * math.log1p(weight))


def mean_interval(count: int, total: float, squares: float, alpha: float, *, scale: float = 1.0) -> Interval:
    """Return where a mean is, with confidence `1 - alpha` at every look at once.

    Args:
        count: Number of differences.
        total: Their sum.
        squares: The sum of their squares.
        alpha: Chance that the interval ever misses.
        scale: Size of a large difference; keeps the variance off zero where all are alike.
    """
    if count < FEWEST:
        return Interval(low=-math.inf, high=math.inf)
    weight = count * _RHO2
    spread = _variance(count, total, squares, scale) * (1 + weight) / (count * weight)
    reach = math.sqrt(spread * (math.log1p(weight) - 2 * math.log(alpha)))
    mean = total / count
    return Interval(low=mean - reach, high=mean + reach)


def _variance(count: int, total: float, squares: float, scale: float) -> float:
    """Return the variance of differences, with one more at a quarter of the scale: never zero."""
    within = max(0.0, squares - total * total / count)
    return (within + (scale / 4) ** 2) / (count + 1)


def _log_likelihood(events: int, trials: int, share: float) -> float:
    return events * math.log(share) + (trials - events) * math.log1p(-share)


def _p_value(log_ratio: float) -> float:
    """Return the p-value that belongs to a likelihood ratio."""
    return 1.0 if log_ratio <= 0 or math.isnan(log_ratio) else math.exp(-log_ratio)
