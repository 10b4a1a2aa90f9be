"""Many Gibbs chains of a Potts model with dense couplings, and what they say about the model.

The energies of a site come from slabs and the vector operations of the pseudolikelihood (`dca.vector`), for
a block of chains at a time. `dca.simulate` runs one chain after the other over lists of neighbours, which
suits its sparse models; from the same seeds both draw the same letters, but where rounding decides.

Expectations are conditional ones: P(x_i = a | all other sites) is added up in place of the chain's own letter
(Rao-Blackwell; Gelfand, Smith 1990, J Am Stat Assoc 85:398). Where couplings are weak this has far less
noise than a count, so that fewer chains do.

Every chain has its own SplitMix64 state: results do not depend on the number of threads.
"""

from dataclasses import dataclass

import numpy as np

from dca.accelerate import get_threads, in_parallel, jit
from dca.couplings import Couplings
from dca.frequencies import site_frequencies
from dca.kernels import BLOCK, load_slab
from dca.simulate import _seeds, _uniform
from dca.space import shaped, space
from dca.vector import LIMIT, LOG2E, POWERS, WIDTH, gather_rows, scatter_row

GROUP = 8  # columns of a slab that are visited together
_ABSENT = -1e30  # energy of the letters that pad a row
_SIGMAS = 5.0


@dataclass(frozen=True)
class Expectations:
    """Means over the chains of P_i(a) = P(x_i = a | all other sites) and of letters.

    Attributes
    ----------
    conditional : float32 [L, q]
        Mean P_i(a).
    counted : float32 [L, q]
        Frequencies of the chains' letters.
    joint : float32 [L, L padded, q, WIDTH]
        Mean of P_i(a) [x_j = b] as [i, j, b, a]; j = i and the padding have no meaning.
    """

    conditional: np.ndarray
    counted: np.ndarray
    joint: np.ndarray


@dataclass(frozen=True)
class Mixing:
    """Whether chains forget where they were: overlaps (share of equal letters) in time and between chains.

    Attributes
    ----------
    lag : int
        Sweeps between the two states of a chain.
    own : float
        Mean overlap of a chain with its own earlier state.
    independent : float
        Mean overlap of different chains, of which each took its own random start.
    error : float
        Standard error of the difference of the two.
    """

    lag: int
    own: float
    independent: float
    error: float

    @property
    def mixed(self) -> bool:
        """Whether a chain is no closer to its past than to other chains, within 5 standard errors."""
        return self.own - self.independent <= _SIGMAS * self.error


def mixing(earlier: np.ndarray, later: np.ndarray, lag: int) -> Mixing:
    """Overlaps of chains `lag` sweeps apart; int8 [M, L] each, M >= 2 (the test of Muntoni et al. 2021)."""
    own = (earlier == later).mean(axis=1)
    independent = (later == np.roll(later, 1, axis=0)).mean(axis=1)
    error = np.sqrt((own.var() + independent.var()) / len(own))
    return Mixing(lag, float(own.mean()), float(independent.mean()), float(error))


