"""How large the pages of a Parquet file say they become, read before any of them is unpacked.

The footer says it, too, but nobody is bound by the footer: the reader reserves what each page's own header claims. A
page header is a struct in Thrift's compact form; of its fields only two sizes matter here, the others are passed over.
"""

from typing import Any

MOST_PAGES = 20_000
_DEEPEST = 8
_STOP, _BYTE, _DOUBLE, _BINARY, _STRUCT = 0, 3, 7, 8, 12
_BOOLEANS, _INTEGERS = frozenset({1, 2}), frozenset({4, 5, 6})
_UNPACKED, _PACKED = 2, 3
"""Numbers of the fields `uncompressed_page_size` and `compressed_page_size`."""


def unpacked_bytes(body: bytes, metadata: Any) -> int:
    """Return the sum of what all pages of a file claim to become.

    Args:
        body: The file.
        metadata: Its footer, as pyarrow reads it.

    Raises:
        ValueError: A page header is damaged, or there are more pages than any small table has.
        IndexError: A page lies outside of the file.
    """
    total = pages = 0
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(index)
            at = _start(chunk)
            end = at + chunk.total_compressed_size
            while at < end:
                unpacked, at = _page(body, at)
                total, pages = total + unpacked, pages + 1
                if pages > MOST_PAGES:
                    raise ValueError("too many pages")
    return total


def _start(chunk: Any) -> int:
    """Return where a column chunk begins: at its dictionary, where it has one."""
    first: int = chunk.data_page_offset
    dictionary = chunk.dictionary_page_offset
    return first if not dictionary or dictionary > first else int(dictionary)


def _page(body: bytes, at: int) -> tuple[int, int]:
    """Read a page header; return the size its page becomes, and where the next one begins."""
    sizes = {_UNPACKED: -1, _PACKED: -1}
    field = 0
    while body[at] != _STOP:
        kind, field, at = _field(body, at, field)
        if field in sizes and kind in _INTEGERS:
            sizes[field], at = _signed(body, at)
        else:
            at = _passed(body, at, kind, 0)
    if min(sizes.values()) < 0:
        raise ValueError("a page without sizes")
    return sizes[_UNPACKED], at + 1 + sizes[_PACKED]


def _field(body: bytes, at: int, last: int) -> tuple[int, int, int]:
    """Read the head of a field; return its kind, its number and where its value begins."""
    kind, step = body[at] & 15, body[at] >> 4
    if step:
        return kind, last + step, at + 1
    number, at = _signed(body, at + 1)
    return kind, number, at


def _passed(body: bytes, at: int, kind: int, depth: int) -> int:
    """Return where a value ends."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if kind in _BOOLEANS:
        return at
    if kind in _INTEGERS:
        return _unsigned(body, at)[1]
    if kind == _BINARY:
        length, at = _unsigned(body, at)
        return at + length
    if kind == _STRUCT:
        field = 0
        while body[at] != _STOP:
            kind, field, at = _field(body, at, field)
            at = _passed(body, at, kind, depth + 1)
        return at + 1
    if kind in {_BYTE, _DOUBLE}:
        return at + (1 if kind == _BYTE else 8)
    raise ValueError("no field of a page header")


def _signed(body: bytes, at: int) -> tuple[int, int]:
    """Read a signed number."""
    number, at = _unsigned(body, at)
    return (number >> 1) ^ -(number & 1), at


def _unsigned(body: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte."""
    number = shift = 0
    while True:
        byte = body[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("a number of too many bytes")
