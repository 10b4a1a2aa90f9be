"""Covariance of the letters of an alignment, and the inverse that mean-field and ridge couplings are."""

import numpy as np

from dca.accelerate import folded, in_parallel, jit


@jit
def _fill_covariance(
    lo: int,
    hi: int,
    sites: np.ndarray,
    pairs: np.ndarray,
    scale: float,
    ridge: float,
    kept: int,
    matrix: np.ndarray,
) -> None:
    length = sites.shape[0]
    for k in range(lo, hi):
        i = folded(k, length)
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for a in range(kept):
                for b in range(kept):
                    value = scale * (pairs[p, a, b] - sites[i, a] * sites[j, b])
                    matrix[i * kept + a, j * kept + b] = value
                    matrix[j * kept + b, i * kept + a] = value
        for a in range(kept):
            for b in range(kept):
                matrix[i * kept + a, i * kept + b] = -scale * sites[i, a] * sites[i, b]
            matrix[i * kept + a, i * kept + a] += scale * sites[i, a] + ridge


@jit
def _negative_blocks(
    lo: int, hi: int, matrix: np.ndarray, kept: int, first: np.ndarray, second: np.ndarray, blocks: np.ndarray
) -> None:
    for p in range(lo, hi):
        i, j = first[p], second[p]
        for a in range(kept):
            for b in range(kept):
                blocks[p, a, b] = -matrix[i * kept + a, j * kept + b]


def covariance(
    sites: np.ndarray, pairs: np.ndarray, kept: int, scale: float = 1.0, ridge: float = 0.0
) -> np.ndarray:
    """Covariance of the indicators of the first `kept` letters of every column.

    Parameters
    ----------
    sites : float64 [L, q]
    pairs : float32 [P, q, q]
        Frequencies; two letters of one column never come together.
    kept : int
        20 leaves the gap out, 21 keeps it.
    scale, ridge : float
        Factor of the covariance, and what is added to its diagonal.

    Returns
    -------
    float32 [L kept, L kept]
        Symmetric.
    """
    length = sites.shape[0]
    matrix = np.empty((length * kept, length * kept), dtype=np.float32)
    in_parallel(_fill_covariance, length, sites, pairs, scale, ridge, kept, matrix)
    return matrix


def negative_inverse_blocks(matrix: np.ndarray, kept: int, letters: int) -> np.ndarray:
    """Couplings: the blocks i < j of the negative inverse; letters beyond `kept` get zeros.

    Parameters
    ----------
    matrix : float32 [L kept, L kept]
        Symmetric positive definite; it is overwritten.

    Returns
    -------
    float32 [P, letters, letters]
    """
    first, second = np.triu_indices(len(matrix) // kept, 1)
    blocks = np.zeros((first.size, letters, letters), dtype=np.float32)
    in_parallel(_negative_blocks, first.size, inverse_of_positive(matrix), kept, first, second, blocks)
    return blocks


def inverse_of_positive(matrix: np.ndarray) -> np.ndarray:
    """Invert through a Cholesky factor, in place of `matrix` where LAPACK can.

    Parameters
    ----------
    matrix : float32 or float64 [n, n]
        Symmetric and positive definite; it is overwritten.

    Returns
    -------
    same dtype [n, n]
        The full symmetric inverse.

    Raises
    ------
    np.linalg.LinAlgError
        The matrix is not positive definite.
    """
    from scipy.linalg import get_lapack_funcs  # here: loading it costs as much as a small family's couplings

    potrf, potri = get_lapack_funcs(("potrf", "potri"), (matrix,))  # type: ignore[misc] # two names, two functions
    factor, status = potrf(matrix.T, lower=1, overwrite_a=1, clean=0)
    if status == 0:
        inverse, status = potri(factor, lower=1, overwrite_c=1)
    if status != 0:
        raise np.linalg.LinAlgError(
            f"covariance of {matrix.shape[0]} variables is not positive definite (LAPACK status {status}): "
            "raise the pseudocount"
        )
    return _mirror_lower(inverse)


def _mirror_lower(matrix: np.ndarray, block: int = 1024) -> np.ndarray:
    """Copy the lower triangle onto the upper one, block by block to spare memory."""
    n = matrix.shape[0]
    for start in range(0, n, block):
        stop = min(start + block, n)
        square = matrix[start:stop, start:stop]
        square[...] = np.tril(square) + np.tril(square, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
    return matrix
