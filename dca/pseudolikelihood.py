"""Pseudolikelihood maximisation with symmetric couplings (plmDCA; Ekeberg et al. 2013, Phys Rev E 87:012707).

Minimised is sum_n w_n sum_i -log P(x_ni | x_n,-i) + lambda_J sum_{i<j} ||J_ij||^2 + lambda_h sum_i ||h_i||^2,
with the penalties of CCMpred and GREMLIN. The gap is a letter like any other.

How it is minimised: preconditioned nonlinear conjugate gradients (Polak and Ribiere, restarted where the
memory turns negative). What makes three to some fifteen gradients enough:

- Fields are centred: the variables are J and h'_i = h_i + sum_j J_ij f_j, with f the frequencies. Without
  it every coupling of a site competes with its field, which is the stiffest direction of all.
- Each step is one gradient at a trial point. The objective is convex and close to quadratic along a line,
  so the minimum along the line and the gradient in it are interpolated between start and trial.
- The preconditioner is the curvature of each pair at independent sites (`dca.descent`).
- The first gradient, at zero couplings, is the covariance of the letters and costs next to nothing.

Tried and left: to start from the ridge couplings, which saved little more than their inverse costs.

The objective itself is never computed: in float32 its changes drown in its size.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dca import descent, kernels
from dca.accelerate import beside, get_threads, in_parallel
from dca.couplings import Couplings
from dca.frequencies import pair_frequencies, site_frequencies
from dca.gauge import mean_energies, zero_sum
from dca.words import Words, shared_words

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlmSettings:
    """What the pseudolikelihood depends on.

    Attributes
    ----------
    coupling_penalty : float
        lambda_J / (L - 1); each pair counts once, without a half.
    field_penalty : float
        lambda_h.
    tolerance : float
        Stop when ||g||_{1/M} < tolerance ||J||_M: the relative error of the couplings that the gradient g
        and the curvature M of independent sites let expect. With the default,
        maps are as precise as converged ones and correlate with them above 0.99 (`docs/results-dca.md`).
    max_iterations : int
        Gradients at most; reaching it is logged as a warning.
    letters : int
        q, at most 24.
    """

    coupling_penalty: float = 0.2
    field_penalty: float = 0.01
    tolerance: float = 0.05
    max_iterations: int = 100
    letters: int = 21

    def __post_init__(self) -> None:
        for name in ("coupling_penalty", "field_penalty", "tolerance", "max_iterations"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 2 <= self.letters <= kernels.WIDTH:
            raise ValueError(f"letters must lie between 2 and {kernels.WIDTH}, got {self.letters}")


def pseudolikelihood(
    tokens: np.ndarray,
    weights: np.ndarray,
    settings: PlmSettings | None = None,
    start: Couplings | None = None,
) -> Couplings:
    """Fields and couplings that maximise the regularised pseudolikelihood.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0 .. letters - 1, at least two columns.
    weights : float32 [N]
        Sequence weights.
    settings : PlmSettings, optional
    start : Couplings, optional
        Where to start, for instance the couplings of nearly the same alignment, in any gauge.

    Returns
    -------
    Couplings
        In the gauge that the penalty chooses, close to zero-sum; `gauge.zero_sum` makes it exact.

    Raises
    ------
    ValueError
        No sequence, fewer than two columns, or a code outside the alphabet.
    """
    settings = settings or PlmSettings()
    check_alignment(tokens, weights, settings.letters)
    objective = _Objective(tokens, weights, settings)
    state = _independent_state(objective, tokens, weights) if start is None else _state_at(objective, start)
    descend(state, settings)
    return Couplings(objective.uncentred(state.fields, state.couplings), state.couplings)


def check_alignment(tokens: np.ndarray, weights: np.ndarray, letters: int) -> None:
    """Raise ValueError where shapes disagree or a code lies outside the alphabet."""
    if tokens.ndim != 2 or tokens.shape[0] < 1 or tokens.shape[1] < 2:
        raise ValueError(f"tokens must be [N >= 1, L >= 2], got shape {tokens.shape}")
    if weights.shape != tokens.shape[:1]:
        raise ValueError(f"weights have shape {weights.shape}, expected {tokens.shape[:1]}")
    if tokens.min() < 0 or tokens.max() >= letters:
        raise ValueError(f"codes must lie in 0 .. {letters - 1}, got {tokens.min()} .. {tokens.max()}")


def descend(state: Any, settings: PlmSettings) -> None:
    """Step until the tolerance is reached, here or on a device; not to reach it is logged as a warning."""
    for iteration in range(settings.max_iterations):
        with np.errstate(all="ignore"):  # what is no number is told below
            error = state.step()
        log.debug("iteration %d: expected relative error %.4f", iteration + 1, error)
        require_number(error)
        if error < settings.tolerance:
            with np.errstate(all="ignore"):
                state.coast()
            log.info("pseudolikelihood: %d gradients", state.objective.gradients)
            break
    else:
        log.warning("pseudolikelihood stopped after %d iterations, error %.3f", iteration + 1, error)


def require_number(error: float) -> None:
    """Raise RuntimeError where a minimiser's expected error is none."""
    if math.isnan(error):
        raise RuntimeError(
            "pseudolikelihood leaves the range of single precision: choose penalties nearer to the defaults"
        )


