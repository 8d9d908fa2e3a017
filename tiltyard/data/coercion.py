"""From a raw table to a typed one, by the contract: in bulk what `tiltyard.data.values` does value by value.

Fast paths read whole Arrow columns and are taken only where their answer is certain to be the one that
`typed_value` gives; everything else goes through it, once per distinct value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.origin import place_of
from tiltyard.data.values import TextRules, Value, convert, cure_for, expected, plain, rules_of, show
from tiltyard.errors import DataError, did_you_mean
from tiltyard.project.metrics import Task

EXAMPLES = 3
_EXACT = 2.0**53
_YEAR_1 = int(np.datetime64("0001-01-01", "us").astype(np.int64))
_YEAR_10000 = int(np.datetime64("10000-01-01", "us").astype(np.int64))

ARROW_TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.CATEGORY: pa.large_string(),
    Kind.TEXT: pa.large_string(),
    Kind.TIME: pa.timestamp("us"),
}


def coerce(frame: pd.DataFrame, contract: Contract, *, where: str) -> pd.DataFrame:
    """Type a whole table by its contract.

    Args:
        frame: Raw frame with any dtypes; columns that the contract does not know are left out.
        contract: The contract.
        where: Name of the source, for errors.

    Returns:
        One column per contract column, in its order, RangeIndex; number float64 with NaN, integer Int64, boolean
        `boolean`, category and text `string[pyarrow]`, time datetime64[us]. A dropped column that is absent from
        the table is all missing.

    Raises:
        DataError: A column is absent, or values are not of their kind; names column, places and values.
    """
    optional = {column.name for column in contract.columns if column.role is Role.DROPPED}
    return _typed(frame, contract, contract.columns, where=where, optional=optional)


def coerce_features(frame: pd.DataFrame, contract: Contract, *, where: str) -> pd.DataFrame:
    """Type the features of a table that is to be predicted; as strict as a request.

    Args:
        frame: Raw frame; the target and whatever else is no feature may be absent, and is left out.
        contract: The contract.
        where: Name of the source, for errors.

    Returns:
        One column per feature, as `coerce` types it.

    Raises:
        DataError: As `coerce`; and a feature is missing where the contract does not allow it, or has a new level
            where the contract refuses those.
    """
    typed = _typed(frame, contract, contract.features, where=where, optional=set())
    for column in contract.features:
        _check_as_request(typed[column.name], column, frame, where)
    return typed


def coerce_column(
    frame: pd.DataFrame, column: Column, contract: Contract, *, where: str, show_values: bool = True
) -> "pd.Series[Any]":
    """Type one column of a table.

    Args:
        frame: Raw frame with any dtypes.
        column: The column.
        contract: Says how numbers and missing values are written.
        where: Name of the source, for errors.
        show_values: Whether an error may show values of the column.

    Returns:
        As `coerce` types it.

    Raises:
        DataError: The column is absent, or values are not of their kind.
    """
    alone = contract.model_copy(update={"columns": (column,)})
    try:
        return _typed(frame, alone, (column,), where=where, optional=set())[column.name]
    except DataError as error:
        if show_values:
            raise
        what = f"column `{column.name}` holds values that are not {expected(column)}"
        raise DataError(what, where=where, cure=error.cure) from None


def feature_columns(frame: pd.DataFrame, contract: Contract) -> dict[str, NDArray[Any]]:
    """Return the features of a typed frame as numpy arrays (see `tiltyard.bundle.model.Columns`)."""
    columns: dict[str, NDArray[Any]] = {}
    for column in contract.features:
        series: Any = frame[column.name]
        if column.kind in {Kind.CATEGORY, Kind.TEXT}:
            columns[column.name] = series.to_numpy(dtype=object, na_value=None)
        elif column.kind is Kind.TIME:
            columns[column.name] = series.to_numpy(dtype="datetime64[us]")
        else:
            columns[column.name] = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return columns


def target_array(frame: pd.DataFrame, contract: Contract) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return the target of a typed frame.

    Returns:
        Shape (n,). Classification: int64 codes in the order of `contract.classes`, -1 where the target is missing.
        Regression: float64, NaN where it is missing.

    Raises:
        DataError: The target has a class that the contract does not know.
    """
    series: Any = frame[contract.target.name]
    if contract.task is Task.REGRESSION:
        numbers: NDArray[np.float64] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    codes = {label: code for code, label in enumerate(contract.classes)}
    values = series.to_numpy(dtype=object, na_value=None)
    unknown = sorted({str(value) for value in values if value is not None and value not in codes})
    if unknown:
        raise DataError(
            f"the target `{contract.target.name}` has the class `{unknown[0]}`, which the contract does not know",
            cure=f"Correct it, or add it to `classes` ({', '.join(map(str, contract.classes))}) of the contract.",
        )
    return np.array([-1 if value is None else codes[value] for value in values], dtype=np.int64)


