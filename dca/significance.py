"""Which couplings are stronger than profile and phylogeny alone make them.

Null alignments have the rows, weights, gaps, profiles, site rates and tree of the real one, but independent
sites (`dca.site_process`). They are scored by the same method. A pair's score is compared with the null
scores of pairs whose sites have similar entropies, since entropy drives the noise of a score (Vorberg,
Seemayer, Soeding 2018, PLoS Comput Biol 14:e1006526). Related: Rodriguez Horta, Weigt 2021, PLoS Comput
Biol 17:e1008957, who shuffle letters at fixed distances instead and give no q-values.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data.alphabet import GAP
from dca.frequencies import site_frequencies
from dca.phylogeny import MOST_REPRESENTATIVES
from dca.site_process import evolve_sites, fit_process

log = logging.getLogger(__name__)

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]

BINS = 3
SMALLEST_STRATUM = 1000


@dataclass(frozen=True)
class Significance:
    """Empirical p- and q-values of couplings.

    Attributes
    ----------
    p : float32 [L, L]
        (1 + number of null scores as high or higher) / (1 + number of null scores) in the pair's stratum
        (Phipson, Smyth 2010, Stat Appl Genet Mol Biol 9:39); NaN for pairs that are not tested.
    q : float32 [L, L]
        Benjamini-Hochberg over all tested pairs; NaN likewise.
    nulls : int
        Number of null alignments.
    smallest_p : float
        The smallest p that any pair could reach; a pair of the smallest stratum reaches `coarsest_p`.
    coarsest_p : float
    strata : int
        Number of strata of the two entropies.
    """

    p: np.ndarray
    q: np.ndarray
    nulls: int
    smallest_p: float
    coarsest_p: float
    strata: int


def coupling_significance(
    tokens: np.ndarray,
    weights: np.ndarray,
    score: Score,
    rng: np.random.Generator,
    nulls: int = 20,
    observed: np.ndarray | None = None,
    min_separation: int = 6,
    representatives: int = MOST_REPRESENTATIVES,
    progress: Callable[[int, int], None] | None = None,
) -> Significance:
    """p- and q-values of all pairs at least `min_separation` apart.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
        Used for the null alignments too.
    score : callable
        (tokens, weights) -> symmetric map [L, L], such as the APC-corrected map of a method.
    rng : numpy.random.Generator
    nulls : int
        Number of null alignments.
    observed : float [L, L], optional
        The alignment's own map where it is known already; else it is computed.
    min_separation : int
    representatives : int
        Rows that the tree is built of at first; the others follow, see `dca.phylogeny.similarity_tree`.
    progress : callable, optional
        Called with (nulls done, nulls).

    Raises
    ------
    ValueError
        No null is asked for, or no pair is far enough apart.
    """
    upper = np.triu_indices(tokens.shape[1], min_separation)
    if nulls < 1 or upper[0].size == 0:
        raise ValueError(f"need at least one null and one pair, got {nulls} and {upper[0].size} pairs")
    observed = score(tokens, weights) if observed is None else observed
    process = fit_process(tokens, weights, representatives)
    scores, entropies = np.empty((nulls, upper[0].size), np.float32), np.empty((nulls, tokens.shape[1]))
    for k in range(nulls):
        gaps = tokens == GAP  # each time: held for all nulls they would be an alignment more
        drawn = evolve_sites(process, rng, gaps)
        del gaps
        scores[k] = score(drawn, weights)[upper]
        entropies[k] = site_entropy(drawn, weights)
        del drawn  # the next one needs the room
        log.info("null %d of %d", k + 1, nulls)
        if progress is not None:
            progress(k + 1, nulls)
    return _significance(observed, site_entropy(tokens, weights), scores, entropies, upper)


def _significance(
    observed: np.ndarray,
    entropy: np.ndarray,
    scores: np.ndarray,
    entropies: np.ndarray,
    upper: tuple[np.ndarray, np.ndarray],
) -> Significance:
    from scipy.stats import false_discovery_control  # here: loaded when the models' memory is free again

    edges = np.quantile(entropy, np.arange(1, BINS) / BINS)
    real = pair_strata(entropy, edges, upper)
    null, size = np.empty(scores.shape, dtype=np.uint8), np.zeros(BINS * BINS, dtype=np.int64)
    for row, one in zip(null, entropies, strict=True):  # row by row: of an index numpy makes eight bytes each
        row[:] = pair_strata(one, edges, upper)
        size += np.bincount(row, minlength=BINS * BINS)
    merged = merge_strata(size)
    for row in null:
        row[:] = merged[row]
    p, sizes = empirical_p(observed[upper], merged[real], scores.ravel(), null.ravel())
    used = sizes[np.unique(merged[real])]
    return Significance(
        p=_symmetric(p, upper, observed.shape[0]),
        q=_symmetric(false_discovery_control(p), upper, observed.shape[0]),
        nulls=scores.shape[0],
        smallest_p=1 / (1 + float(used.max())),
        coarsest_p=1 / (1 + float(used.min())),
        strata=used.size,
    )


def site_entropy(tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Entropy of each column over the 20 amino acids in nats, times its share of letters; float64 [L].

    A column of gaps has little to be coupled with, however varied its few letters are.
    """
    sites = site_frequencies(tokens, weights)[:, :GAP]
    return -np.where(sites > 0, sites * np.log(np.maximum(sites, 1e-300)), 0.0).sum(axis=1)


