"""What a version must show before it gets a slot: it answers its golden rows, and asks no more than the one before."""

from pathlib import Path

from tiltyard.bundle.manifest import CONTRACT, parse_section
from tiltyard.bundle.sandbox import verify_bundle
from tiltyard.data.contract import Column, Contract
from tiltyard.data.evolution import compare_contracts
from tiltyard.errors import BundleError, ServingError
from tiltyard.serving.cache import BundleCache


class UndecidedError(ServingError):
    """A verification that did not come to an end for want of time or memory: no fault of the version's, perhaps."""


def verify(cache: BundleCache, folder: Path, digest: str, *, seconds: float) -> None:
    """Verify a bundle in a process of its own, unless one of this digest has passed on this machine before.

    Args:
        cache: The cache that holds it, and remembers.
        folder: The bundle; read whole, its files being those of the digest.
        digest: Its digest.
        seconds: Longest time it may take.

    Raises:
        BundleError: It does not pass.
        UndecidedError: It did not come to an end.
    """
    if cache.is_verified(digest):
        return
    found = verify_bundle(folder, timeout=seconds)
    if found.undecided:
        raise UndecidedError(found.sentence)
    if not found.passed:
        raise BundleError(found.sentence)
    cache.remember(digest)


def new_demands(before: Path, after: Path) -> str:
    """Return what requests that one bundle answers would have to change for another; empty when nothing.

    Ranges do not count, numbers outside them are answered; nor do levels, where the other answers unknown ones.

    Args:
        before: Bundle that answers now.
        after: Bundle that is to answer.

    Raises:
        BundleError: The contract of `after` cannot be read.
    """
    try:
        old = _contract(before)
    except BundleError:  # nothing to compare with; the sidecar fetches that bundle again when it is wanted
        return ""
    new = _contract(after)
    changes = compare_contracts(_as_asked(old, new), _as_asked(new, new))
    return "; ".join(change.sentence for change in changes if change.breaking)


def _contract(bundle: Path) -> Contract:
    """Read the contract of a bundle."""
    file = bundle / CONTRACT
    try:
        return parse_section(Contract, file.read_bytes(), where=str(file))
    except OSError as error:
        raise BundleError(f"the contract cannot be read ({error.strerror})", where=str(file)) from error


def _as_asked(contract: Contract, new: Contract) -> Contract:
    """Return a contract without what requests need not keep to."""
    lenient = {column.name for column in new.columns if column.new_levels == "other"}
    columns = tuple(_plain(column, levels=column.name not in lenient) for column in contract.columns)
    return contract.model_copy(update={"columns": columns})


def _plain(column: Column, *, levels: bool) -> Column:
    """Return a column without its range, and, when they do not matter, its levels."""
    dropped: dict[str, object] = {"minimum": None, "maximum": None}
    return column.model_copy(update=dropped if levels else {**dropped, "levels": ()})