@dataclass(frozen=True)
class _Refusals:
    """Values that could not be typed: their rows, the first raw values, and the hint of the first."""

    rows: list[int]
    values: list[object]
    hint: str


def _typed(
    frame: pd.DataFrame, contract: Contract, columns: Sequence[Column], *, where: str, optional: set[str]
) -> pd.DataFrame:
    """Type some columns of a raw frame."""
    rules = rules_of(contract)
    typed: dict[str, Any] = {}
    for column in columns:
        if column.name in frame.columns:
            result = typed_column(frame[column.name], column, rules)
            if isinstance(result, _Refusals):
                raise _refusal(result, column, frame, where)
            typed[column.name] = to_pandas(result, column.kind)
        elif column.name in optional:
            typed[column.name] = to_pandas(pa.nulls(len(frame), ARROW_TYPES[column.kind]), column.kind)
        else:
            near = did_you_mean(column.name, map(str, frame.columns))
            raise DataError(f"the column `{column.name}` of the contract is not in the table", where=where, cure=near)
    return pd.DataFrame(typed, index=pd.RangeIndex(len(frame)))


def typed_column(series: "pd.Series[Any]", column: Column, rules: TextRules) -> "pa.Array | _Refusals":
    """Type one raw column.

    Returns:
        An Arrow array of the kind's type, or what could not be typed.
    """
    array = arrow_column(series)
    if array is None:
        values = list(series)
        return _one_by_one(values, np.arange(len(values)), column, rules)
    fast = _fast(array, column, rules)
    if fast is not None:
        return fast
    coded = array.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False) if coded.null_count == 0 else _codes(coded)
    return _one_by_one(coded.dictionary.to_pylist(), codes, column, rules)


