"""Work space of kernels, in Python: its definition, and what runs with ``NUMBA_DISABLE_JIT``.

Compiled kernels have the operations of `dca.space_llvm` in their place: for ``np.empty`` and ``reshape``
numba compiles functions of its own into each kernel, which takes seconds of a first run.
"""

from typing import Any

import numpy as np


def space(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of this shape and kind of number, whatever is in it."""
    return np.empty(shape, dtype=dtype)


def shaped(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The elements of an array in C order, not copied, in another shape of as many."""
    if not array.flags.c_contiguous or min(shape) < 0:
        raise ValueError(f"no shape {shape} of an array with strides {array.strides}")
    return array.reshape(shape)
