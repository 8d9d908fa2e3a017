"""What a check looks at: the version, its window of the prediction log, the labels that have come."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from tiltyard.bundle.manifest import CONTRACT, parse_section, read_bundle
from tiltyard.data.contract import Contract
from tiltyard.errors import AbsentError, TiltyardError, UsageError
from tiltyard.monitoring.labelled import Labelled, collect, columns_for
from tiltyard.monitoring.reference import Reference
from tiltyard.monitoring.watching import Seen, label_windows
from tiltyard.monitoring.windows import read_window, window_of_last
from tiltyard.predictions.reading import Window, read_labels, read_predictions
from tiltyard.project.spans import parse_span
from tiltyard.registry import models
from tiltyard.registry.by_hand import settle
from tiltyard.registry.history import MOVES
from tiltyard.registry.records import ModelRef
from tiltyard.steps.place import Place
from tiltyard.steps.reference import load_reference


class Watched(NamedTuple):
    """A version that is watched, and what it is held against.

    Attributes:
        ref: The version.
        since: When it became champion.
        made: When it was registered.
        contract: Its data contract.
        reference: What it is held against.
    """

    ref: ModelRef
    since: datetime
    made: datetime
    contract: Contract
    reference: Reference


def watched(place: Place, moment: datetime) -> Watched:
    """Return the champion of a moment, as it is watched.

    Args:
        place: The project.
        moment: The moment, with a time zone.

    Raises:
        AbsentError: There was none, or it has no reference.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger cannot be reached.
        DataError: The reference is damaged.
    """
    settle(place.ledger, place.registry, place.project.gates)
    state = place.ledger.state_at(moment)
    if state.champion is None or state.since is None:
        raise AbsentError(
            f"`{place.project.name}` had no champion at {moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            cure="Run `tiltyard train` first, or look at a later window (`tiltyard history` lists champions).",
        )
    ref = ModelRef(name=place.project.name, version=state.champion)
    made = datetime.fromtimestamp(models.version(place.registry, ref).created / 1000, UTC)
    return Watched(ref, state.since.time, made, contract_of(place, ref), load_reference(place, ref))


def contract_of(place: Place, ref: ModelRef) -> Contract:
    """Return the data contract of a version, downloaded once.

    Raises:
        RegistryError: There is no such version, it has no bundle, or MLflow cannot be reached.
        BundleError: The bundle is damaged.
    """
    made = models.version(place.registry, ref).created
    folder = place.workplace.home / "bundles" / ref.name / f"{ref.version}-{made}"
    files = read_bundle(models.download_bundle(place.registry, ref, folder))
    return parse_section(Contract, files.contents[CONTRACT], where=CONTRACT)


def end_of_window(window: str | None, since: date | datetime | None, place: Place, now: datetime) -> datetime:
    """Return the moment after the last of the window that is asked for.

    Args:
        window: Its length as `7d`, or a number of rows; the project file's when None.
        since: Its start; None for a window that ends now.
        place: The project.
        now: The present moment, with a time zone.

    Raises:
        UsageError: The window is none, or lies in the future.
    """
    length = length_of(window, place)
    if since is None:
        return now
    start = _start(since)
    if start >= now:
        raise UsageError(f"the window starts at {start:%Y-%m-%d %H:%M} UTC, which is yet to come", cure="Go back.")
    if isinstance(length, int):
        if window is None:
            return now
        what = f"`{window}` rows are counted back from now, and cannot start at {start:%Y-%m-%d %H:%M} UTC"
        raise UsageError(what, cure="Give a stretch of time such as `7d`, or leave one of the two out.")
    return now if window is None else min(start + parse_span(length), now)


def window_until(
    end: datetime, window: str | None, since: date | datetime | None, place: Place, version: int
) -> Window:
    """Return the window that ends at a moment.

    Args:
        end: The moment, of `end_of_window`.
        window: As there.
        since: As there.
        place: The project.
        version: Whose rows are counted, where the window is so many rows.

    Raises:
        UsageError: The window is none.
        StorageError: The store cannot be reached.
        DataError: An object of the prediction log is damaged.
    """
    length = length_of(window, place)
    if since is not None:
        return Window(_start(since), end).checked()
    if isinstance(length, int):
        return window_of_last(place.store, place.project.name, length, until=end, versions=[version])
    return Window(end - parse_span(length), end).checked()


def length_of(window: str | None, place: Place) -> str | int:
    """Return the length of a window as the project file writes it.

    Raises:
        UsageError: It is neither a stretch of time nor a number of rows.
    """
    if window is None or not window.strip():
        return place.project.monitoring.window
    text = window.strip()
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    try:
        parse_span(text)
    except ValueError as error:
        what = str(error)
        raise UsageError(f"`--window {text}`: {what}", cure="A number of rows such as `5000` will do too.") from None
    return text


def see(place: Place, version: Watched, window: Window) -> Seen:
    """Read what was asked and answered in a window, and the labels that have come.

    Args:
        place: The project.
        version: The version that is looked at.
        window: The window.

    Raises:
        StorageError: The store cannot be reached.
        DataError: An object of the prediction log is damaged.
    """
    number = version.ref.version
    sample = read_window(place.store, place.project.name, window, version.contract, versions=[number])
    labelled = _labelled(place, version, label_windows(window, place.project.monitoring.label_delay)[0].start, window)
    return Seen(number, sample, labelled, version.since)


def _labelled(place: Place, version: Watched, start: datetime, window: Window) -> Labelled | None:
    """Return predictions with the labels that have come; None when none ever came."""
    labels = read_labels(place.store, place.project.name, start)
    if not len(labels):
        return None
    span, classes = Window(start, window.end), version.contract.classes
    versions = [version.ref.version, *_predecessors(place, version, span)]
    batches = read_predictions(place.store, place.project.name, span, versions=versions, columns=columns_for(classes))
    return collect((labels.beside(batch) for batch in batches), classes)


def _predecessors(place: Place, version: Watched, span: Window) -> Iterator[int]:
    """Yield other champions of a span of time that answered with the same classes."""
    moves = [entry for entry in place.ledger.entries() if entry.kind in MOVES and entry.time < span.end]
    before = [entry.version for entry in moves if entry.time <= span.start][-1:]
    within = [entry.version for entry in moves if entry.time > span.start]
    for number in sorted({one for one in (*before, *within) if one is not None} - {version.ref.version}):
        try:
            other = contract_of(place, ModelRef(name=version.ref.name, version=number))
        except TiltyardError:  # it is gone, or is none of Tiltyard's
            continue
        if other.classes == version.contract.classes and other.task is version.contract.task:
            yield number


def _start(since: date | datetime) -> datetime:
    """Return the first moment of a day, or a moment, in UTC.

    Example:
        >>> _start(date(2026, 11, 21)).isoformat()
        '2026-11-21T00:00:00+00:00'
    """
    if not isinstance(since, datetime):
        return datetime.combine(since, time.min, UTC)
    return since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)
