"""Routing: a key → the champion or the candidate. Pure, so that every worker and every replica decides alike.

A key's place between 0 and 1 is a hash of the rollout's salt and the key. The candidate answers the keys whose place
is below its share: the same key always meets the same version, and one that has met the candidate stays with it while
the share grows.
"""

import math
from hashlib import blake2b

_BYTES = 8
_PLACES = 1 << 8 * _BYTES
_MISSING = frozenset({"", "nan", "NaT"})


def place_of(salt: str, key: str) -> float:
    """Return a key's place, at least 0 and below 1.

    Args:
        salt: Of the rollout; another salt is another, independent order of the same keys.
        key: What is to stay together.

    Example:
        >>> place_of("churn-7", "customer 12") == place_of("churn-7", "customer 12")
        True
    """
    digest = blake2b(key.encode("utf-8", "surrogatepass"), key=_seed(salt), digest_size=_BYTES).digest()
    return (int.from_bytes(digest, "big") >> 11) / (_PLACES >> 11)


def is_chosen(salt: str, key: str, share: float) -> bool:
    """Whether the candidate answers for a key.

    Args:
        salt: Of the rollout.
        key: The request's.
        share: Part of all keys that the candidate answers, 0 to 1.
    """
    return share > 0 and place_of(salt, key) < share


def key_text(value: object) -> str | None:
    """Return a value as the text by which it is a key, the same however a protocol writes it; None when it is missing.

    Args:
        value: Raw or typed: `7`, `7.0` and `"7"` are one key.

    Example:
        >>> key_text(7.0), key_text(None)
        ('7', None)
    """
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return None if value is None or str(value) in _MISSING else str(value)


def _seed(salt: str) -> bytes:
    """Return the hash's key: blake2b takes no more than 64 bytes."""
    return blake2b(salt.encode("utf-8", "surrogatepass"), digest_size=32).digest()
