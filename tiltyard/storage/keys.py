"""Which names an object may have."""

import re

from tiltyard.errors import StorageError

LONGEST_KEY = 900
LONGEST_PART = 200

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")


def check_key(key: str) -> str:
    """Return a key unchanged when it is safe on every store: relative, `/`-separated, no `.` or `..` parts.

    Raises:
        StorageError: It is not; says why.

    Example:
        >>> check_key("ledger/churn/00000001.json")
        'ledger/churn/00000001.json'
    """
    reason = _fault(key)
    if reason:
        raise StorageError(
            f"`{key[:LONGEST_PART]!s}` is not a key: {reason}",
            cure="Keys are relative, parts separated by `/`, without `..`.",
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return a prefix as a folder, `a/b/`, or the empty string for the whole store.

    Raises:
        StorageError: It is not a valid key.

    Example:
        >>> check_prefix("ledger/churn")
        'ledger/churn/'
    """
    bare = prefix.removesuffix("/")
    return f"{check_key(bare)}/" if bare else ""


def _fault(key: str) -> str:
    """Say what is wrong with a key, nothing when it is fine."""
    parts = key.split("/")
    if _UNPRINTABLE.search(key) or not _is_text(key):
        return "it has a backslash or a character that cannot be printed"
    if any(part in {"", ".", ".."} for part in parts):
        return "it has an empty, `.` or `..` part"
    if len(key.encode()) > LONGEST_KEY or max(len(part.encode()) for part in parts) > LONGEST_PART:
        return f"it is longer than {LONGEST_KEY} bytes, or a part of it than {LONGEST_PART}"
    return ""


def _is_text(key: str) -> bool:
    """Whether a key can be written as UTF-8 (lone surrogates cannot)."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
