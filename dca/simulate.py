"""Families with known couplings: a Potts model on a contact map, and sequences sampled from it.

Sequences come independently, or along a tree, where they are related as real ones are (Yule 1925 for the
shape; Gibbs updates on its branches, so that every sequence alone still follows the model; compare
Rodriguez Horta, Weigt 2021, PLoS Comput Biol 17:e1008957).

Random numbers: numpy's generator gives one 64-bit seed per chain or branch, and the kernels run their own
small generator from it (SplitMix64), so that results do not depend on the number of threads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from dca.accelerate import in_parallel, jit
from dca.couplings import Couplings, pair_index
from dca.space import space

AMINO = 20
_LETTERS = "ACDEFGHIKLMNPQRSTVWY"
# Kyte, Doolittle 1982 (J Mol Biol 157:105), side chain charges, and volumes in cubic angstrom
# (Zamyatnin 1972, Prog Biophys Mol Biol 24:107), in the order of the letters above
_HYDROPATHY = (1.8, 2.5, -3.5, -3.5, 2.8, -0.4, -3.2, 4.5, -3.9, 3.8, 1.9, -3.5, -1.6, -3.5, -4.5, -0.8, -0.7,
               4.2, -0.9, -1.3)  # fmt: skip
_VOLUME = (88.6, 108.5, 111.1, 138.4, 189.9, 60.1, 153.2, 166.7, 168.6, 166.7, 162.9, 114.1, 112.7, 143.8,
           173.4, 89.0, 116.1, 140.0, 227.8, 193.6)  # fmt: skip


@dataclass(frozen=True)
class Tree:
    """A rooted tree; parents come before their children.

    Attributes
    ----------
    parent : int32 [M]
        Parent of each node, -1 for the root (node 0).
    length : float64 [M]
        Length of the branch above each node, in proposed mutations per site.
    leaves : int32 [n]
        The nodes that are observed.
    """

    parent: np.ndarray
    length: np.ndarray
    leaves: np.ndarray


def contact_potts(
    contacts: np.ndarray,
    rng: np.random.Generator,
    coupling_strength: float = 10.0,
    field_strength: float = 1.0,
    preference: float = 0.5,
    letters: int = AMINO,
) -> Couplings:
    """A Potts model whose couplings live on the contacts of a map.

    A coupling is a random matrix mixed with the preferences of amino acids in contact (hydrophobic with
    hydrophobic, opposite charges, sizes that add up); fields are random, and hydrophobic where a site
    has many contacts.

    Parameters
    ----------
    contacts : bool [L, L]
        Symmetric; the diagonal is not used.
    rng : numpy.random.Generator
    coupling_strength : float
        Frobenius norm of each contact's couplings, varied log-normally from contact to contact.
    field_strength : float
        Standard deviation of the fields of a site, varied log-normally from site to site.
    preference : float
        Share in [0, 1] of the amino acid preferences in a coupling; used with 20 letters only.
    letters : int
        q; with 20 they are the amino acids in the order of the codes.

    Returns
    -------
    Couplings
        Zero-sum couplings and fields, float32.

    Raises
    ------
    ValueError
        The map is not square and symmetric.
    """
    if contacts.ndim != 2 or (contacts != contacts.T).any():
        raise ValueError(f"contacts must be a symmetric square map, got shape {contacts.shape}")
    length = contacts.shape[0]
    first, second = np.nonzero(np.triu(contacts, 1))
    blocks = _zero_sum(rng.normal(size=(first.size, letters, letters)))
    burial = contacts.sum(axis=1) - contacts.sum() / length
    fields = rng.normal(size=(length, letters))
    if letters == AMINO and preference > 0:
        blocks = (1 - preference) * blocks + preference * _pair_preferences()
        fields += preference * np.outer(burial / (burial.std() + 1e-9), _standard(_HYDROPATHY))
    strength = coupling_strength * rng.lognormal(0.0, 0.3, size=first.size)
    blocks *= (strength / np.linalg.norm(blocks, axis=(1, 2)))[:, None, None]
    couplings = np.zeros((length * (length - 1) // 2, letters, letters), dtype=np.float32)
    couplings[pair_index(first, second, length)] = blocks
    fields -= fields.mean(axis=1, keepdims=True)
    fields *= rng.lognormal(0.0, 0.5, size=(length, 1))  # some columns are conserved, some free
    return Couplings((field_strength * fields).astype(np.float32), couplings)


def _standard(values: tuple[float, ...]) -> np.ndarray:
    array = np.asarray(values)
    return (array - array.mean()) / array.std()


def _zero_sum(blocks: np.ndarray) -> np.ndarray:
    rows = blocks - blocks.mean(axis=-1, keepdims=True)
    return rows - rows.mean(axis=-2, keepdims=True)


def _pair_preferences() -> np.ndarray:
    """Preference of each pair of amino acids in contact, zero-sum, entries of unit variance; [20, 20]."""
    hydropathy, volume = _standard(_HYDROPATHY), _standard(_VOLUME)
    charge = np.array([{"D": -1, "E": -1, "K": 1, "R": 1, "H": 0.5}.get(letter, 0.0) for letter in _LETTERS])
    blocks = np.outer(hydropathy, hydropathy) - 4 * np.outer(charge, charge) - 0.7 * np.outer(volume, volume)
    blocks[_LETTERS.index("C"), _LETTERS.index("C")] += 3
    blocks = _zero_sum(blocks)
    return blocks / blocks.std()


def yule_tree(leaves: int, depth: float, rng: np.random.Generator) -> Tree:
    """A random tree in which every lineage splits at the same rate, all leaves at distance `depth`.

    Raises
    ------
    ValueError
        Fewer than one leaf or a negative depth.
    """
    if leaves < 1 or depth < 0:
        raise ValueError(f"a tree needs at least one leaf and no negative depth, got {leaves} and {depth}")
    parent, born = [-1], [0.0]
    alive = [0]
    time = 0.0
    split = [0.0]
    while len(alive) < leaves:
        time += rng.exponential(1 / len(alive)) if len(alive) > 1 else 0.0  # the root splits at once
        node = alive.pop(int(rng.integers(len(alive))))
        split[node] = time
        for _ in range(2):
            alive.append(len(parent))
            parent.append(node)
            born.append(time)
            split.append(np.inf)
    end = time + rng.exponential(1 / len(alive))
    length = (np.minimum(split, end) - np.array(born)) * (depth / end)
    length[0] = 0.0 if leaves > 1 else depth
    return Tree(np.array(parent, np.int32), length, np.array(alive, np.int32))


def sample_independent(model: Couplings, n: int, rng: np.random.Generator, sweeps: int = 50) -> np.ndarray:
    """Independent sequences from the model: one Gibbs chain each, from random letters.

    Parameters
    ----------
    model : Couplings
    n : int
        Number of sequences.
    rng : numpy.random.Generator
    sweeps : int
        Updates of every site.

    Returns
    -------
    int8 [n, L]
    """
    length, letters = model.fields.shape
    tokens = rng.integers(0, letters, size=(n, length)).astype(np.int8)
    in_parallel(_sweep_chains, n, tokens, model.fields, *_neighbours(model), sweeps, _seeds(rng, n))
    return tokens


def sample_tree(model: Couplings, tree: Tree, rng: np.random.Generator, burn_in: int = 200) -> np.ndarray:
    """The leaves of a family that evolved along a tree from a sequence that follows the model.

    On each branch a Poisson number of sites, on average length times L, is drawn and updated from its
    conditional distribution; the letter may stay the same.

    Returns
    -------
    int8 [n, L]
        In the order of ``tree.leaves``.
    """
    length = model.fields.shape[0]
    tokens = np.empty((tree.parent.size, length), dtype=np.int8)
    updates = rng.poisson(tree.length * length).astype(np.int64)
    tokens[:1] = sample_independent(model, 1, rng, burn_in)
    _evolve(tokens, tree.parent, updates, model.fields, *_neighbours(model), _seeds(rng, tree.parent.size))
    return tokens[tree.leaves]


def simulate_family(
    contacts: np.ndarray,
    n: int,
    rng: np.random.Generator,
    mode: str = "tree",
    depth: float = 4.0,
    gap_share: float = 0.0,
    **potts: Any,
) -> tuple[np.ndarray, Couplings]:
    """An alignment of a made-up family with the contacts of a map, and the model behind it.

    Parameters
    ----------
    contacts : bool [L, L]
    n : int
        Number of sequences; the first serves as query and has no gaps.
    rng : numpy.random.Generator
    mode : {"tree", "independent"}
    depth : float
        Distance from the root to every leaf in proposed mutations per site.
    gap_share : float
        Mean share of gaps in the other rows, in runs, most of them at the ends.
    **potts
        Arguments of `contact_potts`.

    Returns
    -------
    tokens : int8 [n, L]
        Codes 0-19 and 20 for gaps.
    model : Couplings
        20 letters.

    Raises
    ------
    ValueError
        Unknown mode.
    """
    model = contact_potts(contacts, rng, **potts)
    if mode == "tree":
        tokens = sample_tree(model, yule_tree(n, depth, rng), rng)
    elif mode == "independent":
        tokens = sample_independent(model, n, rng)
    else:
        raise ValueError(f"mode must be 'tree' or 'independent', got {mode!r}")
    return (_add_gaps(tokens, gap_share, rng) if gap_share > 0 else tokens), model


def _add_gaps(tokens: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Runs of gaps in all rows but the first: half of the share at the ends, half inside."""
    rows, length = tokens.shape
    tokens = tokens.copy()
    ends = rng.exponential(share * length / 4, size=(rows, 2)).astype(int)
    inner = rng.poisson(share * length / 2 / 3, size=rows)  # runs of mean length 3
    for n in range(1, rows):
        tokens[n, : ends[n, 0]] = AMINO
        tokens[n, length - min(ends[n, 1], length) :] = AMINO
        for start in rng.integers(0, length, size=inner[n]):
            tokens[n, start : start + rng.geometric(1 / 3)] = AMINO
    return tokens


