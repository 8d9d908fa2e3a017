"""Thrift's compact form (the specification in Thrift's repository, `thrift-compact-protocol.md`), as Parquet has it.

What a file says of itself is read here before Arrow reads it: Arrow ends the process on some of what nobody meant.
"""

from typing import Any

MOST_VALUES = 200_000
"""Values that one reader reads, at most: what a table of any usual form needs is a hundredth of it."""

_DEEPEST = 10
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
_BOOLEANS, _INTEGERS = frozenset({_TRUE, _FALSE}), frozenset({4, 5, 6})
_LONG = 15


class Thrift:
    r"""Reads structs.

    Args:
        body: Bytes with structs in them.

    Example:
        >>> Thrift(b"\x15\x02\x28\x03age\x00").struct(0)
        ({1: 1, 3: b'age'}, 8)
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._left = MOST_VALUES

    def struct(self, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
        """Read a struct.

        Args:
            at: Where it begins.
            depth: Structs around it.

        Returns:
            Its values by the numbers of their fields: integers, bytes, lists, structs; and where it ends.

        Raises:
            ValueError: It is damaged, or has more values than any has.
            IndexError: It ends beyond the end.
        """
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while (head := self._body[at]) != _STOP:
            kind, step, at = head & 15, head >> 4, at + 1
            if step:
                field += step
            else:
                field, at = self._signed(at)
            if kind in _BOOLEANS:
                self._count()
                found[field] = kind == _TRUE
            else:
                found[field], at = self._value(kind, at, depth)
        return found, at + 1

    def _value(self, kind: int, at: int, depth: int) -> tuple[Any, int]:
        """Read a value."""
        self._count()
        if kind in _INTEGERS:
            return self._signed(at)
        if kind == _BINARY:
            length, at = self._unsigned(at)
            if at + length > len(self._body):
                raise ValueError("a text beyond the end")
            return self._body[at : at + length], at + length
        if kind == _STRUCT:
            return self.struct(at, depth + 1)
        if kind in {_LIST, _SET}:
            return self._list(at, depth + 1)
        if kind in {_BYTE, _TRUE, _FALSE}:
            return self._body[at], at + 1
        if kind == _DOUBLE:
            return self._body[at : at + 8], at + 8
        raise ValueError("no value of the compact form")

    def _list(self, at: int, depth: int) -> tuple[list[Any], int]:
        """Read a list."""
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        kind, length, at = self._body[at] & 15, self._body[at] >> 4, at + 1
        if length == _LONG:
            length, at = self._unsigned(at)
        found = []
        for _ in range(length):
            value, at = self._value(kind, at, depth)
            found.append(value)
        return found, at

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("too many values")

    def _signed(self, at: int) -> tuple[int, int]:
        """Read a signed number."""
        number, at = self._unsigned(at)
        return (number >> 1) ^ -(number & 1), at

    def _unsigned(self, at: int) -> tuple[int, int]:
        """Read a number of seven bits a byte."""
        number = shift = 0
        while True:
            byte = self._body[at]
            number |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return number, at
            if shift > 63:
                raise ValueError("a number of too many bytes")
