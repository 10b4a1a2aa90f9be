"""Boltzmann machine learning: the Potts model whose samples have the data's one- and two-site frequencies.

Sources: Figliuzzi, Barrat-Charlaix, Weigt 2018, Mol Biol Evol 35:1018; Muntoni, Pagnani, Weigt, Zamponi 2021,
BMC Bioinformatics 22:528 (adabmDCA). Maximised is the regularised log likelihood

    sum_n w_n log P(x_n) - lambda_J sum_{i<j} ||J_ij||^2,

whose gradient by J_ij is Neff (f_ij - p_ij) - 2 lambda_J J_ij, with f of the data (and one pseudo-sequence
spread evenly, share 1 / (Neff + 1)) and p of persistent Gibbs chains. lambda_J is half of the
pseudolikelihood's, which counts each pair in two conditional probabilities: relative to what the data say,
couplings then cost the same in both. Where the alignment is shallow, that penalty would keep the model from
the data's correlations; 2 lambda_J / Neff is at most `BoltzmannSettings.largest_pull`, and instead the share
min(shrinkage, 150 / Neff) of each connected correlation f_ij - f_i f_j is taken for noise and left out.

Deviations from adabmDCA:

- It starts from the pseudolikelihood's model, not from independent sites.
- p is estimated by conditional expectations (`dca.chains`), with less noise than counts of as many chains.
- Fields are centred, as in `dca.pseudolikelihood`, and each step is divided by the curvature's diagonal at
  independent sites, f_i (1 - f_i) f_j (1 - f_j) and the penalty's; the rate falls as 1 / (1 + epoch / 10)
  (Robbins, Monro 1951, Ann Math Stat 22:400). At a high or constant rate the chains are driven by the changes
  of the model and show correlations that it does not have in equilibrium.
- For that reason the target counts only where chains from fresh random starts reach it, too, and a model
  that these show to be out of equilibrium does not take the place of an earlier one.
"""

import logging
from dataclasses import dataclass

import numpy as np

from dca import kernels
from dca.accelerate import folded, in_parallel, jit
from dca.chains import Chains, Expectations, Mixing, mixing, random_states
from dca.couplings import Couplings
from dca.frequencies import pair_frequencies, site_frequencies
from dca.gauge import mean_energies
from dca.mean_field import with_pseudocount
from dca.pseudolikelihood import PlmSettings, pseudolikelihood

log = logging.getLogger(__name__)

_FIRST_CHECK = 10  # epochs before the chains are first compared with fresh ones
_COOLING = 10.0  # epochs after which the rate has halved
_NOISE_ROWS = 150.0  # effective sequences whose correlations are taken for noise
_LOOKS = 4  # at fresh chains, whose noise would else be taken for disagreement
_NEAR = 0.02  # fresh chains are asked when the persistent ones, with the noise of one look, are so near
_SLACK = 0.02  # a later model may have so much less Pearson correlation: the penalty moves it, too


