"""The methods by name, behind one interface: tokens, weights, settings -> couplings -> named maps."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.alphabet import GAP, LETTERS
from data.store import open_arrays, save_arrays
from dca.accelerate import get_threads
from dca.couplings import Couplings, pair_index
from dca.gauge import zero_sum
from dca.maps import apc, direct_information, frobenius, mutual_information
from dca.memory import CERTAIN, Uncertainty, require_memory
from dca.weights import effective_number, sequence_weights

if TYPE_CHECKING:
    from dca.pseudolikelihood import PlmSettings

logger = logging.getLogger(__name__)

METHODS = ("mi", "mean-field", "ridge", "gaussian", "plm", "plm-asymmetric", "boltzmann")
VERSION = 7  # raise it when numbers change beyond rounding: finished couplings are then computed anew
CORRECTIONS = ("apc", "raw", "entropy", "low-rank")
MIN_SEPARATION = 6
BLOCKS_PER_COLUMN = 3


@dataclass(frozen=True)
class Settings:
    """What a user may choose beyond the method.

    Attributes
    ----------
    pseudocount : float
        Of mean-field DCA and of direct information, in (0, 1].
    device : str
        Of ``plm``: ``cpu`` for the compiled kernels, or a device of torch such as ``cuda``.
    coupling_penalty, field_penalty, tolerance : float, optional
        Of ``plm`` and ``plm-asymmetric``, see `pseudolikelihood.PlmSettings`; its defaults where None.
    direct : bool
        Direct information for every method that has couplings, and not for mean-field alone.
    """

    pseudocount: float = 0.5
    device: str = "cpu"
    coupling_penalty: float | None = None
    field_penalty: float | None = None
    tolerance: float | None = None
    direct: bool = False

    def plm(self) -> "PlmSettings":
        """Those of pseudolikelihood."""
        from dca.pseudolikelihood import PlmSettings

        names = ("coupling_penalty", "field_penalty", "tolerance")
        chosen = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return PlmSettings(**chosen)


def infer(
    tokens: np.ndarray, weights: np.ndarray, method: str, settings: Settings | None = None
) -> tuple[Couplings | None, dict[str, np.ndarray]]:
    """Couplings and maps of one method.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
    method : str
        One of `METHODS`; ``mi`` is mutual information over 21 letters.
    settings : Settings, optional

    Returns
    -------
    couplings : Couplings or None
        In the zero-sum gauge; None for ``mi``.
    maps : dict of str to float32 [L, L]
        The APC-corrected map under the method's name, the raw one with suffix ``_raw``; for mean-field also
        the direct information ``mean-field_di``, APC-corrected. With ``direct`` every method that has
        couplings has both, ``_di`` and ``_di_raw``.

    Raises
    ------
    ValueError
        No such method, a setting out of range, or direct information of ``mi``, which has no couplings.
    """
    settings = settings or Settings()
    if method == "mi":
        if settings.direct:
            raise ValueError("mi has no couplings, and so no direct information; choose another method")
        return None, _named(method, mutual_information(tokens, weights))
    model = infer_couplings(tokens, weights, method, settings)
    maps = {}
    if method == "mean-field" or settings.direct:
        direct = direct_information(model, tokens, weights, settings.pseudocount)
        maps[f"{method}_di"] = apc(direct)
        if settings.direct:
            maps[f"{method}_di_raw"] = direct
    model = zero_sum(model)
    return model, _named(method, frobenius(model)) | maps


def infer_couplings(tokens: np.ndarray, weights: np.ndarray, method: str, settings: Settings) -> Couplings:
    """Fields and couplings of one method, in the gauge that the method leaves them in.

    Modules are loaded as they are asked for: a run pays for the kernels of its own method.
    """
    if method == "mean-field":
        from dca.mean_field import mean_field

        return mean_field(tokens, weights, settings.pseudocount)
    if method == "plm" and settings.device != "cpu":
        from dca.device import pseudolikelihood_on_device

        return pseudolikelihood_on_device(tokens, weights, settings.plm(), settings.device)
    if method == "plm":
        from dca.pseudolikelihood import pseudolikelihood

        return pseudolikelihood(tokens, weights, settings.plm())
    if method == "plm-asymmetric":
        from dca.asymmetric import asymmetric_pseudolikelihood

        return asymmetric_pseudolikelihood(tokens, weights, settings.plm())
    if method == "boltzmann":
        from dca.boltzmann import boltzmann

        return boltzmann(tokens, weights)
    if method in ("ridge", "gaussian"):
        from dca import gaussian

        return (gaussian.ridge if method == "ridge" else gaussian.gaussian)(tokens, weights)
    raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")


def corrected(raw: np.ndarray, correction: str, tokens: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A raw map with one of `CORRECTIONS` taken off; ``raw`` leaves it as it is."""
    from dca import corrections

    if correction == "apc":
        return apc(raw)
    if correction == "entropy":
        return corrections.entropy_correction(raw, tokens, weights)
    if correction == "low-rank":
        return corrections.low_rank_sparse(raw)
    if correction != "raw":
        raise ValueError(f"correction {correction!r} is none of {', '.join(CORRECTIONS)}")
    return raw.astype(np.float32)


