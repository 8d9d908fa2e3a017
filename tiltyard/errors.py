"""Errors that a person can act on: what is wrong, where, and what to do.

Every failure that a user can cause or cure is a `TiltyardError`; the command line prints it without a traceback
and exits with its `exit_code`, the model server answers with its `http_status`.
"""

import difflib
import unicodedata
from collections.abc import Iterable


class TiltyardError(Exception):
    """A failure explained to the person who can cure it.

    Args:
        what: What is wrong, with the offending value, as one sentence.
        where: File, key, column or row it concerns; empty when `what` already says so.
        cure: What to do about it, as one sentence.

    Example:
        >>> print(TiltyardError("there is no column 'age'", where="data.csv", cure="Add it or drop it."))
        data.csv: there is no column 'age'. Add it or drop it.
    """

    exit_code = 1
    http_status = 500

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what = what.rstrip(".")
        self.where = where
        self.cure = cure
        super().__init__(what)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}" if self.where else self.what
        stop = "" if sentence.endswith("?") else "."
        return f"{sentence}{stop} {self.cure}".rstrip()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.cure)


def _rebuild(kind: type[TiltyardError], what: str, where: str, cure: str) -> TiltyardError:
    """Rebuild an error that crossed a process boundary."""
    return kind(what, where=where, cure=cure)


class UsageError(TiltyardError):
    """The command was called in a way that cannot work."""

    exit_code = 2
    http_status = 400


class ProjectError(TiltyardError):
    """The project file or the environment is wrong."""

    exit_code = 2
    http_status = 400


class DataError(TiltyardError):
    """A table cannot be read, or breaks its contract."""

    exit_code = 3
    http_status = 422


class TrainingError(TiltyardError):
    """No model could be trained from this data and configuration."""

    exit_code = 4


class OverdueError(TiltyardError):
    """A step took longer than anything it does can take."""

    exit_code = 10
    http_status = 504


class BundleError(TiltyardError):
    """A model cannot become a bundle, or a bundle is damaged or not what it claims to be."""

    exit_code = 5


class RegistryError(TiltyardError):
    """MLflow or the ledger refused, or cannot be reached."""

    exit_code = 6
    http_status = 503


class AbsentError(RegistryError):
    """A version or champion that was asked for is not there; asking again will not bring it."""

    http_status = 404


class ConflictError(RegistryError):
    """Somebody else was first: the state is no longer what this change was based on."""

    exit_code = 7
    http_status = 409


class StorageError(TiltyardError):
    """The object store refused, is full, or cannot be reached."""

    exit_code = 6
    http_status = 503


class ServingError(TiltyardError):
    """The model server cannot start or has no model to answer with."""

    exit_code = 8
    http_status = 503


class OrchestrationError(TiltyardError):
    """Prefect refused, or cannot be reached."""

    exit_code = 9
    http_status = 503


class StackError(TiltyardError):
    """The local stack, or one of its parts, cannot start or does not answer."""

    exit_code = 10
    http_status = 503


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the near miss, or lists what is allowed.

    Args:
        word: What was given.
        known: What is allowed.

    Example:
        >>> did_you_mean("gate", ["gates", "data"])
        'Did you mean `gates`?'
        >>> did_you_mean("zzz", ["gates", "data"])
        'Allowed: data, gates.'
    """
    allowed = sorted(known)
    if not allowed:
        return "There is none to choose from."
    near = near_miss(word, allowed)
    if near is None:
        return f"Allowed: {', '.join(allowed)}."
    return f"Did you mean `{near}`{LOOK_ALIKE if look_alike(word, near) else ''}?"


LOOK_ALIKE = ", which looks the same and is written with other Unicode characters"


def look_alike(one: str, other: str) -> bool:
    r"""Whether two words differ only in how Unicode writes the same letters.

    Example:
        >>> look_alike("\u00e9", "e\u0301"), look_alike("e", "e")
        (True, False)
    """
    return one != other and _same_letters(one) == _same_letters(other)


def _same_letters(word: str) -> str:
    return unicodedata.normalize("NFKC", word)


def near_miss(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like a given one, whatever the case of its letters; None when none is.

    Args:
        word: What was given.
        known: What there is.

    Example:
        >>> near_miss("y", ["X", "Y"])
        'Y'
    """
    by_folded = {_same_letters(name).casefold(): name for name in sorted(known, reverse=True)}
    near = difflib.get_close_matches(_same_letters(word).casefold(), sorted(by_folded), n=1)
    return by_folded[near[0]] if near else None