def pair_strata(entropy: np.ndarray, edges: np.ndarray, upper: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Stratum of each pair: BINS times the bin of its lower entropy plus that of its higher; uint8 [P]."""
    bins = np.searchsorted(edges, entropy, side="right").astype(np.uint8)
    one, two = bins[upper[0]], bins[upper[1]]
    return np.minimum(one, two) * BINS + np.maximum(one, two)


def merge_strata(sizes: np.ndarray, smallest: int = SMALLEST_STRATUM) -> np.ndarray:
    """New number of each stratum, so that none has fewer than `smallest` null scores; uint8 [BINS^2].

    The smallest stratum joins the one whose bins are nearest, until all are large enough or one is left.
    Combinations that cannot occur (lower bin above the higher) stay empty and keep the number 0.
    """
    low, high = np.divmod(np.arange(BINS * BINS), BINS)
    label = np.where(low <= high, np.arange(BINS * BINS), -1)
    while True:
        names = np.unique(label[label >= 0])
        total = np.array([sizes[label == name].sum() for name in names])
        k = int(total.argmin())
        if total[k] >= smallest or names.size == 1:
            break
        centre = np.array([(low[label == name].mean(), high[label == name].mean()) for name in names])
        distance = np.abs(centre - centre[k]).sum(axis=1)
        distance[k] = np.inf
        label[label == names[k]] = names[distance.argmin()]
    return np.searchsorted(names, label).astype(np.uint8)


def empirical_p(
    observed: np.ndarray, strata: np.ndarray, null: np.ndarray, null_strata: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(1 + null scores as high or higher) / (1 + null scores), each within its stratum.

    Parameters
    ----------
    observed, null : float [P], float [M]
    strata, null_strata : int [P], int [M]
        Numbers from 0 without holes.

    Returns
    -------
    p : float64 [P]
    sizes : int64
        Null scores of each stratum.
    """
    p = np.ones(observed.size)
    sizes = np.zeros(1 + int(max(strata.max(initial=0), null_strata.max(initial=0))), dtype=np.int64)
    for name in range(sizes.size):
        ranked = null[null_strata == name]
        ranked.sort()
        sizes[name] = ranked.size
        mine = strata == name
        below = np.searchsorted(ranked, observed[mine], side="left")
        p[mine] = (1 + ranked.size - below) / (1 + ranked.size)
    return p, sizes


def _symmetric(values: np.ndarray, upper: tuple[np.ndarray, np.ndarray], length: int) -> np.ndarray:
    full = np.full((length, length), np.nan, dtype=np.float32)
    full[upper] = values
    full.T[upper] = values
    return full
