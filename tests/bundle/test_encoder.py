"""The encoder: pure, total and the same for a row alone as among others."""

from datetime import datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.bundle.tables import ENCODER, TEST, Table
from tiltyard.bundle.encoder import LARGEST, UNKNOWN_LEVEL, ColumnEncoding, Encoder
from tiltyard.data.contract import Kind


def encode(kind: Kind, values: list[object], levels: tuple[str, ...] = ()) -> NDArray[np.float32]:
    dtypes = {Kind.CATEGORY: "object", Kind.TEXT: "object", Kind.TIME: "datetime64[us]"}
    encoder = Encoder(columns=(ColumnEncoding(column="c", kind=kind, levels=levels),))
    return encoder.encode({"c": np.array(values, dtype=dtypes.get(kind, "float64"))})


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1))
def test_numbers_are_clipped_and_nan_stays(values: list[float]) -> None:
    out = encode(Kind.NUMBER, list(values))[:, 0]
    expected = np.clip(np.array(values), -LARGEST, LARGEST).astype(np.float32)
    np.testing.assert_array_equal(out, expected)


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1))
def test_levels_are_codes_unknown_is_minus_one_and_missing_is_nan(values: list[str | None]) -> None:
    out = encode(Kind.CATEGORY, list(values), levels=("a", "b"))[:, 0]
    for value, code in zip(values, out.tolist(), strict=True):
        if value is None:
            assert np.isnan(code)
        else:
            assert code == {"a": 0.0, "b": 1.0}.get(value, UNKNOWN_LEVEL)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001  # typed times are naive UTC
def test_times_become_their_parts(time: datetime) -> None:
    days, hour, weekday, month_day, month = encode(Kind.TIME, [time])[0].tolist()
    seconds = (time - time.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    assert days == np.float32((time - datetime(2000, 1, 1)).total_seconds() / 86400)  # noqa: DTZ001  # as above
    assert hour == np.float32(seconds / 3600)
    assert (weekday, month_day, month) == (time.weekday(), time.day, time.month)


def test_a_missing_time_is_missing_in_every_part() -> None:
    assert np.isnan(encode(Kind.TIME, [np.datetime64("NaT")])).all()


@given(st.one_of(st.none(), st.text()))
def test_texts_count_their_words(text: str | None) -> None:
    out = encode(Kind.TEXT, [text])[0]
    if text is None:
        assert np.isnan(out).all()
    else:
        assert out[0] == len(text)
        assert out[1:].sum() <= len(text)


@given(st.integers(0, len(TEST["age"]) - 1))
def test_a_row_is_encoded_alone_as_among_others(row: int) -> None:
    alone: Table = {name: values[row : row + 1] for name, values in TEST.items()}
    np.testing.assert_array_equal(ENCODER.encode(alone)[0], ENCODER.encode(TEST)[row])


def test_it_survives_json_and_says_what_its_columns_are() -> None:
    again = Encoder.model_validate_json(ENCODER.model_dump_json())
    assert again == ENCODER
    assert again.encode(TEST).shape == (len(TEST["age"]), len(again.features))
    assert again.encode({name: values[:0] for name, values in TEST.items()}).shape == (0, len(again.features))
    assert [feature.levels for feature in again.features if feature.column == "plan"] == [4]
