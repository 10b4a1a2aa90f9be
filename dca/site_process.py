"""Sites that evolve independently along a family's tree, fitted to an alignment.

The process is F81 with each site's own profile (Felsenstein 1981, J Mol Evol 17:368; profiles by site as in
Halpern, Bruno 1998, Mol Biol Evol 15:910): on a branch of length t a site of rate r draws its letter anew
from its profile with probability 1 - exp(-r t), else keeps it. Fitted are

- the tree, see `dca.phylogeny`;
- rates: the maximum of each site's likelihood (pruning, Felsenstein 1981) times a log-normal prior;
- profiles: related rows are fewer draws than rows, so that an alignment evolved with the observed frequencies
  would be less diverse than the real one. With c_i the weighted mean of exp(-r_i t) over all pairs of rows,
  the expected sum of squared frequencies is h_i + (1 - h_i) c_i; the frequencies are mixed with those of
  the whole alignment until this is what was observed.

Rates, heights and profiles depend on each other and are found in turns. Gaps are missing letters: how gaps
are related is not modelled, `evolve_sites` lets a caller keep those of the real rows in place.
"""

import logging
from dataclasses import dataclass

import numpy as np

from data.alphabet import GAP
from dca.accelerate import in_parallel, jit
from dca.frequencies import site_frequencies
from dca.phylogeny import MOST_REPRESENTATIVES, similarity_tree, timed_tree
from dca.simulate import Tree, _seeds, _uniform
from dca.space import space

log = logging.getLogger(__name__)

_RATES = np.geomspace(1 / 8, 8, 13)
_RATE_SPREAD = 1.0  # standard deviation of log rates in the prior
_ROUNDS = 2


@dataclass(frozen=True)
class SiteProcess:
    """Independent sites on a tree.

    Attributes
    ----------
    tree : Tree
        Its leaves are the rows of the alignment, in their order; lengths in draws per site of rate 1.
    profile : float64 [L, 20]
        Stationary distribution of each site.
    rates : float64 [L]
        Rate of each site, their mean 1.
    """

    tree: Tree
    profile: np.ndarray
    rates: np.ndarray


def fit_process(
    tokens: np.ndarray, weights: np.ndarray, representatives: int = MOST_REPRESENTATIVES
) -> SiteProcess:
    """Tree, profiles and rates of an alignment.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0-20, gap 20.
    weights : float32 [N]
        Sequence weights, for the profiles.
    representatives : int
        Rows joined at once at most, see `dca.phylogeny.similarity_tree`.

    Raises
    ------
    ValueError
        Fewer than two rows or representatives.
    """
    if tokens.shape[0] < 2 or representatives < 2:
        raise ValueError(
            f"a tree needs two rows, got {tokens.shape[0]} and {representatives} representatives"
        )
    frequencies, background = amino_frequencies(tokens, weights)
    profile = mixed_profile(frequencies, background, np.zeros(tokens.shape[1]), 1 / (1 + weights.sum()))
    repeat = (profile**2).sum(axis=1)
    parent, similarity = similarity_tree(tokens, repeat, representatives)
    rates = np.ones(tokens.shape[1])
    for _ in range(_ROUNDS):
        tree = timed_tree(parent, similarity, tokens.shape[0], repeat, rates)
        rates = site_rates(tokens, tree, profile)
        profile = mixed_profile(frequencies, background, kinship(tokens, weights, tree, rates))
    tree = timed_tree(parent, similarity, tokens.shape[0], repeat, rates)
    log.info("%d rows, rates %.2f to %.2f (10 %%, 90 %%)", len(tokens), *np.quantile(rates, (0.1, 0.9)))
    return SiteProcess(tree, profile, rates)


def evolve_sites(
    process: SiteProcess, rng: np.random.Generator, gaps: np.ndarray | None = None
) -> np.ndarray:
    """The leaves of a family whose sites evolved independently from a root that follows the profiles.

    Parameters
    ----------
    process : SiteProcess
    rng : numpy.random.Generator
    gaps : bool [N, L], optional
        Where rows have a gap in place of their letter.

    Returns
    -------
    int8 [N, L]
        Columns are contiguous.
    """
    tree, length = process.tree, process.rates.size
    columns = np.empty((length, tree.parent.size), dtype=np.int8)
    ladder = np.cumsum(process.profile, axis=1)
    arrays = tree.parent, tree.length, ladder, process.rates, _seeds(rng, length), columns
    in_parallel(_evolve_columns, length, *arrays)
    tokens = columns.take(tree.leaves, axis=1).T  # an index in brackets would lay them down row by row
    if gaps is not None:
        tokens[gaps] = GAP
    return tokens


