"""The methods by name, behind one interface: tokens, weights, settings -> couplings and named maps."""

import logging
from typing import Any

import numpy as np

from data.alphabet import GAP, LETTERS
from data.store import load_arrays, save_arrays
from dca.couplings import Couplings, pair_index
from dca.gauge import zero_sum
from dca.gaussian import ridge
from dca.maps import apc, direct_information, frobenius, mutual_information
from dca.mean_field import mean_field
from dca.pseudolikelihood import pseudolikelihood
from dca.weights import effective_number, sequence_weights

logger = logging.getLogger(__name__)

METHODS = ("mi", "mean-field", "ridge", "plm")
VERSION = 1  # raise it when a change alters numbers: finished couplings are then computed anew
MIN_SEPARATION = 6
BLOCKS_PER_COLUMN = 3


def infer(
    tokens: np.ndarray, weights: np.ndarray, method: str, pseudocount: float = 0.5
) -> tuple[Couplings | None, dict[str, np.ndarray]]:
    """Couplings and maps of one method.

    Parameters
    ----------
    tokens : int8 [N, L]
    weights : float32 [N]
    method : str
        ``mi`` (mutual information over 21 letters), ``mean-field``, ``ridge`` or ``plm``.
    pseudocount : float
        Of mean-field DCA.

    Returns
    -------
    couplings : Couplings or None
        In the zero-sum gauge; None for ``mi``.
    maps : dict of str to float32 [L, L]
        The APC-corrected map under the method's name, the raw one with suffix ``_raw``; for mean-field also
        the direct information ``mean-field_di``, APC-corrected.

    Raises
    ------
    ValueError
        No such method.
    """
    if method == "mi":
        return None, _named(method, mutual_information(tokens, weights))
    if method == "mean-field":
        model = mean_field(tokens, weights, pseudocount)
        direct = apc(direct_information(model, tokens, weights, pseudocount))
        model = zero_sum(model)
        return model, _named(method, frobenius(model)) | {"mean-field_di": direct}
    if method not in METHODS:
        raise ValueError(f"method {method!r} is none of {', '.join(METHODS)}")
    model = zero_sum((ridge if method == "ridge" else pseudolikelihood)(tokens, weights))
    return model, _named(method, frobenius(model))


def _named(method: str, raw: np.ndarray) -> dict[str, np.ndarray]:
    return {method: apc(raw), f"{method}_raw": raw}


def infer_maps(
    alignment: str,
    outputs: dict[str, str],
    methods: list[str],
    identity: float = 0.8,
    pseudocount: float = 0.5,
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
    """
    tokens = load_arrays(alignment)["tokens"]
    weights = sequence_weights(tokens, identity)
    neff = effective_number(weights)
    logger.info("N = %d, L = %d, Neff = %.1f at %g identity", *tokens.shape, neff, identity)
    maps: dict[str, Any] = {}
    for method in methods:
        logger.info("method %s", method)
        model, found = infer(tokens, weights, method, pseudocount)
        maps |= found
        if method == "plm" and model is not None:
            _save_couplings(model, found["plm"], outputs)
    save_arrays(outputs["maps"], **maps)
    save_arrays(outputs["weights"], weights=weights, neff=np.float32(neff), identity=np.float32(identity))


def _save_couplings(model: Couplings, score: np.ndarray, outputs: dict[str, str]) -> None:
    first, second = np.triu_indices(model.length, MIN_SEPARATION)
    best = np.argsort(-score[first, second], kind="stable")[: BLOCKS_PER_COLUMN * model.length]
    pairs = np.stack([first[best], second[best]], axis=1).astype(np.int32)
    places = pair_index(pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64), model.length)
    save_arrays(outputs["contacts"], pairs=pairs, blocks=model.couplings[places, :GAP, :GAP])
    save_arrays(outputs["couplings"], fields=model.fields, couplings=model.couplings, letters=LETTERS)
