"""Handwritten digits as two scanners deliver them: the first one upright, the second one at a slant."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

TARGET = "target"
SLANT = 20.0
"""Degrees by which the second scanner turns what it sees."""

_SEED = 7
_SHADES = " .:-=+*#@"
_DARKEST = 16


class Scans(NamedTuple):
    """Pictures of digits, and what they show.

    Attributes:
        images: Darkness of the pixels, 0 to 16, shape (count, 8, 8).
        digits: What was written, shape (count,).
    """

    images: NDArray[np.int64]
    digits: NDArray[np.int64]

    def rows(self) -> Iterator[dict[str, int]]:
        """Yield the pictures as rows of the table, without what they show."""
        for image in self.images:
            yield dict(zip(PIXELS, image.ravel().tolist(), strict=True))

    def after(self, count: int) -> "Scans":
        """Return the pictures without the first so many."""
        return Scans(self.images[count:], self.digits[count:])

    def chosen(self, these: NDArray[np.bool_]) -> "Scans":
        """Return some of the pictures."""
        return Scans(self.images[these], self.digits[these])


PIXELS = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))


def parted(sizes: Sequence[int]) -> tuple[Scans, ...]:
    """Return the 1,797 digits that ship with scikit-learn, shuffled, in parts; the last part has the rest.

    Args:
        sizes: Pictures of each part but the last.
    """
    found = load_digits()
    order = np.random.default_rng(_SEED).permutation(len(found.target))
    images, digits = found.images[order].astype(np.int64), found.target[order].astype(np.int64)
    ends = np.cumsum(sizes)
    return tuple(map(Scans, np.split(images, ends), np.split(digits, ends)))


def slanted(scans: Scans) -> Scans:
    """Return pictures as the second scanner delivers them."""
    turned = rotate(scans.images.astype(float), SLANT, axes=(1, 2), reshape=False, order=1)
    return scans._replace(images=np.rint(turned).clip(0, _DARKEST).astype(np.int64))


def append_rows(table: Path, scans: Scans) -> None:
    """Append labelled pictures to a table, which is begun when it is not there."""
    begun = table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if not begun:
            writer.writerow((*PIXELS, TARGET))
        writer.writerows(
            (*image.ravel().tolist(), int(digit)) for image, digit in zip(scans.images, scans.digits, strict=True)
        )


def drawn(*images: NDArray[Any]) -> str:
    """Return pictures side by side, for a terminal."""
    lines = ("   ".join(_line(image[row]) for image in images) for row in range(8))
    return "\n".join(f"   {line}".rstrip() for line in lines)


def _line(pixels: NDArray[Any]) -> str:
    return "".join(_SHADES[int(pixel * (len(_SHADES) - 1) / _DARKEST)] * 2 for pixel in pixels)
