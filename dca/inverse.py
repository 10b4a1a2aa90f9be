"""Inverse of a large symmetric positive definite matrix."""

import numpy as np
from scipy.linalg import get_lapack_funcs


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
