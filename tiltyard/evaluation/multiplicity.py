"""Many tests at once: Holm's correction."""

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for their number, in the same order (Holm 1979).

    Calling those at most alpha true errs in any of them with probability at most alpha, whatever their dependence.

    Args:
        p_values: One per test.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    order = sorted(range(len(p_values)), key=lambda test: p_values[test])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, test in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[test]))
        corrected[test] = largest
    return tuple(corrected)
