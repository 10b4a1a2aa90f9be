"""What removes background from a raw map, beside APC: column entropies, or a low-rank part."""

import logging

import numpy as np

from data.alphabet import GAP
from dca.frequencies import site_frequencies

log = logging.getLogger(__name__)


def entropy_correction(raw: np.ndarray, tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Entropy bias correction (EntC): C_ij - alpha sqrt(s_i s_j), with s_i the entropy of column i.

    Source: Vorberg, Seemayer, Soeding 2018, PLoS Comput Biol 14:e1006526, entropy bias correction: without
    couplings the expected score is proportional to sqrt(s_i s_j), and alpha is that of least squares over
    the pairs,

        alpha = sum_{i<j} C_ij sqrt(s_i s_j) / sum_{i<j} s_i s_j.

    Choices of ours: entropies are sums over the 20 amino acids, -sum_a f_i(a) log f_i(a), the gap left out as
    in the norm of the couplings; the frequencies are the weighted ones over 21 letters, without a
    pseudocount. The logarithm's base cancels.

    Parameters
    ----------
    raw : float [L, L]
        Symmetric scores of pairs, Frobenius norms as a rule; the diagonal is not read.
    tokens : int8 [N, L]
    weights : float32 [N]

    Returns
    -------
    float32 [L, L]
        Symmetric, zero diagonal. Where no column varies, the map itself.

    Raises
    ------
    ValueError
        The map is not square, or not over the alignment's columns.
    """
    raw = _checked(raw)
    if tokens.shape[1] != len(raw):
        raise ValueError(f"the map has {len(raw)} columns, the alignment {tokens.shape[1]}")
    root = np.sqrt(_amino_entropy(site_frequencies(tokens, weights)))
    expected = np.outer(root, root)
    np.fill_diagonal(expected, 0.0)
    size = (expected**2).sum()
    alpha = (raw * expected).sum() / size if size > 0 else 0.0
    return (raw - alpha * expected).astype(np.float32)


def _amino_entropy(sites: np.ndarray) -> np.ndarray:
    """-sum_a f log f over the amino acids of each column, in nats, float64 [L]."""
    amino = sites[:, :GAP]
    return -(amino * np.log(np.where(amino > 0, amino, 1.0))).sum(axis=1)


def low_rank_sparse(
    raw: np.ndarray, sparsity: float | None = None, tolerance: float = 1e-5, max_iterations: int = 500
) -> np.ndarray:
    """Sparse part of a map that is split into a low-rank background and a sparse rest.

    Source: Zhang, Gao, Deng, Wang, Zhu, Li, Zheng, Bu 2016, Biochem Biophys Res Commun 472:217: minimise
    ||B||_* + lambda ||S||_1 with raw = B + S, by an augmented Lagrangian. Deviations: lambda is
    1 / sqrt(L) (Candes, Li, Ma, Wright 2011, J ACM 58:11), where the paper trained its own; the penalty of
    the Lagrangian is fixed, mu = 1.25 L^2 / ||raw||_1, five times that of Candes et al., which needs a
    third of the iterations. The diagonal of a map is not data: the background may be there what it
    wants, at no cost to the sparse part.

    The map is symmetric and so is every iterate, so singular values are shrunk through eigenvalues.
    It stops when raw - B - S is below `tolerance` times the norm of raw and B moves as little.

    Parameters
    ----------
    raw : float [L, L]
        Symmetric scores of pairs; the diagonal is not read.
    sparsity : float, optional
        lambda; the larger, the sparser. Default 1 / sqrt(L).
    tolerance : float
        Relative Frobenius norm.
    max_iterations : int
        Eigenvalue decompositions at most; reaching it is logged as a warning.

    Returns
    -------
    float32 [L, L]
        S: symmetric, zero diagonal; zero where the background explains the score.

    Raises
    ------
    ValueError
        The map is not square, or sparsity or tolerance is not positive.
    """
    raw = _checked(raw)
    length = len(raw)
    sparsity = 1 / np.sqrt(length) if sparsity is None else sparsity
    if not (sparsity > 0 and tolerance > 0):
        raise ValueError(f"sparsity and tolerance must be positive, got {sparsity} and {tolerance}")
    norm = float(np.linalg.norm(raw))
    if norm == 0:
        return raw.astype(np.float32)
    threshold = np.abs(raw).sum() / (1.25 * length**2)  # 1 / mu
    sparse, dual = np.zeros_like(raw), np.zeros_like(raw)  # the dual is divided by mu
    background = np.zeros_like(raw)
    for _ in range(max_iterations):
        last, background = background, _shrink_spectrum(raw - sparse + dual, threshold)
        rest = raw - background + dual
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - sparsity * threshold, 0.0)
        np.fill_diagonal(sparse, np.diag(rest))  # costs nothing there, so the dual's diagonal stays zero
        dual = rest - sparse
        gap = raw - background - sparse
        if max(np.linalg.norm(gap), np.linalg.norm(background - last)) < tolerance * norm:
            break
    else:
        log.warning("low-rank and sparse decomposition stopped after %d iterations", max_iterations)
    np.fill_diagonal(sparse, 0.0)
    return sparse.astype(np.float32)


def _shrink_spectrum(matrix: np.ndarray, threshold: float) -> np.ndarray:
    """Symmetric matrix with its eigenvalues, and so its singular values, moved towards zero."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = np.abs(values) > threshold
    values, vectors = values[kept], vectors[:, kept]
    return (vectors * (values - np.sign(values) * threshold)) @ vectors.T


def _checked(raw: np.ndarray) -> np.ndarray:
    """The map in double precision with a zero diagonal."""
    if raw.ndim != 2 or raw.shape[0] != raw.shape[1]:
        raise ValueError(f"a map must be square, got shape {raw.shape}")
    raw = raw.astype(np.float64)
    np.fill_diagonal(raw, 0.0)
    return raw