def _seeds(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 2**64, size=count, dtype=np.uint64)


def _neighbours(model: Couplings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coupled sites of each site: count [L], index [L, D], and tables [L, D, q, q] as [i, k, x_j, x_i]."""
    length, letters = model.fields.shape
    first, second = np.triu_indices(length, 1)
    coupled = np.flatnonzero(model.couplings.any(axis=(1, 2)))
    count = np.bincount(np.concatenate([first[coupled], second[coupled]]), minlength=length).astype(np.int64)
    index = np.zeros((length, max(1, count.max())), dtype=np.int64)
    tables = np.zeros((*index.shape, letters, letters), dtype=np.float32)
    filled = np.zeros(length, dtype=np.int64)
    for p in coupled:
        i, j = first[p], second[p]
        index[i, filled[i]], index[j, filled[j]] = j, i
        tables[i, filled[i]], tables[j, filled[j]] = model.couplings[p].T, model.couplings[p]
        filled[i] += 1
        filled[j] += 1
    return count, index, tables


@jit
def _uniform(state: np.ndarray) -> float:
    """The next number in [0, 1) of a SplitMix64 generator (Steele et al. 2014), its state in state[0]."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) / 9007199254740992.0


@jit
def _update_site(
    row: np.ndarray,
    i: int,
    fields: np.ndarray,
    count: np.ndarray,
    index: np.ndarray,
    tables: np.ndarray,
    state: np.ndarray,
    chance: np.ndarray,
) -> None:
    """Draw the letter of site i from its conditional distribution; `chance` [q] is working space."""
    letters = fields.shape[1]
    for a in range(letters):
        chance[a] = fields[i, a]
    for k in range(count[i]):
        table = tables[i, k, row[index[i, k]]]
        for a in range(letters):
            chance[a] += table[a]
    top, total = chance[0], 0.0
    for a in range(1, letters):
        top = max(top, chance[a])
    for a in range(letters):
        total += np.exp(chance[a] - top)
        chance[a] = total
    mark = _uniform(state) * total
    letter = 0
    while letter < letters - 1 and chance[letter] <= mark:
        letter += 1
    row[i] = letter


@jit
def _sweep_chains(
    lo: int,
    hi: int,
    tokens: np.ndarray,
    fields: np.ndarray,
    count: np.ndarray,
    index: np.ndarray,
    tables: np.ndarray,
    sweeps: int,
    seeds: np.ndarray,
) -> None:
    """Gibbs sweeps of each row with its own random numbers."""
    for n in range(lo, hi):
        state = space((1,), np.uint64)
        state[0] = seeds[n]
        chance = space((fields.shape[1],), np.float64)
        for _ in range(sweeps):
            for i in range(tokens.shape[1]):
                _update_site(tokens[n], i, fields, count, index, tables, state, chance)


@jit
def _evolve(
    tokens: np.ndarray,
    parent: np.ndarray,
    updates: np.ndarray,
    fields: np.ndarray,
    count: np.ndarray,
    index: np.ndarray,
    tables: np.ndarray,
    seeds: np.ndarray,
) -> None:
    """Fill each node but the first: its parent's row, then updates[node] updates of random sites."""
    length = tokens.shape[1]
    chance = space((fields.shape[1],), np.float64)
    for node in range(tokens.shape[0]):
        if node > 0:
            for i in range(length):
                tokens[node, i] = tokens[parent[node], i]
        state = space((1,), np.uint64)
        state[0] = seeds[node]
        for _ in range(updates[node]):
            i = int(_uniform(state) * length)
            _update_site(tokens[node], i, fields, count, index, tables, state, chance)
