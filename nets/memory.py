"""How much memory features and predictions take, known before they begin; without torch, for plans."""

from data.alphabet import Q
from data.memory import INTERPRETER
from dca.memory import predicted_bytes
from nets.config import CHAIN_STEPS, CHAINS, RefinerConfig

NAME = 112  # bytes of a row's name of some 50 letters, which are held with the alignment
TORCH = 290_000_000  # bytes of torch, loaded, with its buffers
LLVM = 37_000_000  # bytes of its library and of compiled kernels
STRIP_PIXELS = 1 << 14  # of a map that are embedded at once
TRUNK_PIXELS = 1 << 15  # that pass through a block of the trunk at once


def features_bytes(rows: int, length: int) -> int:
    """Peak of `nets.features.compute_features` without published networks: ridge couplings, beside torch."""
    by_column = rows * length  # the alignment again: it is held by rows
    return predicted_bytes("ridge", rows, length) + TORCH + by_column + NAME * rows


def prediction_bytes(length: int, config: RefinerConfig) -> int:
    """Peak of `nets.predict.predict`: features, the bins four times (once an ensemble's), what works on them.

    That is the embedding or the trunk with a strip of pixels, and after them the folded chains.
    """
    strip = min(length**2, STRIP_PIXELS + length) * (9 * Q**2 + 100)
    held = (Q**2 // 2 + len(config.pair_maps)) * length**2
    if config.architecture == "trrosetta":  # whole maps: ten copies of the trunk's, three of its 37 bins
        held += Q**2 // 2 * length**2 + 4 * (9 * config.channels + 111) * length**2
    maps = 4 * config.channels * length**2
    rows = max(40, 4 * max(config.dilations) + 8)  # of tiles, or around a strip
    passing = 12 * config.channels * min(length**2 + rows * length, TRUNK_PIXELS + rows * length)
    work = max(maps + strip, 2 * maps + passing, chain_bytes(length, config.bins))
    return INTERPRETER + LLVM + TORCH + weights_bytes(config) + held + 16 * config.bins * length**2 + work


def weights_bytes(config: RefinerConfig) -> int:
    """Peak of reading weights: the file, its numbers in float32, and the network's own."""
    # almost all of them are those of convolutions
    numbers = 18 * config.blocks * config.channels**2 + Q**2 * config.channels
    return (2 + 4 + 4) * config.members * numbers


def chain_bytes(length: int, bins: int) -> int:
    """Peak of `nets.chain.contact_frequency`: energies, frequencies, noise, and the matrices of the start."""
    pairs = length * (length - 1) // 2
    return pairs * (4 * CHAINS + 8 * 4 * bins) + 12 * CHAINS * CHAIN_STEPS * length + 6 * 8 * length**2


def refinement_bytes(rows: int, length: int, config: RefinerConfig) -> int:
    """Peak of refining an alignment: features first, then the network's map.

    Parameters
    ----------
    rows, length : int
        N sequences and L columns.
    config : RefinerConfig
        Shape of the network.
    """
    return max(features_bytes(rows, length) + weights_bytes(config), prediction_bytes(length, config))


def example_bytes(rows: int, length: int, depths: int) -> int:
    """Peak of a training example: features at one depth beside those of the others."""
    pairs = length * (length - 1) // 2
    return features_bytes(rows, length) + depths * (Q**2 + 12) * pairs