@dataclass(frozen=True)
class BoltzmannSettings:
    """What Boltzmann machine learning depends on.

    Attributes
    ----------
    target : float
        Pearson correlation of the connected two-site correlations of data and chains at which to stop.
    max_epochs : int
        Steps at most; reaching it without the target is logged as a warning.
    coupling_penalty : float
        lambda_J / (L - 1).
    largest_pull : float
        2 lambda_J / Neff is no larger, whatever `coupling_penalty` says.
    shrinkage : float
        Largest share of the data's connected correlations that is left out.
    chains : int
        M, at least 2.
    sweeps : int
        Updates of every site between two steps.
    rate : float
        First step in units of the gradient over the variances.
    equilibration : int
        Fresh chains run so many sweeps, and as many again, before they are looked at.
    letters : int
        q, at most 24.
    """

    target: float = 0.95
    max_epochs: int = 400
    coupling_penalty: float = 0.1
    largest_pull: float = 0.01
    shrinkage: float = 0.5
    chains: int = 2000
    sweeps: int = 4
    rate: float = 0.01
    equilibration: int = 64
    letters: int = 21

    def __post_init__(self) -> None:
        for name in ("max_epochs", "chains", "sweeps", "rate", "equilibration"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 < self.target < 1:
            raise ValueError(f"target must lie in (0, 1), got {self.target}")
        if self.chains < 2:
            raise ValueError(f"chains must be at least 2, got {self.chains}")
        for name in ("coupling_penalty", "largest_pull"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 0 <= self.shrinkage < 1:
            raise ValueError(f"shrinkage must lie in [0, 1), got {self.shrinkage}")
        if not 2 <= self.letters <= kernels.WIDTH:
            raise ValueError(f"letters must lie between 2 and {kernels.WIDTH}, got {self.letters}")


@dataclass(frozen=True)
class BoltzmannFit:
    """A fitted model, and how far it can be trusted.

    Attributes
    ----------
    couplings : Couplings
    pearson : float
        Correlation of the connected two-site correlations f_ij(a, b) - f_i(a) f_j(b), over all pairs and
        letters, of the data and of chains from fresh random starts.
    slope : float
        Of the regression of the chains' correlations on the data's; below 1 where the penalty holds them.
    persistent : float
        The same Pearson correlation for the persistent chains; far above ``pearson``, it says that they were
        not in equilibrium. NaN if no epoch stands behind the couplings.
    epochs : int
        Steps behind the couplings; 0 is the pseudolikelihood's model.
    reached : bool
        Whether ``pearson`` is at the target.
    mixing : Mixing
        Of the fresh chains, after the settings' equilibration and as many sweeps again.
    history : float64 [epochs run]
        The persistent chains' Pearson correlation before each step; longer than `epochs` where later models
        were worse for fresh chains.
    """

    couplings: Couplings
    pearson: float
    slope: float
    persistent: float
    epochs: int
    reached: bool
    mixing: Mixing
    history: np.ndarray


def boltzmann(
    tokens: np.ndarray,
    weights: np.ndarray,
    settings: BoltzmannSettings | None = None,
    rng: np.random.Generator | None = None,
) -> Couplings:
    """The model of `fit_boltzmann`; how well it fits is logged."""
    return fit_boltzmann(tokens, weights, settings, rng).couplings


def fit_boltzmann(
    tokens: np.ndarray,
    weights: np.ndarray,
    settings: BoltzmannSettings | None = None,
    rng: np.random.Generator | None = None,
) -> BoltzmannFit:
    """Fit a Potts model by Boltzmann machine learning.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0 .. letters - 1, at least two columns.
    weights : float32 [N]
        Sequence weights.
    settings : BoltzmannSettings, optional
    rng : numpy.random.Generator, optional
        Of the chains; the same seed gives the same couplings to the bit. Default: seed 0.

    Returns
    -------
    BoltzmannFit
        Couplings stand in the gauge that the penalty chooses, close to zero-sum.

    Raises
    ------
    ValueError
        No sequence, fewer than two columns, or a code outside the alphabet.
    """
    settings = settings or BoltzmannSettings()
    training = _Training(tokens, weights, settings, rng or np.random.default_rng(0))
    history: list[float] = []
    best = training.restart()
    reached, due = best.pearson >= settings.target, _FIRST_CHECK
    while not reached and training.epoch < settings.max_epochs:
        history.append(training.step())
        log.debug("epoch %d: Pearson %.4f", training.epoch, history[-1])
        last = training.epoch == settings.max_epochs
        if last or (training.epoch >= due and history[-1] >= settings.target - _NEAR):
            fresh = training.restart()
            reached = fresh.pearson >= settings.target
            best = fresh if fresh.pearson > best.pearson - _SLACK else best
            del fresh  # the next one needs the room of its model
            due = training.epoch + max(_FIRST_CHECK, training.epoch // 2)
    return _report(best, np.array(history), settings)


@dataclass(frozen=True)
class _Check:
    """A model, its epoch, and what chains from fresh random starts say of it."""

    model: Couplings
    epoch: int
    pearson: float
    slope: float
    mixing: Mixing


def _report(best: _Check, history: np.ndarray, settings: BoltzmannSettings) -> BoltzmannFit:
    """The record of a fit; what is wrong with it is logged as a warning."""
    persistent = float(history[best.epoch - 1]) if best.epoch else float("nan")
    reached = best.pearson >= settings.target
    log.info("boltzmann: %d epochs, Pearson %.3f, slope %.3f", history.size, best.pearson, best.slope)
    if not reached:
        log.warning(
            "boltzmann stopped after %d epochs at a Pearson correlation of %.3f (%.3f for its persistent "
            "chains, epoch %d), below the target of %g",
            *(history.size, best.pearson, persistent, best.epoch, settings.target),
        )
    if not best.mixing.mixed:
        log.warning(
            "the chains are not mixed: overlap %.3f with the own state %d sweeps ago, %.3f with other chains",
            *(best.mixing.own, best.mixing.lag, best.mixing.independent),
        )
    scores = best.pearson, best.slope, persistent
    return BoltzmannFit(best.model, *scores, best.epoch, reached, best.mixing, history)


class _Training:
    """Statistics of the data, the model in centred coordinates, and the chains that follow it."""

    def __init__(
        self,
        tokens: np.ndarray,
        weights: np.ndarray,
        settings: BoltzmannSettings,
        rng: np.random.Generator,
    ):
        q = settings.letters
        penalty = 2 * settings.coupling_penalty or PlmSettings.coupling_penalty
        model = pseudolikelihood(tokens, weights, PlmSettings(coupling_penalty=penalty, letters=q))
        neff = float(weights.sum(dtype=np.float64))
        self._sites, self._pairs = with_pseudocount(
            site_frequencies(tokens, weights, q), pair_frequencies(tokens, weights, q), 1 / (neff + 1)
        )
        _shrink(self._pairs, self._sites, min(settings.shrinkage, _NOISE_ROWS / neff))
        self._single = self._sites.astype(np.float32)
        self._spread = self._sites * (1 - self._sites)
        self._neff = neff
        self._pull = min(2 * settings.coupling_penalty * (model.length - 1) / neff, settings.largest_pull)
        self._settings, self._rng = settings, rng
        self.epoch = 0
        self._couplings = model.couplings
        self._fields = model.fields + self._shift()
        self._chains = Chains(settings.chains, model.length, q)
        self._chains.follow(self.model)

    @property
    def model(self) -> Couplings:
        """The model in plain coordinates: h_i = h'_i - sum_j J_ij f_j."""
        return Couplings((self._fields - self._shift()).astype(np.float32), self._couplings)

    def _shift(self) -> np.ndarray:
        """sum_j J_ij f_j [L, q]."""
        return mean_energies(self._couplings, self._single)

    def restart(self) -> _Check:
        """Put the chains at fresh random starts, let them equilibrate, and look at them."""
        lag = self._settings.equilibration
        self._chains.start(random_states(self._sites, self._settings.chains, self._rng), self._rng)
        self._chains.sweep(lag)
        earlier = self._chains.states()
        self._chains.sweep(lag)
        found = mixing(earlier, self._chains.states(), lag)
        model = Couplings(self.model.fields, self._couplings.copy())
        seen = self._chains.expectations(_LOOKS, max(1, lag // _LOOKS))
        return _Check(model, self.epoch, *self._agreement(seen), found)

    def step(self) -> float:
        """One epoch; the Pearson correlation before its step."""
        self._chains.sweep(self._settings.sweeps)
        chains = self._chains.expectations()
        pearson, _ = self._agreement(chains)
        rate = self._settings.rate / (1 + self.epoch / _COOLING)
        arrays = self._single, self._pairs, chains.conditional, chains.counted, chains.joint
        floor = max(self._pull, 0.5 / self._neff)
        in_parallel(
            _climb, self._sites.shape[0], *arrays, self._spread, rate, self._pull, floor, self._couplings
        )
        self._fields += rate * (self._sites - chains.conditional) / (self._spread + 1 / self._neff)
        self._chains.follow(self.model)
        self.epoch += 1
        return pearson

    def _agreement(self, chains: Expectations) -> tuple[float, float]:
        """Pearson correlation and slope of the connected correlations of chains over those of the data."""
        sums = np.zeros((self._sites.shape[0], 5))
        in_parallel(
            _moments,
            len(sums),
            self._single,
            self._pairs,
            chains.conditional,
            chains.counted,
            chains.joint,
            sums,
        )
        x, y, xx, yy, xy = sums.sum(axis=0) / self._pairs.size
        covariance, of_data, of_chains = xy - x * y, xx - x * x, yy - y * y
        tiny = np.finfo(float).tiny
        return float(covariance / np.sqrt(of_data * of_chains + tiny)), float(covariance / (of_data + tiny))


def _shrink(pairs: np.ndarray, sites: np.ndarray, share: float) -> None:
    """Take a share of every connected correlation away, in place: f_ij -= share (f_ij - f_i f_j)."""
    place = 0
    for i in range(len(sites) - 1):
        row = pairs[place : place + len(sites) - 1 - i]
        row -= share * (row - sites[i][:, None] * sites[i + 1 :, None, :])
        place += len(row)


@jit
def _correlation(
    conditional: np.ndarray, counted: np.ndarray, joint: np.ndarray, i: int, j: int, a: int, b: int
) -> float:
    """Covariance of [x_i = a] and [x_j = b] over the chains, from P_i(a) and from P_j(b) half and half."""
    one = joint[i, j, b, a] - conditional[i, a] * counted[j, b]
    two = joint[j, i, a, b] - counted[i, a] * conditional[j, b]
    return np.float32(0.5) * (one + two)


@jit(fastmath=True)
def _moments(
    lo: int,
    hi: int,
    sites: np.ndarray,
    pairs: np.ndarray,
    conditional: np.ndarray,
    counted: np.ndarray,
    joint: np.ndarray,
    sums: np.ndarray,
) -> None:
    """sums[i] = (x, y, x^2, y^2, x y) over the pairs i < j, x a correlation of the data, y of the chains."""
    length, q = sites.shape
    for k in range(lo, hi):
        i = folded(k, length)
        x_sum, y_sum, xx, yy, xy = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for a in range(q):
                for b in range(q):
                    x = pairs[p, a, b] - sites[i, a] * sites[j, b]
                    y = _correlation(conditional, counted, joint, i, j, a, b)
                    x_sum += x
                    y_sum += y
                    xx += x * x
                    yy += y * y
                    xy += x * y
        sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3], sums[i, 4] = x_sum, y_sum, xx, yy, xy


@jit(fastmath=True)
def _climb(
    lo: int,
    hi: int,
    sites: np.ndarray,
    pairs: np.ndarray,
    conditional: np.ndarray,
    counted: np.ndarray,
    joint: np.ndarray,
    spread: np.ndarray,
    rate: float,
    pull: float,
    floor: float,
    couplings: np.ndarray,
) -> None:
    """couplings += rate G / D, G the gradient over Neff in centred coordinates, D = s_i(a) s_j(b) + floor.

    With fields centred, G_ij = f_ij - p_ij - (f_i - p_i) f_j - f_i (f_j - p_j) - pull J_ij, which is the
    difference of the connected correlations but for the product of both sites' errors.
    """
    length, q = sites.shape
    for k in range(lo, hi):
        i = folded(k, length)
        for j in range(i + 1, length):
            p = i * length - i * (i + 1) // 2 + j - i - 1
            for a in range(q):
                error = conditional[i, a] - sites[i, a]
                for b in range(q):
                    slope = pairs[p, a, b] - sites[i, a] * sites[j, b] - np.float32(pull) * couplings[p, a, b]
                    slope -= _correlation(conditional, counted, joint, i, j, a, b)
                    slope -= error * (conditional[j, b] - sites[j, b])
                    diagonal = np.float32(spread[i, a] * spread[j, b] + floor)
                    couplings[p, a, b] += np.float32(rate) * slope / diagonal