def save_couplings(path: str | Path, model: Couplings) -> None:
    """Write a model as ``couplings.npz`` (docs/formats.md)."""
    save_arrays(path, fields=model.fields, couplings=model.couplings, letters=LETTERS)


def _named(method: str, raw: np.ndarray) -> dict[str, np.ndarray]:
    return {method: apc(raw), f"{method}_raw": raw}


def raw_name(method: str, settings: Settings) -> str:
    """Name of the uncorrected map that pairs are ranked by."""
    return f"{method}_di_raw" if settings.direct else f"{method}_raw"


def score_map(
    tokens: np.ndarray,
    weights: np.ndarray,
    method: str,
    settings: Settings | None = None,
    correction: str = "apc",
) -> np.ndarray:
    """The map [L, L] that pairs are ranked by, float32: what `infer` gives, under one of `CORRECTIONS`."""
    settings = settings or Settings()
    raw = infer(tokens, weights, method, settings)[1][raw_name(method, settings)]
    return corrected(raw, correction, tokens, weights)


def infer_maps(
    alignment: str,
    outputs: dict[str, str],
    methods: list[str],
    identity: float = 0.8,
    pseudocount: float = 0.5,
    device: str = "cpu",
    nulls: int = 0,
    seed: int = 0,
) -> None:
    """Run all methods on an ``alignment.npz`` and write weights, maps, couplings and contact blocks.

    Parameters
    ----------
    alignment : path
    outputs : dict
        Paths under ``weights``, ``maps``, ``couplings`` and ``contacts``; see docs/formats.md. Couplings
        and blocks are those of ``plm``, which must be among the methods.
    methods : list of str
    identity : float
        Rows at least this identical share one vote.
    pseudocount, device
        See `Settings`.
    nulls, seed : int
        Alignments of independent sites that ``plm`` is tested against (`dca.significance`), each of which
        takes as long as its own inference; 0 leaves the test out.
    """
    settings = Settings(pseudocount, device)
    with open_arrays(alignment) as arrays:  # not its names, which may be larger than all the rest
        tokens = np.asfortranarray(arrays["tokens"])  # once, and not in each place that reads columns
    for method in methods:
        if method != "plm" or device == "cpu":  # a device looks after its own memory
            beside = Uncertainty(nulls=nulls) if method == "plm" else CERTAIN
            rows, length = tokens.shape
            require_memory(method, rows, length, get_threads(), uncertainty=beside)
    weights = sequence_weights(tokens, identity)
    neff = effective_number(weights)
    logger.info("N = %d, L = %d, Neff = %.1f at %g identity", *tokens.shape, neff, identity)
    maps: dict[str, Any] = {}
    for method in methods:
        logger.info("method %s", method)
        model, found = infer(tokens, weights, method, settings)
        maps |= found
        contacts: dict[str, Any] = {}
        if method == "plm" and model is not None:
            save_couplings(outputs["couplings"], model)
            contacts = _best_blocks(model, found["plm"])
        del model  # nulls and other methods need the room
        if contacts and nulls:
            contacts |= _tested(tokens, weights, found["plm"], settings, nulls, seed)
        if contacts:
            save_arrays(outputs["contacts"], **contacts)
    save_arrays(outputs["maps"], **maps)
    save_arrays(outputs["weights"], weights=weights, neff=np.float32(neff), identity=np.float32(identity))


def _tested(
    tokens: np.ndarray, weights: np.ndarray, score: np.ndarray, settings: Settings, nulls: int, seed: int
) -> dict[str, Any]:
    """Significance of the couplings as ``contacts.npz`` holds it; empty where no pair is far enough apart."""
    from dca.significance import coupling_significance

    if tokens.shape[1] <= MIN_SEPARATION:
        return {}

    map_of = partial(score_map, method="plm", settings=settings)
    rng = np.random.default_rng(seed)
    found = coupling_significance(tokens, weights, map_of, rng, nulls, score, MIN_SEPARATION)
    message = "%d nulls: the smallest possible p is %.2g, in the smallest stratum %.2g"
    logger.info(message, found.nulls, found.smallest_p, found.coarsest_p)
    numbers = {"smallest_p": np.float64(found.smallest_p), "coarsest_p": np.float64(found.coarsest_p)}
    return {"p": found.p, "q": found.q, "nulls": np.int32(found.nulls)} | numbers


def _best_blocks(model: Couplings, score: np.ndarray) -> dict[str, np.ndarray]:
    """The best pairs and their couplings."""
    first, second = np.triu_indices(model.length, MIN_SEPARATION)
    best = np.argsort(-score[first, second], kind="stable")[: BLOCKS_PER_COLUMN * model.length]
    pairs = np.stack([first[best], second[best]], axis=1).astype(np.int32)
    places = pair_index(pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64), model.length)
    return {"pairs": pairs, "blocks": model.couplings[places, :GAP, :GAP]}
