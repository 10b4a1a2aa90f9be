"""How far a coupling depends on which sequences were found: a bootstrap over clusters of relatives.

Rows of one cluster are relatives, not repeats of the experiment. Clusters are drawn with replacement (Efron,
Tibshirani 1993, An Introduction to the Bootstrap, section 8), and one that is drawn m times counts m times:
its rows keep their places and their weights are multiplied by m.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dca.accelerate import jit
from dca.couplings import Couplings
from dca.gauge import zero_sum
from dca.maps import apc, frobenius
from dca.pseudolikelihood import PlmSettings, pseudolikelihood
from dca.space import space
from dca.weights import _TILE, _all_within, _comparable, _compare

log = logging.getLogger(__name__)

# Tighter than from nothing, see `plm_scores`; a test holds it against the converged fit
WARM_TOLERANCE = 0.02

Infer = Callable[[np.ndarray, np.ndarray, Couplings | None], tuple[Couplings | None, np.ndarray]]


@dataclass(frozen=True)
class Bootstrap:
    """What the scores of pairs do when clusters are drawn anew.

    Attributes
    ----------
    mean, standard_deviation : float32 [L, L]
        Of the scores over the replicates (denominator R - 1); zero diagonal.
    top_frequency : float32 [L, L]
        Share of the replicates in which the pair is among the `top` best of those far enough apart; 0 for
        pairs that are nearer.
    replicates, clusters, top : int
    """

    mean: np.ndarray
    standard_deviation: np.ndarray
    top_frequency: np.ndarray
    replicates: int
    clusters: int
    top: int


def bootstrap(
    tokens: np.ndarray,
    weights: np.ndarray,
    infer: Infer,
    replicates: int,
    rng: np.random.Generator,
    start: Couplings | None = None,
    identity: float = 0.8,
    min_separation: int = 6,
    top: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Bootstrap:
    """Mean, standard deviation and frequency among the top pairs over resampled clusters.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
    infer : callable
        (tokens, weights, start) -> (couplings, APC-corrected map [L, L]), such as `plm_scores`; methods
        without a start ignore it.
    replicates : int
        Two at least.
    rng : numpy.random.Generator
    start : Couplings, optional
        The fit to the whole alignment, handed to every replicate.
    identity : float
        Rows at least this identical to a cluster's first row belong to it, see `identity_clusters`.
    min_separation : int
        Pairs nearer in sequence are not ranked.
    top : int
        Size of the top; 0 takes L.
    progress : callable, optional
        Called with (replicates done, replicates).

    Raises
    ------
    ValueError
        Fewer than two replicates.
    """
    if replicates < 2:
        raise ValueError(f"a standard deviation needs two replicates, got {replicates}")
    length = tokens.shape[1]
    cluster = identity_clusters(tokens, identity)
    clusters = int(cluster.max()) + 1
    upper = np.triu_indices(length, min_separation)
    top = top or length
    mean, squares, hits = np.zeros((length, length)), np.zeros((length, length)), np.zeros(upper[0].size)
    for k in range(replicates):
        drawn = resampled_weights(weights, cluster, clusters, rng)
        score = infer(tokens, drawn, start)[1].astype(np.float64)
        step = score - mean
        mean += step / (k + 1)
        squares += step * (score - mean)  # Welford 1962: no difference of large sums
        hits[np.argsort(-score[upper], kind="stable")[:top]] += 1
        log.info("bootstrap replicate %d of %d, %d clusters", k + 1, replicates, clusters)
        if progress is not None:
            progress(k + 1, replicates)
    frequency = np.zeros((length, length), dtype=np.float32)
    frequency[upper] = hits / replicates
    deviation = np.sqrt(squares / (replicates - 1)).astype(np.float32)
    return Bootstrap(mean.astype(np.float32), deviation, frequency + frequency.T, replicates, clusters, top)


def plm_scores(
    tokens: np.ndarray,
    weights: np.ndarray,
    start: Couplings | None = None,
    settings: PlmSettings | None = None,
) -> tuple[Couplings, np.ndarray]:
    """Pseudolikelihood couplings, from `start` where given, and their APC-corrected Frobenius norms.

    A warm start is close to where it ends from the first step on, so that the usual tolerance would stop a
    replicate early and leave it too similar to the fit that it started from: it is `WARM_TOLERANCE` at most.
    """
    settings = settings or PlmSettings()
    if start is not None:
        settings = replace(settings, tolerance=min(settings.tolerance, WARM_TOLERANCE))
    model = pseudolikelihood(tokens, weights, settings, start)
    return model, apc(frobenius(zero_sum(model)))


def resampled_weights(
    weights: np.ndarray, cluster: np.ndarray, clusters: int, rng: np.random.Generator
) -> np.ndarray:
    """Weights times how often each row's cluster came when as many clusters as there are were drawn.

    Returns
    -------
    float32 [N]
    """
    times = rng.multinomial(clusters, np.full(clusters, 1 / clusters))
    return (weights * times[cluster]).astype(np.float32)


def identity_clusters(tokens: np.ndarray, identity: float = 0.8) -> np.ndarray:
    """Greedy clusters: each row joins the first founder that it is similar to, else it founds a cluster.

    Rows are taken in their order. Greedy (Li, Godzik 2006, Bioinformatics 22:1658) and not single linkage:
    in a large family single linkage chains most rows into one cluster. Identity is that of
    `dca.weights.sequence_weights`, over all columns but those of gaps alone, the gap as a letter.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0-31.
    identity : float
        Threshold in (0, 1].

    Returns
    -------
    int32 [N]
        Number of each row's cluster, from 0 without holes in order of their founders.

    Raises
    ------
    ValueError
        The alignment is empty or the threshold lies outside (0, 1].
    """
    planes, allowed = _comparable(tokens, identity)
    cluster = np.empty(tokens.shape[0], dtype=np.int32)
    _join_founders(planes, np.zeros_like(planes), allowed, cluster)
    return cluster


@jit
def _join_founders(planes: np.ndarray, founders: np.ndarray, allowed: np.uint64, cluster: np.ndarray) -> None:
    """Founders are kept side by side, so that a row is compared with a stretch of memory.

    The row in question stands behind them, where it stays if it founds a cluster.
    """
    count = 0
    buffer = space((_TILE,), np.uint64)
    for n in range(cluster.shape[0]):
        for part in range(planes.shape[0]):
            for plane in range(planes.shape[1]):
                founders[part, plane, count] = planes[part, plane, n]
        cluster[n] = count
        for start in range(0, count, _TILE):
            found = buffer[: min(_TILE, count - start)]
            block = _compare(founders, count, start, allowed, found)
            if block == 0:
                continue
            for k in range(found.shape[0]):
                if found[k] <= allowed and _all_within(founders, count, start + k, block, found[k], allowed):
                    cluster[n] = start + k
                    break
            if cluster[n] < count:
                break
        if cluster[n] == count:
            count += 1
