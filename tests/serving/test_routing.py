"""Routing: the same key meets the same version, shares are what they say, and a growing share takes nobody away."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.serving.routing import is_chosen, key_text, place_of

texts = st.text(max_size=30)
shares = st.floats(0, 1)


@given(salt=texts, key=texts)
def test_a_key_has_one_place(salt: str, key: str) -> None:
    assert 0 <= place_of(salt, key) < 1
    assert place_of(salt, key) == place_of(salt, key)
    assert not is_chosen(salt, key, 0.0)
    assert is_chosen(salt, key, 1.0)


@given(salt=texts, key=texts, smaller=shares, larger=shares)
def test_who_has_met_the_candidate_stays_with_it_while_the_share_grows(
    salt: str, key: str, smaller: float, larger: float
) -> None:
    smaller, larger = sorted((smaller, larger))
    assert is_chosen(salt, key, larger) or not is_chosen(salt, key, smaller)


def test_shares_are_exact_within_sampling() -> None:
    keys = 20_000
    for share in (0.01, 0.1, 0.5, 0.99):
        chosen = sum(is_chosen("churn-7", f"customer {number}", share) for number in range(keys))
        assert abs(chosen - keys * share) < 5 * math.sqrt(keys * share * (1 - share))


def test_places_are_even_and_another_salt_is_another_order() -> None:
    keys = [f"customer {number}" for number in range(5_000)]
    first = np.array([place_of("churn-7", key) for key in keys])
    second = np.array([place_of("churn-8", key) for key in keys])
    assert np.abs(np.sort(first) - np.arange(len(keys)) / len(keys)).max() < 0.03
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


def test_places_stay_what_they_are_from_release_to_release() -> None:
    assert [place_of("churn-7", key) for key in ("", "customer 12", "\ud800")] == PLACES


PLACES = [0.7805172607998585, 0.7065224513378191, 0.6711033125961545]


def test_a_key_is_the_same_however_a_protocol_writes_it() -> None:
    assert key_text(7) == key_text(7.0) == key_text("7") == key_text(np.float64(7)) == key_text(np.int64(7)) == "7"
    assert key_text(0.1) == key_text(np.float64(0.1)) == "0.1"
    assert key_text(np.datetime64("2026-11-20T18:00")) == "2026-11-20T18:00"
    assert [key_text(missing) for missing in (None, "", math.nan, np.datetime64("NaT"))] == [None] * 4