def random_states(sites: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Sequences whose letters are drawn site by site with frequencies `sites` [L, q]; int8 [count, L]."""
    length, letters = sites.shape
    tokens = np.empty((count, length), dtype=np.int8)
    for i, reached in enumerate(np.cumsum(sites, axis=1)):
        tokens[:, i] = np.minimum(np.searchsorted(reached, rng.random(count), side="right"), letters - 1)
    return tokens


class Chains:
    """Persistent Gibbs chains of a model that may change under them.

    Parameters
    ----------
    count, length, letters : int
        M, L and q <= 24. Buffers take about 2 x 4 x 24 q L^2 bytes.
    """

    def __init__(self, count: int, length: int, letters: int):
        groups = -(-length // GROUP)
        self._letters = letters
        self._columns = np.zeros((length, count), dtype=np.int8)
        self._state = np.zeros(count, dtype=np.uint64)
        self._places = np.zeros((groups, count, GROUP), dtype=np.uint16)
        self._fields = np.full((length, WIDTH), _ABSENT, dtype=np.float32)
        self._slabs = np.zeros((length, groups, GROUP * letters * WIDTH), dtype=np.float32)
        self._joint = np.zeros_like(self._slabs)

    def start(self, tokens: np.ndarray, rng: np.random.Generator) -> None:
        """Put the chains into these states, int8 [M, L], and seed them anew."""
        self._columns[:] = tokens.T
        self._state = _seeds(rng, tokens.shape[0])
        _find_places(tokens, self._letters, self._places)

    def follow(self, model: Couplings) -> None:
        """Run by this model from now on."""
        self._fields[:, : self._letters] = model.fields
        in_parallel(_load_slabs, len(self._slabs), model.couplings, self._slabs)

    def sweep(self, sweeps: int) -> None:
        """Update every site of every chain `sweeps` times, in the order of the sites."""
        arrays = self._columns, self._places, self._fields, self._slabs
        # Whole shares: a site's slab stays in the second-level cache while all chains of a share pass
        in_parallel(_sweep, get_threads(), *arrays, sweeps, self._state, get_threads())

    def states(self) -> np.ndarray:
        """A copy of the states, int8 [M, L]."""
        return np.ascontiguousarray(self._columns.T)

    def expectations(self, looks: int = 1, sweeps: int = 0) -> Expectations:
        """Means over the chains as they stand, and as they stand after `sweeps` more, `looks` times in all.

        The next call overwrites ``joint``.
        """
        length, count = self._columns.shape
        conditional = np.zeros((length, self._letters))
        counted = np.zeros_like(conditional)
        self._joint[:] = 0.0
        arrays = self._columns, self._places, self._fields, self._slabs
        for look in range(looks):
            if look:
                self.sweep(sweeps)
            in_parallel(_expect, length, *arrays, 1.0 / (count * looks), conditional, self._joint)
            single = np.ones(count, np.float32)
            counted += site_frequencies(self._columns.T, single, self._letters) / looks
        joint = self._joint.reshape(length, -1, self._letters, WIDTH)
        return Expectations(conditional.astype(np.float32), counted.astype(np.float32), joint)


@jit
def _find_places(tokens: np.ndarray, letters: int, places: np.ndarray) -> None:
    """Row of each letter in its group's part of a slab; columns past L have letter 0."""
    groups, rows, _ = places.shape
    length = tokens.shape[1]
    for g in range(groups):
        for n in range(rows):
            for k in range(GROUP):
                j = g * GROUP + k
                letter = int(tokens[n, j]) if j < length else 0
                places[g, n, k] = k * letters + letter


@jit
def _load_slabs(lo: int, hi: int, couplings: np.ndarray, slabs: np.ndarray) -> None:
    groups = slabs.shape[1]
    q = couplings.shape[1]
    for i in range(lo, hi):
        rows = shaped(slabs[i], (groups * GROUP, q, WIDTH))
        load_slab(i, couplings, couplings, np.float32(0.0), rows)


@jit
def _conditionals(
    places: np.ndarray,
    field: np.ndarray,
    slab: np.ndarray,
    weight: float,
    block: np.ndarray,
    bits: np.ndarray,
) -> None:
    """block[n, a] = weight P(a | the other sites of chain n) at one site, for a block of chains."""
    rows = block.shape[0]
    flat = shaped(block, (block.size,))
    for n in range(rows):
        for a in range(WIDTH):
            block[n, a] = field[a]
    for g in range(places.shape[0]):
        part = slab[g]
        for n in range(rows):
            o = places[g, n]
            gather_rows(flat, n, part, (o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]))
    _subtract_largest(block)
    _exponentials(flat, bits[: rows * WIDTH], bits[: rows * WIDTH].view(np.float32))
    _normalise(block, np.float32(weight))


