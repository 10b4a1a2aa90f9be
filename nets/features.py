"""What the refiner sees of an alignment: the only place where `nets` calls `dca`."""

from dataclasses import dataclass

import numpy as np

from data.alphabet import GAP, Q
from data.memory import domain_way, require_bytes
from dca.couplings import Couplings
from dca.frequencies import site_frequencies
from dca.gauge import zero_sum
from dca.gaussian import ridge, shrunk_inverse
from dca.maps import apc, frobenius, mutual_information
from dca.simulate import simulate_family
from dca.weights import sequence_weights
from nets.config import INVERSE, PAIR_MAPS, TRROSETTA_MAPS
from nets.memory import features_bytes

__all__ = ["Features", "compute_features", "simulate_family"]

SITE_CHANNELS = 20 + Q + 2
QUANTUM = 1 / 12
IDENTITY = 0.8  # of the sequence weights that every refiner was and is fed with
_BLOCK = 1 << 14  # pairs
EXPERT_PREFIX = "expert:"


@dataclass(frozen=True)
class Features:
    """Inputs of the refiner for one alignment.

    Attributes
    ----------
    couplings : int8 [P, q * q]
        Zero-sum ridge couplings of the packed pairs, divided by their root mean square, square-rooted with
        their sign, in steps of 1/12: eight bits hold the heavy tail, and a third of the memory does.
    maps : float16 [P, M]
        Named APC-corrected maps, standardised over the pairs, through asinh.
    sites : float16 [L, 43]
        Query one-hot (20), profile (21), entropy (1), share of gaps (1).
    scalars : float32 [2]
        log(Neff) / 10 and log(L) / 10.

    Those of the pair map ``inverse``, which the architecture of trRosetta reads, are others: see
    `inverse_features`.
    """

    couplings: np.ndarray
    maps: np.ndarray
    sites: np.ndarray
    scalars: np.ndarray

    @property
    def neff(self) -> float:
        """Effective number of sequences at 80 % identity."""
        return float(np.exp(10 * self.scalars[0]))

    @property
    def length(self) -> int:
        """Number of columns L."""
        return self.sites.shape[0]


def compute_features(
    tokens: np.ndarray, names: tuple[str, ...] = PAIR_MAPS, foreign: dict | None = None
) -> Features:
    """All channels of one alignment, with sequence weights at 80 % identity.

    Parameters
    ----------
    tokens : int8 [N, L]
        The query is row 0.
    names : tuple of str
        Pair maps in the order of the channels: ``ridge``, ``mi``, ``expert:NAME`` for a foreign map, or those
        of a published network, ``nets.config.TRROSETTA_MAPS``, which is then run on the alignment; or
        ``inverse`` alone.
    foreign : dict of str to float [L, L]
        Maps for the ``expert:`` channels.

    Raises
    ------
    ValueError
        A name is not known, or a foreign map is missing.
    FetchError
        A published network is asked for and not installed.
    MemoryLimitError
        There is too little memory; the message says how much it takes.
    """
    rows, length = tokens.shape
    require_bytes(
        f"refining {length} columns of {rows} sequences",
        features_bytes(rows, length),
        lambda available: domain_way(length, lambda columns: features_bytes(rows, columns), available),
    )
    weights = sequence_weights(tokens, IDENTITY)
    if tokens.shape[1] < 2:
        raise ValueError(f"a map needs two residues or more, the query has {tokens.shape[1]}")
    if names == (INVERSE,):
        return inverse_features(tokens, weights)
    model = zero_sum(ridge(tokens, weights))
    given = dict(foreign or {}) | _published(tokens, names)
    maps = [_channel(name, _pair_map(name, model, tokens, weights, given)) for name in names]
    sites = _site_channels(tokens, weights)
    return Features(_compand(model), np.stack(maps, axis=1), sites, _scalars(tokens, weights))


