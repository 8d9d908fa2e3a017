"""The records of a day in one object, so that a look back over weeks of hourly checks is some dozen reads.

    monitoring/{model}/days/2026-11-20.json.gz

The records themselves stay where they are: a day's object is a copy, made by whoever first looks back to the day once
it is over, and made anew where it is damaged or has not the same records.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import PurePosixPath
from typing import Generic, TypeVar

from tiltyard.storage.base import Store

AT_ONCE = 8
"""Objects that are read at the same time: a store far away answers each late, and many as soon as one."""

_DAY_LENGTH = len("2026-11-20")
_T = TypeVar("_T")


class Days(Generic[_T]):
    """Reads records whose names begin with a day.

    Args:
        store: The object store.
        room: Key of the folder of the days' objects.
        parse: Makes a record of its key and content.
    """

    def __init__(self, store: Store, room: str, parse: Callable[[str, bytes], _T]) -> None:
        self._store = store
        self._room = room
        self._parse = parse

    def read(self, keys: Sequence[str], wanted: Iterable[str]) -> tuple[_T, ...]:
        """Return records in the order of their keys.

        Args:
            keys: Keys of all records, sorted; the last day among them is not over yet.
            wanted: Those that are wanted.

        Raises:
            StorageError: The store cannot be reached.
        """
        of_day = {day: tuple(found) for day, found in groupby(keys, _day)}
        among = {day: frozenset(found) for day, found in groupby(wanted, _day)}
        copied = set(self._store.list(self._room)) if len(among) > 1 else set()
        open_day = _day(keys[-1]) if keys else ""

        def records(day: str) -> dict[str, _T]:
            if day == open_day or len(of_day[day]) == 1:
                return self._one_by_one(sorted(among[day]))
            return self._day(day, of_day[day], copied=self._key(day) in copied)

        read = in_parallel(records, among)
        return tuple(record for found in read for key, record in found.items() if key in among[_day(key)])

    def forget(self, key: str) -> None:
        """Have the copy of a day made anew: one of its records is another one.

        Raises:
            StorageError: The store cannot be reached.
        """
        self._store.delete(self._key(_day(key)))

    def _day(self, day: str, keys: Sequence[str], *, copied: bool) -> dict[str, _T]:
        """Return all records of a day that is over."""
        contents = _unpacked(self._store.read(self._key(day))) if copied else {}
        if contents.keys() == set(keys):
            return {key: self._parse(key, contents[key].encode()) for key in keys}
        read = {key: self._store.read(key) for key in keys}
        found = {key: self._parse(key, content) for key, content in read.items()}
        self._store.write(self._key(day), _packed(read))
        return found

    def _one_by_one(self, keys: Sequence[str]) -> dict[str, _T]:
        found = in_parallel(lambda key: self._parse(key, self._store.read(key)), keys)
        return dict(zip(keys, found, strict=True))

    def _key(self, day: str) -> str:
        return f"{self._room}/{day}.json.gz"


def in_parallel(read: Callable[[str], _T], names: Iterable[str]) -> list[_T]:
    """Return what is read under each name, in their order; some are read at the same time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, names))


def _packed(contents: dict[str, bytes]) -> bytes:
    return gzip.compress(json.dumps({key: content.decode() for key, content in contents.items()}).encode(), mtime=0)


def _unpacked(content: bytes) -> dict[str, str]:
    """Return what a day's object holds; nothing when it is damaged."""
    try:
        found = json.loads(gzip.decompress(content))
    except (OSError, EOFError, ValueError, zlib.error):
        return {}
    sound = isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    return found if sound else {}


def _day(key: str) -> str:
    return PurePosixPath(key).name[:_DAY_LENGTH]
