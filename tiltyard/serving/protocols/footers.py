"""What the footer of a Parquet file says, and how large its pages say they become, before any of it is unpacked.

The footer says how large, too, but nobody is bound by it: the reader reserves what each page's own header claims. The
numbers of the fields are those of `parquet.thrift` in the format's repository.
"""

from typing import NamedTuple, TypeVar

from tiltyard.serving.protocols.thrift import Thrift

MOST_PAGES = 20_000

_MAGIC = b"PAR1"
_TAIL = 8

Held = TypeVar("Held")


class Chunk(NamedTuple):
    """One column of a row group.

    Attributes:
        is_flat: Whether it is a column by itself, and no part of a list or struct.
        values: How many values it has.
        start: Where its first page begins.
        end: Where its last page ends.
    """

    is_flat: bool
    values: int
    start: int
    end: int


class Group(NamedTuple):
    """A row group.

    Attributes:
        rows: How many rows it has.
        chunks: Its columns.
    """

    rows: int
    chunks: list[Chunk]


class Footer(NamedTuple):
    """A footer.

    Attributes:
        rows: How many rows the file has.
        groups: Its row groups.
    """

    rows: int
    groups: list[Group]


def read_footer(body: bytes) -> Footer:
    """Read the footer of a file.

    Args:
        body: The file.

    Raises:
        ValueError: There is none, or it is damaged.
        IndexError: As well.
    """
    length = int.from_bytes(body[-_TAIL:-4], "little")
    if body[-4:] != _MAGIC or length + _TAIL > len(body):
        raise ValueError("no footer")
    told, _ = Thrift(body[-_TAIL - length : -_TAIL]).struct(0)
    return Footer(_held(told, 3, int), [_group(group) for group in _held(told, 4, list)])


def _group(told: object) -> Group:
    return Group(_held(told, 3, int), [_chunk(_held(column, 3, dict)) for column in _held(told, 1, list)])


def _chunk(told: object) -> Chunk:
    """Return a column; it begins at its dictionary, where it has one."""
    first, dictionary = _held(told, 9, int), _held(told, 11, int, default=0)
    start = first if not dictionary or dictionary > first else dictionary
    return Chunk(len(_held(told, 3, list)) == 1, _held(told, 5, int), start, start + _held(told, 7, int))


def _held(told: object, field: int, kind: type[Held], default: Held | None = None) -> Held:
    """Return the value of a struct's field."""
    value = told.get(field, default) if isinstance(told, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"the field {field} is missing, or something else")
    return value


def unpacked_bytes(body: bytes, footer: Footer) -> int:
    """Return the sum of what all pages of a file claim to become.

    Args:
        body: The file.
        footer: Its footer.

    Raises:
        ValueError: A page header is damaged, or there are more pages than any small table has.
        IndexError: A page lies outside of the file.
    """
    total = pages = 0
    headers = Thrift(body)
    for group in footer.groups:
        for chunk in group.chunks:
            at = chunk.start
            while at < chunk.end:
                if at < 0:
                    raise ValueError("a page before the file")
                header, at = headers.struct(at)
                unpacked, packed = _held(header, 2, int), _held(header, 3, int)
                if unpacked < 0 or packed < 0:
                    raise ValueError("a page of no size")
                total, at, pages = total + unpacked, at + packed, pages + 1
                if pages > MOST_PAGES:
                    raise ValueError("too many pages")
    return total