def inverse_features(tokens: np.ndarray, weights: np.ndarray) -> Features:
    """What trRosetta's networks read, `nets.experts.trrosetta_inputs`, in the form and letters of ours.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]

    Returns
    -------
    Features
        ``couplings`` float16 [P, q * q], blocks of the shrunk inverse covariance; ``maps`` float16 [P, 1],
        its norms without the gap, APC with the zeros of the diagonal counted; ``sites`` float16
        [L, 43 + q * q], as ever, and behind them the residue's own block.
    """
    length = tokens.shape[1]
    inverse = shrunk_inverse(tokens, weights).reshape(length, Q, length, Q)
    i, j = np.triu_indices(length, 1)
    norm = np.empty((length, length))
    blocks = np.empty((len(i), Q * Q), dtype=np.float16)
    own = np.empty((length, Q * Q), dtype=np.float16)
    begin = 0
    for k in range(length):  # by rows: a second copy of the inverse would be the peak of a run
        row = inverse[k].transpose(1, 0, 2)  # [L, q, q], letter of k first
        norm[k] = np.sqrt(np.square(row[:, :GAP, :GAP], dtype=np.float64).sum(axis=(1, 2)))
        own[k] = row[k].ravel()
        blocks[begin : begin + length - 1 - k] = row[k + 1 :].reshape(-1, Q * Q)
        begin += length - 1 - k
    np.fill_diagonal(norm, 0.0)
    mean = norm.sum(axis=0)
    corrected = (norm - np.outer(mean, mean) / mean.sum())[i, j]
    sites = np.hstack([_site_channels(tokens, weights), own])
    return Features(blocks, corrected[:, None].astype(np.float16), sites, _scalars(tokens, weights))


def _scalars(tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (np.array([np.log(weights.sum(dtype=np.float64)), np.log(tokens.shape[1])]) / 10).astype(
        np.float32
    )


def _pair_map(
    name: str, model: Couplings, tokens: np.ndarray, weights: np.ndarray, foreign: dict
) -> np.ndarray:
    if name == "ridge":
        return apc(frobenius(model))
    if name == "mi":
        return apc(mutual_information(tokens, weights))
    if name.startswith(EXPERT_PREFIX) and name.removeprefix(EXPERT_PREFIX) in foreign:
        return foreign[name.removeprefix(EXPERT_PREFIX)]
    raise ValueError(f"pair map {name!r} is neither one of {', '.join(PAIR_MAPS)} nor a map that was given")


def _published(tokens: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Maps of the published networks that are asked for, by the name behind ``expert:``."""
    if not set(names) & set(TRROSETTA_MAPS):
        return {}
    from nets.experts import log_odds, trrosetta  # here: few weights ask for it, and it loads torch

    found = log_odds(trrosetta(tokens))
    return {name.removeprefix(EXPERT_PREFIX): found[edge] for name, edge in TRROSETTA_MAPS.items()}


def _channel(name: str, full: np.ndarray) -> np.ndarray:
    """Log odds of a published network have a scale of their own, other maps do not."""
    if name in TRROSETTA_MAPS:
        return (full[np.triu_indices(full.shape[0], 1)] / 4).astype(np.float16)
    return _standardised(full)


def _standardised(full: np.ndarray) -> np.ndarray:
    packed = full[np.triu_indices(full.shape[0], 1)].astype(np.float64)
    spread = packed.std()
    return np.arcsinh((packed - packed.mean()) / (spread if spread > 0 else 1.0)).astype(np.float16)


def _compand(model: Couplings) -> np.ndarray:
    flat = model.couplings.reshape(len(model.couplings), -1)
    size = np.sqrt(np.mean(np.square(flat), dtype=np.float64))
    found = np.empty(flat.shape, dtype=np.int8)
    for start in range(0, len(flat), _BLOCK):  # copies of all couplings would be the peak of a run
        scaled = flat[start : start + _BLOCK] / np.float32(size if size > 0 else 1.0)
        rooted = np.sign(scaled) * np.sqrt(np.abs(scaled)) / np.float32(QUANTUM)
        found[start : start + _BLOCK] = np.clip(np.rint(rooted), -127, 127)
    return found


def _site_channels(tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
    profile = site_frequencies(tokens, weights)
    query = np.eye(Q)[tokens[0]][:, :GAP]
    entropy = -(profile * np.log(profile + 1e-9)).sum(axis=1, keepdims=True)
    return np.hstack([query, profile, entropy, profile[:, GAP:]]).astype(np.float16)