def independent_fields(frequencies: np.ndarray, neff: float) -> np.ndarray:
    """Log frequencies with a pseudocount of one sequence, mean zero: almost the best without couplings."""
    fields = np.log((frequencies * neff + 1 / frequencies.shape[1]) / (neff + 1))
    return fields - fields.mean(axis=1, keepdims=True)


class _Objective:
    """The alignment as the kernels read it, and the gradient at any point of a line."""

    def __init__(self, tokens: np.ndarray, weights: np.ndarray, settings: PlmSettings):
        length, q = tokens.shape[1], settings.letters
        self.columns = np.ascontiguousarray(tokens.T)
        self.weights = np.require(weights, np.float32, ["C", "W"])
        self._words = beside(lambda: shared_words(self.columns.T, q))
        self.neff = float(weights.sum(dtype=np.float64))
        self.frequencies = site_frequencies(tokens, weights, q)
        self.coupling_penalty = settings.coupling_penalty * (length - 1)
        self.field_penalty = settings.field_penalty
        self.gradients = 0
        self.curvature = self.frequencies.astype(np.float32), 2 * self.neff, 2 * self.coupling_penalty
        self._single = self.frequencies.astype(np.float32)
        self._by_field = np.empty((length, q))

    @property
    def words(self) -> Words:
        """The alignment as shared words, which are made while frequencies are counted."""
        return self._words()

    def gradient(
        self, fields: np.ndarray, couplings: np.ndarray, direction: np.ndarray, step: float, out: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Gradient at centred fields and couplings + step direction, and its slope along the direction.

        `out` takes the gradient by the couplings; that by the fields is returned.
        """
        self.gradients += 1
        length, q = fields.shape
        single = fields.astype(np.float32)
        arguments = self._single, single, couplings, direction, step
        plain = np.empty((length, q), dtype=np.float32)
        arrays = self.columns, self.weights, self.words, *arguments
        marks = np.zeros(len(couplings) if get_threads() > 1 else 0, dtype=np.int32)
        in_parallel(kernels._all_sites, length, *arrays, plain, self._by_field, out, marks)
        by_field = self._by_field + 2 * self.field_penalty * plain
        slopes = np.empty(length)
        in_parallel(
            kernels._merge_sites,
            length,
            by_field.astype(np.float32),
            self._single,
            self.coupling_penalty,
            couplings,
            direction,
            step,
            out,
            slopes,
        )
        return by_field, slopes.sum()

    def uncentred(self, fields: np.ndarray, couplings: np.ndarray) -> np.ndarray:
        """h_i = h'_i - sum_j J_ij f_j."""
        return (fields - mean_energies(couplings, self._single)).astype(np.float32)

    def centred(self, model: Couplings) -> np.ndarray:
        """h'_i = h_i + sum_j J_ij f_j."""
        return model.fields + mean_energies(model.couplings, self._single)


class _State:
    """A point, its gradient and the direction of search; `step` is one iteration."""

    FIRST_STEP = 0.3

    def __init__(
        self,
        objective: _Objective,
        fields: np.ndarray,
        couplings: np.ndarray,
        by_field: np.ndarray,
        gradient: np.ndarray,
    ):
        self.objective = objective
        self.fields, self.couplings = fields, couplings
        self.by_field, self.gradient = by_field, gradient
        *self._bases, self._field_steps = _bases(objective)
        self.direction = np.zeros_like(couplings)
        self.field_direction = np.zeros_like(fields)
        # Zeros, not what memory holds: the first step mixes in a share of 0 of it, and 0 NaN is NaN.
        self.trial = np.zeros_like(couplings)
        self._norm = self._advance(0.0, 0.0, by_field)[0]
        self._step = self.FIRST_STEP
        self._turn(0.0)

    def step(self) -> float:
        """Move to the interpolated minimum along the direction; the expected relative error there."""
        share, by_field = self._line_search()
        norm, change, size = self._advance(share * self._step, share, by_field)
        self._turn(max(0.0, change / self._norm) if self._norm > 0 else 0.0)
        self._norm = norm
        self._step *= (1 + share) / 2
        return float(np.sqrt(np.float64(norm) / size)) if norm != 0 else 0.0

    def coast(self) -> None:
        """Move on along the direction, which is paid for, as far as the searches so far let expect.

        To search how far is best would take one gradient more. No further than the preconditioner says: what
        searches went further for are fields whose curvature it overrates, at sites that hardly vary.
        """
        step = min(self._step, 1.0)
        self._follow(step)
        self.fields = self.fields + step * self.field_direction

    def _follow(self, step: float) -> None:
        """Move the couplings along the direction."""
        np.multiply(self.direction, np.float32(step), out=self.trial)  # done once: not worth a kernel
        self.couplings += self.trial

    def _line_search(self) -> tuple[float, np.ndarray]:
        """Where the slope vanishes, as a share of the trial step, and the trial's gradient by the fields.

        A minimum far from the trial is not trusted: the next trial is made there.
        """
        for _ in range(6):
            fields = self.fields + self._step * self.field_direction
            by_field, slope = self.objective.gradient(
                fields, self.couplings, self.direction, self._step, self.trial
            )
            slope += float((self.field_direction * by_field).sum())
            share = self._slope / (self._slope - slope) if slope > self._slope else 4.0
            if 0.4 < share < 2.5:
                break
            self._step *= min(max(share, 0.05), 4.0)
        return min(share, 4.0), by_field

    def _advance(self, step: float, share: float, by_field: np.ndarray) -> tuple[float, float, float]:
        """Move, interpolate and precondition the gradient, which `trial` then holds."""
        sums = np.empty((self.fields.shape[0], 3))
        arrays = self.couplings, self.direction, self.gradient, self.trial
        in_parallel(
            descent._advance, len(sums), *arrays, step, share, *self.objective.curvature, *self._bases, sums
        )
        norm, change, size = sums.sum(axis=0)
        delta = share * (by_field - self.by_field)
        self.by_field = self.by_field + delta
        self.fields = self.fields + step * self.field_direction
        self._by_field_down = np.einsum("iab,ib->ia", self._field_steps, self.by_field)
        norm += (self.by_field * self._by_field_down).sum()
        change += (delta * self._by_field_down).sum()
        return norm, change, size

    def _turn(self, memory: float) -> None:
        """The next direction of search, downhill: memory is dropped where it leads uphill."""
        for share in (memory, 0.0):
            slopes = np.empty(self.fields.shape[0])
            arrays = self.direction, self.gradient, self.trial
            in_parallel(descent._turn, len(slopes), *arrays, share, slopes)
            self.field_direction = share * self.field_direction - self._by_field_down
            self._slope = slopes.sum() + float((self.field_direction * self.by_field).sum())
            if self._slope < 0:
                break


def _bases(objective: _Objective) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of every site: covariance's eigenvalues, eigenvectors, their transpose; the fields' preconditioner."""
    f = objective.frequencies
    length, q = f.shape
    spread = np.eye(q) * f[:, :, None] - f[:, :, None] * f[:, None, :]
    values, vectors = np.linalg.eigh(spread)
    modes = np.maximum(values, 0.0)
    bases = np.zeros((2, length, kernels.WIDTH, kernels.WIDTH), dtype=np.float32)
    bases[0, :, :q, :q] = vectors
    bases[1, :, :q, :q] = vectors.swapaxes(1, 2)
    down = objective.neff * modes + 1 + 2 * objective.field_penalty
    flat = bases.reshape(2, length, -1)
    return modes.astype(np.float32), flat[0], flat[1], (vectors / down[:, None, :]) @ vectors.swapaxes(1, 2)


def _independent_state(objective: _Objective, tokens: np.ndarray, weights: np.ndarray) -> _State:
    """No couplings, and fields of log frequencies with a pseudocount of one sequence."""
    neff, q = objective.neff, objective.frequencies.shape[1]
    fields = independent_fields(objective.frequencies, neff)
    probabilities = np.exp(fields) / np.exp(fields).sum(axis=1, keepdims=True)
    pulls = 2 * objective.field_penalty * fields
    by_field = neff * (probabilities - objective.frequencies) + pulls
    gradient = pair_frequencies(tokens, weights, q)
    if len(weights) > kernels.MOST_AT_ONCE:
        _ = objective.words  # waited for: what those of deep alignments are made of goes before more is held
    frequencies = objective.frequencies.astype(np.float32)
    pulls = pulls.astype(np.float32)
    in_parallel(descent._independent_gradient, len(frequencies), gradient, frequencies, pulls, neff)
    return _State(objective, fields, np.zeros_like(gradient), by_field, gradient)


def _state_at(objective: _Objective, start: Couplings) -> _State:
    """The given model in the gauge that the penalty wants: in any other its energies may be out of reach."""
    start = zero_sum(start)
    fields, couplings = objective.centred(start), start.couplings
    fields -= fields.mean(axis=1, keepdims=True)
    gradient = np.empty_like(couplings)
    by_field, _ = objective.gradient(fields, couplings, couplings, 0.0, gradient)  # no step: any direction
    return _State(objective, fields, couplings, by_field, gradient)
