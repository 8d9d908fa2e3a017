"""Content hashes of rows: the same values give the same 64 bits, in any order of rows and columns, on any machine.

They decide which part of a split a row falls into, and tell later whether a model has been trained on it. Strings are
hashed by BLAKE2b, numbers by the finaliser of SplitMix64 (Steele, Lea, Flood 2014); nothing depends on a library's
own, changeable hash.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind

Hashes = NDArray[np.uint64]

_AT_ONCE = 1 << 15
_MISSING = np.uint64(0x9E3779B97F4A7C15)


def mix(values: Hashes) -> Hashes:
    """Scatter 64-bit integers evenly over all 64-bit integers (the bijective finaliser of SplitMix64).

    Args:
        values: uint64, any shape.

    Returns:
        uint64 of the same shape.
    """
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def keyed(values: Hashes, key: str) -> Hashes:
    """Rehash under a key, so that different keys give unrelated orders.

    Args:
        values: uint64, any shape.
        key: Any text, such as a seed with its purpose.
    """
    return mix(values ^ _text_hash(key))


def column_hashes(values: pd.Series, kind: Kind) -> Hashes:
    """Hash the values of one typed column; numbers, integers and booleans of equal value hash alike.

    Args:
        values: Typed column, shape (n,).
        kind: Its kind in the contract.

    Returns:
        uint64, shape (n,); all missing values share one hash.
    """
    if kind in (Kind.CATEGORY, Kind.TEXT):
        codes, uniques = pd.factorize(values)
        table = np.array([_text_hash(str(text)) for text in uniques] + [_MISSING], dtype=np.uint64)
        return table[codes]  # a missing value has code -1: the last entry
    missing = values.isna().to_numpy()
    if kind is Kind.TIME:
        bits = values.to_numpy(dtype="datetime64[us]").view(np.uint64)
    else:
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 becomes 0.0
        bits = numbers.view(np.uint64)
    return np.where(missing, _MISSING, mix(bits))


def row_hashes(frame: pd.DataFrame, columns: Iterable[Column]) -> Hashes:
    """Hash rows over some columns, whatever the order of the columns.

    Args:
        frame: Typed frame of n rows.
        columns: The columns that count.

    Returns:
        uint64, shape (n,).
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            total += keyed(column_hashes(frame[column.name], column.kind), column.name)
    return mix(total)


def row_keys(frame: pd.DataFrame, contract: Contract) -> Hashes:
    """Hash features and target of every row: the identity under which a model remembers what it has seen.

    To ask whether an older model has seen a row, hash under the *older* model's contract: its features are the ones
    that its keys were made of.

    Args:
        frame: Typed frame of n rows.
        contract: Says which columns are features and target.

    Returns:
        uint64, shape (n,).
    """
    return row_hashes(frame, (*contract.features, contract.target))


def _text_hash(text: str) -> np.uint64:
    """Hash a string to 64 bits."""
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()))


def text_hashes(texts: pa.StringArray, seed: int = 0) -> Hashes:
    """Hash texts to 64 bits, all at once.

    The bytes of a text are summed, each times a random number of its place: multilinear hashing (Carter & Wegman 1979;
    Lemire & Kaser 2014, "Strongly universal string hashing is fast"), finished by SplitMix64.

    Args:
        texts: n texts, none missing.
        seed: Texts that collide under one seed do so under no other.

    Returns:
        uint64, shape (n,).

    Example:
        >>> one, other, again = text_hashes(pa.array(["9f-0", "9f-1", "9f-0"]))
        >>> bool(one == again), bool(one == other)
        (True, False)
    """
    pieces = [_hashed(texts.slice(start, _AT_ONCE), seed) for start in range(0, len(texts), _AT_ONCE)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.uint64)


def _hashed(texts: pa.StringArray, seed: int) -> Hashes:
    """Hash some texts, with 25 times their memory."""
    _, places, content = texts.buffers()
    offsets = np.frombuffer(places, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    total = int(lengths.sum())
    if total == 0:
        return mix(np.zeros(len(texts), np.uint64))
    letters = np.frombuffer(content, np.uint8)[offsets[0] : offsets[-1]]
    starts = offsets[:-1] - offsets[0]
    place = np.arange(total) - np.repeat(starts, lengths)
    with np.errstate(over="ignore"):
        terms = _weights(int(lengths.max()), seed)[place] * (letters.astype(np.uint64) + np.uint64(1))
        sums = np.zeros(len(texts), np.uint64)
        sums[lengths > 0] = np.add.reduceat(terms, starts[lengths > 0])
    return mix(sums)


def _weights(count: int, seed: int) -> Hashes:
    """Return a random odd number for each place of a text."""
    return mix(np.arange(count, dtype=np.uint64) + (np.uint64(seed) << np.uint64(32))) | np.uint64(1)
