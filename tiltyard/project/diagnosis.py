"""What a look at an installation found: one line a check, with the cure."""

from collections.abc import Callable, Iterator
from typing import Literal

from tiltyard.errors import TiltyardError
from tiltyard.project.section import Section

Level = Literal["ok", "warn", "wrong"]


class Diagnosis(Section):
    """What one check found.

    Attributes:
        subject: What was looked at, in a word or two.
        level: `ok`; `warn` deserves a look; `wrong` keeps something from working.
        sentence: What was found, with the figures.
        cure: What to do about it; empty when nothing is to be done.
    """

    subject: str
    level: Level
    sentence: str
    cure: str = ""


def fine(subject: str, sentence: str) -> Diagnosis:
    """Say that something is as it should be."""
    return Diagnosis(subject=subject, level="ok", sentence=sentence)


def doubtful(subject: str, sentence: str, cure: str) -> Diagnosis:
    """Say that something deserves a look."""
    return Diagnosis(subject=subject, level="warn", sentence=sentence, cure=cure)


def wrong(subject: str, sentence: str, cure: str) -> Diagnosis:
    """Say that something keeps Tiltyard from working."""
    return Diagnosis(subject=subject, level="wrong", sentence=sentence, cure=cure)


def diagnosed(subject: str, check: Callable[[], Iterator[Diagnosis]]) -> Iterator[Diagnosis]:
    """Carry out a check; what it refuses with a sentence of ours is a finding as well, and ends it.

    Args:
        subject: What is looked at, for a refusal.
        check: Yields what it finds.

    Example:
        >>> def check() -> Iterator[Diagnosis]:
        ...     yield fine("disk", "12 GB are free.")
        ...     raise TiltyardError("the store is full", cure="Make room.")
        >>> [(found.level, found.sentence) for found in diagnosed("store", check)]
        [('ok', '12 GB are free.'), ('wrong', 'The store is full.')]
    """
    try:
        yield from check()
    except TiltyardError as error:
        sentence = str(TiltyardError(error.what, where=error.where))
        yield wrong(subject, sentence[:1].upper() + sentence[1:] if not error.where else sentence, error.cure)
