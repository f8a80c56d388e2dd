"""Pictures as the rows of a task: grey, 32 x 32, line by line."""

from hashlib import sha256
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zoo_lra.rows import Bytes

SIDE = 32


class Pictures(NamedTuple):
    """One split as released, in the order of its files."""

    pixels: Bytes
    """(n, 1024)"""
    labels: Bytes
    """(n,)"""


def grey_tensorflow(rgb: Bytes) -> Bytes:
    """Grey of (..., 3) colours as `rgb_to_grayscale` of TensorFlow has it, which Tay et al. use.

    ITU-R 601's weights as .2989, .587 and .114 of 1/255ths, then times 255.5 and cut: here in
    whole numbers, so that no rounding of float32 decides.
    """
    weights = np.array([2989, 5870, 1140], np.int32)
    whole: NDArray[np.int32] = (rgb.astype(np.int32) * weights).sum(-1, dtype=np.int32)
    return (whole * 511 // 5_100_000).astype(np.uint8)


def grey_pillow(rgb: Bytes) -> Bytes:
    """Grey of (..., 3) colours as Pillow's mode L has it, which S4's loaders use: rounded."""
    weights = np.array([19595, 38470, 7471], np.int32)
    whole: NDArray[np.int32] = (rgb.astype(np.int32) * weights).sum(-1, dtype=np.int32)
    return (whole + (1 << 15) >> 16).astype(np.uint8)


def framed(pixels: Bytes) -> Bytes:
    """(n, h, w) pictures in the middle of 32 x 32 black ones, as (n, 1024)."""
    count, height, width = pixels.shape
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    whole = np.zeros((count, SIDE, SIDE), np.uint8)
    whole[:, top : top + height, left : left + width] = pixels
    return whole.reshape(count, SIDE * SIDE)


def checksum(*parts: Pictures) -> str:
    """Of pixels and labels in their order."""
    whole = sha256()
    for part in parts:
        for array in part:
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()
