"""The door of feedback: bytes of a request → labels, typed by the contract's target; light enough for a worker.

    {"id": "9f…0-0", "label": "yes", "time": "2026-11-21T10:00:00Z"}      one label; `time` may be left out
    [{"id": …, "label": …}, …]                                            several
    {"feedback": [{"id": …, "label": …}, …]}                              the same

`id` is the prediction's, as the answer named it. Messages name the entry and never hold a value of it.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from tiltyard.data.contract import Contract
from tiltyard.data.values import convert, expected, rules_of
from tiltyard.errors import DataError, UsageError
from tiltyard.predictions.record import Entry, Label

MOST_ENTRIES = 10_000

PREDICTION_ID = r"^[0-9a-f]{24,32}(-(0|[1-9][0-9]{0,8}))?$"
"""Ids as answers name them (`tiltyard.serving.ids`): of a request, or of one of its rows."""

_is_id = re.compile(PREDICTION_ID).fullmatch

_DAY = 86_400.0
_EXAMPLE = 'Send {"id": "…", "label": …}, a list of these, or {"feedback": [ … ]}.'


class TooManyError(UsageError):
    """More labels than a request may bring."""

    http_status = 413


class _Sent(msgspec.Struct, forbid_unknown_fields=True):
    """One entry as it is sent."""

    id: str
    label: Any
    time: str | float | None = None


def read_feedback(body: bytes, contract: Contract, now: float, *, most: int = MOST_ENTRIES) -> tuple[Entry, ...]:
    """Read the labels of a request.

    Args:
        body: JSON in one of the three forms.
        contract: Types the labels by its target.
        now: When it came, UTC, seconds since 1970; the time of entries without one.
        most: Most entries of a request.

    Raises:
        UsageError: Malformed JSON, another form, or no entries.
        TooManyError: More than `most` entries.
        DataError: An entry's id, label or time is not what it must be; names the entry, from 0.

    Example:
        >>> body = b'{"id": "3f09c1d2a4b5e6f700000012-0", "label": "yes"}'
        >>> read_feedback(body, contract, 5.0)    # doctest: +SKIP
        (Entry(id='3f09c1d2a4b5e6f700000012-0', label='yes', time=5.0),)
    """
    sent = _entries(body)
    if not sent:
        raise UsageError("there are no labels", cure=_EXAMPLE)
    if len(sent) > most:
        raise TooManyError(
            f"{len(sent)} labels are too many for one request",
            cure=f"Send at most {most}; `tiltyard feedback` takes whole tables.",
        )
    return tuple(_entry(entry, contract, now, f"feedback[{number}]") for number, entry in enumerate(sent))


def typed_label(raw: object, contract: Contract, where: str) -> Label | None:
    """Type one label; None when it is missing.

    Args:
        raw: As JSON, CSV or Parquet delivers it.
        contract: Its target says what a label is, its classes which there are.
        where: Names the entry, for an error.

    Raises:
        DataError: It is not of the target's kind, or no class of the model.
    """
    target = contract.target
    try:
        label = convert(target, raw, rules_of(contract))
    except ValueError as error:
        hint = str(error)
        cure = f"{hint[:1].upper()}{hint[1:]}: the target is `{target.name}`."
        raise DataError(f"the label is not {expected(target)}", where=where, cure=cure) from None
    assert not isinstance(label, datetime)
    if label is not None and contract.classes and label not in contract.classes:
        known = ", ".join(str(level) for level in contract.classes[:20])
        raise DataError(f"the label is no class of `{target.name}`", where=where, cure=f"There is: {known}.")
    return label


def checked_id(text: object, where: str) -> str:
    """Return a prediction's id.

    Whether there is such a prediction nobody asks: its label may arrive before it does.

    Raises:
        DataError: No prediction has such an id.
    """
    if isinstance(text, str) and _is_id(text):
        return text
    cure = "Send the one that the answer named, as in 3f09c1d2a4b5e6f700000012-0, where 0 is the row."
    raise DataError("the id is none of a prediction", where=where, cure=cure)


def checked_time(raw: object, now: float, where: str) -> float:
    """Return when a label was known.

    Args:
        raw: ISO 8601 text (without a zone it is UTC), seconds since 1970, a `datetime`, or None for now.
        now: UTC, seconds since 1970.
        where: Names the entry, for an error.

    Raises:
        DataError: It is no time, lies before 1970, or more than a day ahead: it would win over every later label.
    """
    if raw is None:
        return now
    seconds = _seconds(raw)
    if seconds is None:
        cure = "Write it as in 2026-11-21T10:00:00Z, or as seconds since 1970."
        raise DataError("the time is none", where=where, cure=cure)
    if not 0 <= seconds <= now + _DAY:
        raise DataError(
            "the time lies before 1970 or in the future", where=where, cure="Give the time at which it was known, UTC."
        )
    return seconds


def _entries(body: bytes) -> Sequence[_Sent]:
    try:
        content = msgspec.json.decode(body)
    except RecursionError:
        raise UsageError("the JSON is nested too deeply", cure=_EXAMPLE) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError("the body is not valid JSON in UTF-8", cure=_EXAMPLE) from None
    if isinstance(content, dict):
        content = content["feedback"] if content.keys() == {"feedback"} else [content]
    try:
        return msgspec.convert(content, list[_Sent])
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        where = f"feedback{place.removesuffix('`')}" if place else ""
        raise UsageError(
            f"the body is no feedback: {what[:1].lower()}{what[1:160]}", where=where, cure=_EXAMPLE
        ) from None


def _entry(sent: _Sent, contract: Contract, now: float, where: str) -> Entry:
    label = typed_label(sent.label, contract, where)
    if label is None:
        raise DataError("the label is missing", where=where, cure="Send feedback when the label is known.")
    return Entry(checked_id(sent.id, where), label, checked_time(sent.time, now, where))


def _seconds(raw: object) -> float | None:
    """Return a time as seconds since 1970; None when it is no time."""
    if isinstance(raw, str):
        try:
            raw = datetime.fromisoformat(raw.strip())
        except ValueError:
            return None
    if isinstance(raw, datetime):
        moment = raw if raw.tzinfo else raw.replace(tzinfo=UTC)
        return (moment - _EPOCH).total_seconds()
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        return None
    return float(raw)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