@jit(fastmath=True)
def _exponentials(values: np.ndarray, bits: np.ndarray, powers: np.ndarray) -> None:
    """values = exp(values), written so that it vectorises; `powers` views `bits` as float32."""
    for k in range(values.size):
        scaled = min(max(values[k], np.float32(-LIMIT)), np.float32(LIMIT)) * np.float32(LOG2E)
        whole = np.floor(scaled + np.float32(0.5))
        f = scaled - whole
        bits[k] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        total = np.float32(POWERS[5])
        total = total * f + np.float32(POWERS[4])
        total = total * f + np.float32(POWERS[3])
        total = total * f + np.float32(POWERS[2])
        total = total * f + np.float32(POWERS[1])
        total = total * f + np.float32(POWERS[0])
        values[k] = total * f + np.float32(1.0)
    for k in range(values.size):
        values[k] *= powers[k]


@jit(fastmath=True)
def _subtract_largest(block: np.ndarray) -> None:
    for n in range(block.shape[0]):
        top = block[n, 0]
        for a in range(1, WIDTH):
            top = max(top, block[n, a])
        for a in range(WIDTH):
            block[n, a] -= top


@jit(fastmath=True)
def _normalise(block: np.ndarray, weight: float) -> None:
    """Rows that sum to the weight."""
    for n in range(block.shape[0]):
        total = np.float32(0.0)
        for a in range(WIDTH):
            total += block[n, a]
        scale = weight / total
        for a in range(WIDTH):
            block[n, a] *= scale


@jit
def _draw(chances: np.ndarray, letters: int, mark: float) -> int:
    """The letter at which the sum of the chances passes the mark."""
    letter = 0
    reached = float(chances[0])
    while letter < letters - 1 and reached <= mark:
        letter += 1
        reached += chances[letter]
    return letter


@jit
def _sweep(
    lo: int,
    hi: int,
    columns: np.ndarray,
    places: np.ndarray,
    fields: np.ndarray,
    slabs: np.ndarray,
    sweeps: int,
    state: np.ndarray,
    shares: int,
) -> None:
    """Gibbs sweeps of all chains. They are independent, so that `shares` changes no result."""
    length, chains = columns.shape
    letters = slabs.shape[2] // (GROUP * WIDTH)
    size = (chains + shares - 1) // shares
    for k in range(lo, hi):
        block = space((BLOCK, WIDTH), np.float32)
        bits = space((BLOCK * WIDTH,), np.int32)
        end = min((k + 1) * size, chains)
        for _ in range(sweeps):
            for i in range(length):
                group, place = i // GROUP, i % GROUP
                for start in range(k * size, end, BLOCK):
                    part = block[: min(BLOCK, end - start)]
                    picked = places[:, start : start + part.shape[0]]
                    _conditionals(picked, fields[i], slabs[i], 1.0, part, bits)
                    for n in range(part.shape[0]):
                        mark = _uniform(state[start + n : start + n + 1])
                        letter = _draw(part[n], letters, mark)
                        columns[i, start + n] = letter
                        picked[group, n, place] = place * letters + letter


@jit
def _scatter_block(places: np.ndarray, block: np.ndarray, joint: np.ndarray) -> None:
    """joint[j, x_nj, a] += block[n, a] for all columns j and chains n of a block."""
    flat = shaped(block, (block.size,))
    for g in range(places.shape[0]):
        part = joint[g]
        for n in range(block.shape[0]):
            o = places[g, n]
            scatter_row(part, (o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]), flat, n)


@jit
def _expect(
    lo: int,
    hi: int,
    columns: np.ndarray,
    places: np.ndarray,
    fields: np.ndarray,
    slabs: np.ndarray,
    weight: float,
    conditional: np.ndarray,
    joint: np.ndarray,
) -> None:
    """Add weight times the sums over the chains of P_i(a), and of P_i(a) [x_j = b] in the slabs' layout."""
    chains = columns.shape[1]
    for i in range(lo, hi):
        block = space((BLOCK, WIDTH), np.float32)
        bits = space((BLOCK * WIDTH,), np.int32)
        for start in range(0, chains, BLOCK):
            part = block[: min(BLOCK, chains - start)]
            picked = places[:, start : start + part.shape[0]]
            _conditionals(picked, fields[i], slabs[i], weight, part, bits)
            for n in range(part.shape[0]):
                for a in range(conditional.shape[1]):
                    conditional[i, a] += part[n, a]
            _scatter_block(picked, part, joint[i])