def arrow_column(series: "pd.Series[Any]") -> Any:
    """Return a raw column as one Arrow array with NaN as null; None when its values are of mixed types."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    if series.dtype == object and pd.api.types.infer_dtype(series, skipna=True) not in _HOMOGENEOUS:
        return None
    try:
        array = pa.array(series, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
        return None
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


_HOMOGENEOUS = frozenset({"string", "integer", "floating", "boolean", "date", "decimal", "empty"})


def to_pandas(array: Any, kind: Kind) -> Any:
    """Return a typed Arrow array as the pandas array of its kind."""
    if kind is Kind.NUMBER:
        return array.to_numpy(zero_copy_only=False)
    if kind is Kind.TIME:
        return pc.cast(array, pa.int64()).fill_null(_NOT_A_TIME).to_numpy(zero_copy_only=False).view("datetime64[us]")
    dtype: Any = {Kind.INTEGER: pd.Int64Dtype(), Kind.BOOLEAN: pd.BooleanDtype()}.get(kind, pd.StringDtype("pyarrow"))
    return dtype.__from_arrow__(array)


_NOT_A_TIME = int(np.datetime64("NaT").astype(np.int64))


def _codes(coded: Any) -> NDArray[np.int64]:
    """Return dictionary codes with -1 for null."""
    codes: NDArray[np.int64] = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _one_by_one(
    values: Sequence[object], codes: NDArray[Any], column: Column, rules: TextRules
) -> "pa.Array | _Refusals":
    """Type the distinct values one by one and spread them over the rows (code -1: missing)."""
    typed: list[Value] = []
    hints: dict[int, str] = {}
    for code, value in enumerate(values):
        try:
            typed.append(convert(column, value, rules))
        except ValueError as error:
            hints[code] = str(error)
            typed.append(None)
    if hints:
        rows = np.flatnonzero(np.isin(codes, list(hints)))
        first = [int(codes[row]) for row in rows[:EXAMPLES]]
        if len(rows):
            return _Refusals([int(row) for row in rows], [values[code] for code in first], hints[first[0]])
    distinct = pa.array(typed, type=ARROW_TYPES[column.kind])
    if len(values) == len(codes) and np.array_equal(codes, np.arange(len(codes))):
        return distinct
    return distinct.take(pa.array(codes, mask=codes < 0))


def _refusal(refusals: _Refusals, column: Column, frame: pd.DataFrame, where: str) -> DataError:
    """Explain up to three values that could not be typed, each with its place."""
    pairs = zip(refusals.rows, refusals.values, strict=False)
    places = [f"{show(plain(value))} at {place_of(frame, row, where)}" for row, value in pairs]
    count = len(refusals.rows)
    more = f" and {count - len(places)} more" if count > len(places) else ""
    what = f"column `{column.name}` holds {count} value{'s' * (count > 1)} that {'are' if count > 1 else 'is'} not"
    return DataError(
        f"{what} {expected(column)}: {', '.join(places)}{more}", where=where, cure=cure_for(column, refusals.hint)
    )


def _check_as_request(series: "pd.Series[Any]", column: Column, raw: pd.DataFrame, where: str) -> None:
    """Refuse what a request would be refused for: a missing value, or a new level."""
    missing = series.isna()
    if not column.nullable and missing.any():
        place = place_of(raw, int(missing.to_numpy().argmax()), where)
        raise DataError(
            f"column `{column.name}` is missing in {int(missing.sum())} rows, first at {place}, and may not be",
            where=where,
            cure="Fill it in, or make it `nullable` in the contract.",
        )
    if column.kind is Kind.CATEGORY and column.new_levels == "refuse":
        new = ~missing & ~series.isin(column.levels)
        if new.any():
            row = int(new.to_numpy().argmax())
            raise DataError(
                f"column `{column.name}` has the new level {show(series.iloc[row])} at {place_of(raw, row, where)}",
                where=where,
                cure="Correct it, or set `new_levels: other` in the contract.",
            )


def _fast(array: Any, column: Column, rules: TextRules) -> Any:
    """Type a whole Arrow column at once; None when that is not certain to agree with `convert`."""
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), ARROW_TYPES[column.kind])
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return _fast_text(array, column, rules)
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return _fast_number(array, column.kind)
    if pa.types.is_boolean(array.type) and column.kind is Kind.BOOLEAN:
        return array
    if pa.types.is_timestamp(array.type) and column.kind is Kind.TIME:
        return _fast_time(pc.cast(array, pa.timestamp("us", array.type.tz), safe=False))
    return None


def _fast_number(array: Any, kind: Kind) -> Any:
    """Type an Arrow column of integers or floats as number or integer."""
    if kind not in {Kind.NUMBER, Kind.INTEGER}:
        return None
    if kind is Kind.INTEGER and pa.types.is_signed_integer(array.type):
        return pc.cast(array, pa.int64())
    numbers = pc.cast(array, pa.float64(), safe=False)
    if kind is Kind.NUMBER:
        return numbers if _all(pc.is_finite(numbers)) else None
    return _whole(numbers)


def _whole(numbers: Any) -> Any:
    """Return doubles as int64 when all are whole and below 2**53, where doubles still count exactly; else None."""
    exact = pc.and_(pc.less(pc.abs(numbers), _EXACT), pc.equal(numbers, pc.floor(numbers)))
    return pc.cast(numbers, pa.int64()) if _all(exact) else None


def _fast_text(array: Any, column: Column, rules: TextRules) -> Any:
    """Type an Arrow column of texts as number, integer or time."""
    if column.kind not in {Kind.NUMBER, Kind.INTEGER, Kind.TIME}:
        return None
    text = pc.utf8_trim_whitespace(array)
    absent = pc.is_in(text, value_set=pa.array(sorted(rules.missing), type=text.type))
    text = pc.if_else(absent, pa.scalar(None, type=text.type), text)
    if column.kind is Kind.TIME:
        return None if column.time_format else _fast_time(_cast(text, pa.timestamp("us")))
    if rules.numbers.decimal != "." or rules.numbers.thousands:
        text = _plain_notation(text, rules)
    numbers = None if text is None else _cast(text, pa.float64())
    if numbers is None or not _all(pc.is_finite(numbers)):
        return None
    return numbers if column.kind is Kind.NUMBER else _whole(numbers)


def _plain_notation(text: Any, rules: TextRules) -> Any:
    """Rewrite numbers of the contract's format in plain notation; None when one is not in that format."""
    if not _all(pc.match_substring_regex(text, f"^(?:{rules.pattern})$")):
        return None
    if rules.numbers.thousands:
        text = pc.replace_substring(text, rules.numbers.thousands, "")
    return pc.replace_substring(text, ",", ".") if rules.numbers.decimal == "," else text


def _fast_time(moments: Any) -> Any:
    """Return timestamps as naive UTC when all lie in the years that Python knows; else None."""
    if moments is None:
        return None
    micros = pc.cast(moments, pa.int64())
    known = pc.and_(pc.greater_equal(micros, _YEAR_1), pc.less(micros, _YEAR_10000))
    return pc.cast(micros, pa.timestamp("us")) if _all(known) else None


def _cast(text: Any, to: Any) -> Any:
    try:
        return pc.cast(text, to)
    except pa.ArrowInvalid:
        return None


def _all(conditions: Any) -> bool:
    """Whether a condition holds in every row where it is known."""
    return bool(pc.all(conditions, skip_nulls=True, min_count=0).as_py())