def amino_frequencies(tokens: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted frequencies of the 20 amino acids at each site, gaps left out, and over all sites.

    Returns
    -------
    frequencies : float64 [L, 20]
        Those over all sites where a column has gaps only.
    background : float64 [20]
    """
    counts = site_frequencies(tokens, weights)[:, :GAP]
    background = counts.sum(axis=0) + 1 / GAP
    background /= background.sum()
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1e-300), background), background


def kinship(tokens: np.ndarray, weights: np.ndarray, tree: Tree, rates: np.ndarray) -> np.ndarray:
    """Weighted mean of exp(-r_i t) over all pairs of rows without a gap at site i, each with itself too.

    Returns
    -------
    float64 [L]
        0 where a column has gaps only.
    """
    mean = np.zeros(tokens.shape[1])
    columns, single = np.ascontiguousarray(tokens.T), weights.astype(np.float64)
    in_parallel(_mean_kinship, len(mean), columns, single, tree.parent, tree.length, tree.leaves, rates, mean)
    return mean


def mixed_profile(
    frequencies: np.ndarray, background: np.ndarray, related: np.ndarray, least: float = 0.0
) -> np.ndarray:
    """Profiles whose expected sum of squared frequencies, among related rows, is the observed one.

    Parameters
    ----------
    frequencies : float64 [L, 20]
    background : float64 [20]
        What is mixed in.
    related : float64 [L]
        Mean kinship c_i; the profile's own sum of squares is (observed - c_i) / (1 - c_i).
    least : float
        Smallest share of the background.

    Returns
    -------
    float64 [L, 20]
    """
    step = background - frequencies
    square, cross = (step**2).sum(axis=1), (step * frequencies).sum(axis=1)
    observed = (frequencies**2).sum(axis=1)
    aim = (observed - related) / np.maximum(1 - related, 1e-9)
    # |f + x step|^2 = aim; beyond its minimum, or the background, no share comes nearer to the aim
    root = np.sqrt(np.maximum(cross**2 - square * (observed - aim), 0.0))
    share = np.clip((-cross - root) / np.maximum(square, 1e-300), least, 1.0)
    return frequencies + share[:, None] * step


def site_rates(tokens: np.ndarray, tree: Tree, profile: np.ndarray) -> np.ndarray:
    """Most probable rate of each site on a grid, scaled to a mean of 1; float64 [L].

    The prior is log-normal about 1, so that a site without information keeps the rate 1.
    """
    likelihood = np.empty((tokens.shape[1], _RATES.size))
    columns = np.ascontiguousarray(tokens.T)
    arrays = tree.parent, tree.length, tree.leaves, profile, _RATES, likelihood
    in_parallel(_likelihoods, len(columns), columns, *arrays)
    prior = -((np.log(_RATES) / _RATE_SPREAD) ** 2) / 2
    rates = _RATES[(likelihood + prior).argmax(axis=1)]
    return rates / rates.mean()


@jit
def _likelihoods(
    lo: int,
    hi: int,
    columns: np.ndarray,
    parent: np.ndarray,
    length: np.ndarray,
    leaves: np.ndarray,
    profile: np.ndarray,
    rates: np.ndarray,
    likelihood: np.ndarray,
) -> None:
    """likelihood[i, k]: log probability of column i at rate k, by pruning; gaps are missing letters."""
    letters = profile.shape[1]
    for i in range(lo, hi):
        part = space((parent.size, letters), np.float64)
        for k in range(rates.size):
            for node in range(parent.size):
                for a in range(letters):
                    part[node, a] = 1.0
            for n in range(leaves.size):
                if columns[i, n] < letters:
                    for a in range(letters):
                        part[leaves[n], a] = 0.0
                    part[leaves[n], columns[i, n]] = 1.0
            total = 0.0
            for node in range(parent.size - 1, -1, -1):
                drawn, top = 0.0, 0.0
                for a in range(letters):
                    drawn += profile[i, a] * part[node, a]
                    top = max(top, part[node, a])
                total += np.log(top)
                if parent[node] < 0:
                    total += np.log(drawn / top)
                    continue
                kept = np.exp(-rates[k] * length[node])
                for a in range(letters):
                    part[parent[node], a] *= (kept * part[node, a] + (1 - kept) * drawn) / top
            likelihood[i, k] = total


@jit
def _mean_kinship(
    lo: int,
    hi: int,
    columns: np.ndarray,
    weights: np.ndarray,
    parent: np.ndarray,
    length: np.ndarray,
    leaves: np.ndarray,
    rates: np.ndarray,
    mean: np.ndarray,
) -> None:
    """mean[i] = mean of exp(-r_i t_nm), weighted w_n w_m, over ordered pairs of rows without a gap at site i.

    mass[node] is the sum of w_n exp(-r_i t) over the rows below it, t their distance from the node.
    """
    for i in range(lo, hi):
        mass = np.zeros(parent.size)
        sum_here, whole = 0.0, 0.0
        for n in range(leaves.size):
            if columns[i, n] != GAP:
                mass[leaves[n]] = weights[n]
                sum_here += weights[n] ** 2
                whole += weights[n]
        for node in range(parent.size - 1, 0, -1):
            arriving = mass[node] * np.exp(-rates[i] * length[node])
            sum_here += 2 * arriving * mass[parent[node]]
            mass[parent[node]] += arriving
        mean[i] = sum_here / max(whole, 1e-30) ** 2


@jit
def _evolve_columns(
    lo: int,
    hi: int,
    parent: np.ndarray,
    length: np.ndarray,
    ladder: np.ndarray,
    rates: np.ndarray,
    seeds: np.ndarray,
    columns: np.ndarray,
) -> None:
    """Each node keeps its parent's letter, or draws one from the site's cumulative profile `ladder`."""
    last = ladder.shape[1] - 1
    for i in range(lo, hi):
        state = space((1,), np.uint64)
        state[0] = seeds[i]
        for node in range(parent.size):
            if parent[node] >= 0 and _uniform(state) < np.exp(-rates[i] * length[node]):
                columns[i, node] = columns[i, parent[node]]
                continue
            mark = _uniform(state) * ladder[i, last]
            letter = 0
            while letter < last and ladder[i, letter] <= mark:
                letter += 1
            columns[i, node] = letter
