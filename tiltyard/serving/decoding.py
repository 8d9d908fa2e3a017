"""Bytes of a request → rows with raw values, or one sentence that says what is wrong with the shape.

What the values are is not looked at here: `tiltyard.data.rows` types them by the contract and names row and column.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tiltyard.data.contract import Contract
from tiltyard.data.rows import array_to_rows
from tiltyard.serving.answers import RequestError, shorten

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_EXAMPLE = 'Send {"rows": [{"column": value}]} or {"features": [value, …]}.'
_NO_NAN = "Write null for a missing value: NaN and Infinity are no JSON."
_UTF_8 = "Encode the JSON as UTF-8, without a byte order mark."
_BYTE = re.compile(r"\(byte (?P<at>[0-9]+)\)")
_NO_NUMBER = re.compile(rb"(?<![\w\"])(?:nan|inf)", re.IGNORECASE)
_PATH = re.compile(r"(?P<what>.*) - at `(?P<where>.*)`")


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /v1/models/{name}/predict`; exactly one of the two.

    Attributes:
        rows: Rows as objects, column name → value; null, or no key for a nullable column, is missing.
        features: One row's values in the order of the contract's features, or several such rows.
    """

    rows: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    features: list[Any] | msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(PredictRequest)


def decode_rows(body: bytes, contract: Contract, most_rows: int) -> Sequence[Mapping[str, object]]:
    """Decode the body of a prediction request.

    Args:
        body: JSON, already within the limit of length. Depth is limited by the decoder, which gives up cleanly.
        contract: Names the features in their order, for the positional form.
        most_rows: Limit of rows.

    Returns:
        Rows with raw JSON values, at least one.

    Raises:
        RequestError: 400 for malformed JSON or another shape, 413 for too many rows.
        DataError: A positional row is not as long as the contract has features.

    Example:
        >>> decode_rows(b'{"rows": [{"age": 41}]}', contract, 100)    # doctest: +SKIP
        [{'age': 41}]
    """
    try:
        request = _decoder.decode(body)
    except RecursionError:
        raise RequestError("the JSON is nested too deeply", cure="A row is flat: column name → value.") from None
    except UnicodeDecodeError:
        raise RequestError("the body is not UTF-8", cure=_UTF_8) from None
    except msgspec.ValidationError as error:
        raise _misshapen(str(error)) from None
    except msgspec.DecodeError as error:
        raise _malformed(str(error), body) from None
    rows = _rows_of(request, contract, most_rows)
    if not rows:
        raise RequestError("there are no rows", cure=_EXAMPLE)
    return rows


def _rows_of(request: PredictRequest, contract: Contract, most_rows: int) -> Sequence[Mapping[str, object]]:
    """Return the rows of either form."""
    rows, features = request.rows, request.features
    if isinstance(rows, list) and isinstance(features, list):
        raise RequestError("`rows` and `features` exclude each other", cure=_EXAMPLE)
    if isinstance(rows, list):
        _limit(len(rows), most_rows)
        return rows
    if not isinstance(features, list):
        raise RequestError("there is neither `rows` nor `features`", cure=_EXAMPLE)
    _limit(len(features) if isinstance(next(iter(features), None), list) else 1, most_rows)
    return array_to_rows(features, contract) if features else []


def _limit(count: int, most: int) -> None:
    """Refuse more rows than the server answers at once."""
    if count > most:
        cure = f"Send at most {most} in one request; `tiltyard predict` answers whole tables."
        raise RequestError.of(413, f"{count} rows are too many", cure=cure)


def _misshapen(message: str) -> RequestError:
    """Explain JSON of another shape; msgspec's sentences hold a path and no values."""
    found = _PATH.fullmatch(message)
    what, where = (found["what"], found["where"]) if found else (message, "")
    return RequestError(f"the body is not a prediction request: {_lower(what)}", where=where, cure=_EXAMPLE)


def _malformed(message: str, body: bytes) -> RequestError:
    """Explain a body that is not JSON; msgspec's sentences hold a position and no values."""
    if body.startswith(_MARKS) or b"\0" in body[:4]:
        return RequestError("the body is not plain UTF-8", cure=_UTF_8)
    if body.lstrip().startswith(b"<"):
        return RequestError("the body is XML or HTML, not JSON", cure=_EXAMPLE)
    found = _BYTE.search(message)
    at = int(found["at"]) if found else len(body)
    cure = _NO_NAN if _NO_NUMBER.search(body[max(at - 6, 0) : at + 4]) else _EXAMPLE
    return RequestError(f"the body is not valid JSON: {_lower(message)}", cure=cure)


def _lower(sentence: str) -> str:
    """Return a sentence as it continues another; an abbreviation keeps its capitals."""
    keeps = sentence[1:2].isupper()
    return shorten(sentence if keeps else sentence[:1].lower() + sentence[1:], 160)
