"""Pseudolikelihood DCA on a GPU: the model and the minimiser of `dca.pseudolikelihood`, in torch.

It has run on one GPU (an H100, docs/results-dca.md), where its test marked ``gpu`` passed; the other tests
run on torch's CPU device, where its maps equal those of the compiled kernels.

How it is laid out for a device of many cores:

- X is the one-hot alignment [N, L q], J a dense symmetric matrix [L q, L q] whose diagonal blocks are zero.
  Energies are X J + h, and with residuals R = w (P - X) the gradient is X^T R + (X^T R)^T: two dense
  products per gradient, 4 N (L q)^2 floating-point operations (1.4e12 for N = 20,000, L = 200). That is q
  times what the compiled kernels do, in the form that such a device is built for.
- X is never stored: batches of sequences are expanded from their letters, as many as fit `BUDGET` bytes.
- Products are in float32, TF32 switched off: maps differ from those of the compiled kernels by rounding.
- Memory: five matrices [L q, L q] in float32 (couplings, direction, two gradients, sums), `BUDGET` bytes of
  batch or band, the alignment as int8: 1.4 GB at L = 200, 3.4 at 500, 10 at 1,000; see `memory_needed`.
- Results are meant to repeat to the bit on one device: no sum uses atomic additions, and batches depend on
  the alignment's shape alone, never on how much memory is free.

torch is imported when `pseudolikelihood_on_device` is called, not before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dca import pseudolikelihood
from dca.couplings import Couplings
from dca.frequencies import site_frequencies
from dca.pseudolikelihood import PlmSettings, check_alignment, descend

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

BUDGET = 2**30  # bytes for one batch; a constant, since sums depend on the batches in their last bits
MATRICES = 5
_FLOAT = 4  # bytes
_BATCH_ARRAYS = 3  # one-hot letters, energies and residuals of a batch
_BAND_ARRAYS = 6  # temporaries of work on a band of rows of a matrix
_BASES = 3  # eigenvectors in float32 and the fields' preconditioner in float64, [L, q, q]
_PRODUCT_SPACE = 2**26  # bytes that the library of matrix products takes for itself


def pseudolikelihood_on_device(
    tokens: np.ndarray, weights: np.ndarray, settings: PlmSettings | None = None, device: str = "cuda"
) -> Couplings:
    """Fields and couplings that maximise the regularised pseudolikelihood, computed by torch.

    Objective, penalties, minimiser and stop are those of `dca.pseudolikelihood` (Ekeberg et al. 2013, Phys
    Rev E 87:012707), so that maps agree to rounding.

    Parameters
    ----------
    tokens : int8 [N, L]
        Codes 0 .. letters - 1, at least two columns.
    weights : float32 [N]
        Sequence weights.
    settings : PlmSettings, optional
    device : str
        ``cuda``, ``cuda:1``, ... or ``cpu``, which is there for tests: the compiled kernels are faster.

    Returns
    -------
    Couplings
        In the gauge that the penalty chooses, close to zero-sum; `gauge.zero_sum` makes it exact.

    Raises
    ------
    ValueError
        No sequence, fewer than two columns, a code outside the alphabet, or another kind of device.
    RuntimeError
        torch is missing, sees no such device, or the device has too little memory. Nothing falls back
        to the CPU by itself.
    """
    settings = settings or PlmSettings()
    check_alignment(tokens, weights, settings.letters)
    place = _find_device(device)
    import torch

    needed = memory_needed(tokens.shape[0], tokens.shape[1], settings.letters)
    free = _free_memory(place)
    if free is None or needed <= free:
        try:
            with torch.inference_mode(), full_precision():
                return _minimise(tokens, weights, settings, place)
        except torch.OutOfMemoryError:
            free = _free_memory(place)
    # Raised here and not above: an exception in flight would hold the failed attempt's memory.
    raise RuntimeError(_too_large(tokens.shape, place, needed, free))


def memory_needed(rows: int, length: int, letters: int = 21) -> int:
    """Bytes of device memory for `rows` sequences of `length` columns."""
    size = length * letters
    batch = _BATCH_ARRAYS * _FLOAT * size * _batch_rows(rows, size)
    band = _BAND_ARRAYS * _FLOAT * size * _band_rows(length, letters)
    alignment = rows * (length + _FLOAT)
    bases = _BASES * _FLOAT * size * letters
    return MATRICES * _FLOAT * size**2 + max(batch, band) + alignment + bases + _PRODUCT_SPACE


def _batch_rows(rows: int, size: int) -> int:
    return min(rows, max(1, BUDGET // (_BATCH_ARRAYS * _FLOAT * size)))


def _band_rows(length: int, letters: int) -> int:
    """Rows of a matrix in one band: those of whole sites."""
    site = _BAND_ARRAYS * _FLOAT * length * letters**2
    return letters * min(length, max(1, BUDGET // site))


def _find_device(name: str) -> torch.device:
    try:
        import torch
    except ImportError as error:
        raise RuntimeError("pseudolikelihood on a device needs torch; remedy: make setup") from error
    place = torch.device(name)
    if place.type not in ("cuda", "cpu"):
        raise ValueError(f"device must be cuda, cuda:N or cpu, got {name!r}")
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if place.type == "cuda" and (place.index or 0) >= seen:
        raise RuntimeError(
            f"device {name!r} was asked for, but torch {torch.__version__} sees {seen} CUDA devices; remedy: "
            "check that nvidia-smi lists the GPU, install torch for it with COVARION_TORCH=cuda make setup, "
            "or use the CPU kernels (dca.pseudolikelihood)"
        )
    return place


def _free_memory(place: torch.device) -> int | None:
    """Bytes that torch can still take on a GPU, those it keeps in reserve included; None on the CPU."""
    import torch

    if place.type != "cuda":
        return None
    reserve = torch.cuda.memory_reserved(place) - torch.cuda.memory_allocated(place)
    return torch.cuda.mem_get_info(place)[0] + reserve


def _too_large(shape: tuple[int, ...], place: torch.device, needed: int, free: int | None) -> str:
    there = "an unknown amount is" if free is None else f"{free / 1e9:.1f} GB are"
    return (
        f"pseudolikelihood of {shape[0]} sequences and {shape[1]} columns needs {needed / 1e9:.1f} GB on "
        f"{place}, {there} free; remedy: a device with more memory or with nothing else on it, fewer "
        "columns (memory grows with their square), or the CPU kernels (dca.pseudolikelihood)"
    )


@contextmanager
def full_precision() -> Iterator[None]:
    """Products in whole float32 whatever the process has chosen, and its choice back afterwards."""
    import torch

    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


def _minimise(
    tokens: np.ndarray, weights: np.ndarray, settings: PlmSettings, place: torch.device
) -> Couplings:
    objective = _Objective(tokens, weights, settings, place)
    state = _State(objective)
    descend(state, settings)
    fields = objective.uncentred(state.fields, state.couplings).float().cpu().numpy()
    length = tokens.shape[1]
    return Couplings(fields.reshape(length, -1), _packed(state.couplings, length))


def _packed(matrix: torch.Tensor, length: int) -> np.ndarray:
    """Blocks i < j [P, q, q] of a matrix [L q, L q], copied site by site: the device needs no second copy."""
    q = matrix.shape[0] // length
    blocks = matrix.view(length, q, length, q)
    packed = np.empty((length * (length - 1) // 2, q, q), dtype=np.float32)
    start = 0
    for i in range(length - 1):
        stop = start + length - 1 - i
        packed[start:stop] = blocks[i, :, i + 1 :].permute(1, 0, 2).cpu().numpy()
        start = stop
    return packed


class _Objective:
    """The alignment on the device, and the gradient at any point of a line.

    Fields are float64 [L q] on the device, matrices float32 [L q, L q], bit for bit symmetric.
    """

    def __init__(self, tokens: np.ndarray, weights: np.ndarray, settings: PlmSettings, place: torch.device):
        import torch

        rows, self.length = tokens.shape
        self.letters = settings.letters
        self.size = self.length * self.letters
        self.neff = float(weights.sum(dtype=np.float64))
        self.coupling_penalty = settings.coupling_penalty * (self.length - 1)
        self.field_penalty = settings.field_penalty
        self.gradients = 0
        self.frequencies = torch.from_numpy(site_frequencies(tokens, weights, self.letters).ravel()).to(place)
        self._single = self.frequencies.float()
        self._tokens = torch.tensor(np.ascontiguousarray(tokens), dtype=torch.int8, device=place)
        self._weights = torch.tensor(weights.copy(), dtype=torch.float32, device=place)[:, None, None]
        self._alphabet = torch.arange(self.letters, dtype=torch.int8, device=place)
        self._sums = self.matrix()
        self._batch = _batch_rows(rows, self.size)
        self._band = _band_rows(self.length, self.letters)

    def matrix(self) -> torch.Tensor:
        """A new matrix [L q, L q] of zeros."""
        return self._single.new_zeros((self.size, self.size))

    def bands(self) -> Iterator[slice]:
        """Rows of a matrix in bands of whole sites, for work whose temporaries stay within `BUDGET`."""
        for start in range(0, self.size, self._band):
            yield slice(start, min(start + self._band, self.size))

    def _batches(self) -> Iterator[slice]:
        for start in range(0, self._tokens.shape[0], self._batch):
            yield slice(start, start + self._batch)

    def product(self, one: torch.Tensor, two: torch.Tensor) -> float:
        """Scalar product over the pairs i < j: half of that of the symmetric matrices."""
        total = self.frequencies.new_zeros(())
        for rows in self.bands():
            total += (one[rows] * two[rows]).sum(dtype=total.dtype)
        return total.item() / 2

    def uncentred(self, fields: torch.Tensor, couplings: torch.Tensor) -> torch.Tensor:
        """h_i = h'_i - sum_j J_ij f_j."""
        return fields - couplings.mv(self._single)

    def gradient(
        self,
        fields: torch.Tensor,
        couplings: torch.Tensor,
        direction: torch.Tensor,
        step: float,
        out: torch.Tensor,
    ) -> tuple[torch.Tensor, float]:
        """Gradient at centred fields and couplings + step direction, and its slope along the direction.

        `out` takes the gradient by the couplings; that by the fields is returned.
        """
        self.gradients += 1
        out.copy_(direction).mul_(step).add_(couplings)
        plain = self.uncentred(fields, out)
        by_field = 2 * self.field_penalty * plain
        self._sums.zero_()
        for rows in self._batches():
            by_field += self._add_batch(rows, plain.float(), out)
        self._merge(by_field.float(), out)
        return by_field, self.product(direction, out)

    def independent_gradient(self, pulls: torch.Tensor, out: torch.Tensor) -> None:
        """Into `out`, which holds zeros: -2 Neff times the covariance, and what the fields' penalty pulls."""
        self._sums.zero_()
        for rows in self._batches():
            onehot = self._letters(rows).view(-1, self.size)
            self._sums.addmm_(onehot.T, onehot * self._weights[rows, 0], alpha=-1)
            del onehot  # room for the next batch
        self._merge((pulls - self.neff * self.frequencies).float(), out)

    def _letters(self, rows: slice) -> torch.Tensor:
        """One-hot letters [n, L, q] of some sequences."""
        return (self._tokens[rows].unsqueeze(2) == self._alphabet).float()

    def _add_batch(self, rows: slice, fields: torch.Tensor, couplings: torch.Tensor) -> torch.Tensor:
        """Add X^T R of some sequences to the sums, R = w (P - X); the sum of R is returned."""
        letters = self._letters(rows)
        onehot = letters.view(-1, self.size)
        energies = fields.addmm(onehot, couplings)
        residuals = energies.view(letters.shape).softmax(2).sub_(letters).mul_(self._weights[rows])
        self._sums.addmm_(onehot.T, residuals.view(-1, self.size))
        return residuals.sum(0).double().view(-1)

    def _merge(self, by_field: torch.Tensor, out: torch.Tensor) -> None:
        """Turn couplings into their gradient: sums over both sites, penalty, fields centred."""
        for rows in self.bands():
            centring = by_field[rows].outer(self._single) + self._single[rows].outer(by_field)
            both = self._sums[rows] + self._sums[:, rows].T  # in this order a + b = b + a keeps symmetry
            out[rows].mul_(2 * self.coupling_penalty).add_(both).sub_(centring)
        blocks = out.view(self.length, self.letters, self.length, self.letters)
        blocks.diagonal(dim1=0, dim2=2).zero_()


_Steps: Any = pseudolikelihood._State  # Any, since its arrays are torch's here


class _State(_Steps):
    """A point, its gradient and the direction of search: iteration and line search are those of the CPU."""

    def __init__(self, objective: _Objective):
        self.objective = objective
        neff, q, frequencies = objective.neff, objective.letters, objective.frequencies
        probabilities = (frequencies * neff + 1 / q) / (neff + 1)  # a pseudocount of one sequence
        fields = probabilities.log().view(-1, q)
        self.fields = (fields - fields.mean(1, keepdim=True)).view(-1)
        self.field_direction = self.fields.new_zeros(self.fields.shape)
        pulls = 2 * objective.field_penalty * self.fields
        self.by_field = neff * (probabilities - frequencies) + pulls
        self.couplings, self.direction, self.gradient, self.trial = (objective.matrix() for _ in range(4))
        objective.independent_gradient(pulls, self.gradient)
        self._modes, self._bases, self._field_steps = _bases(objective)
        self._curvature, self._floor = 2 * neff, 2 * objective.coupling_penalty
        self._norm = self._advance(0.0, 0.0, self.by_field)[0]
        self._step = self.FIRST_STEP
        self._turn(0.0)

    def _follow(self, step: float) -> None:
        """Move the couplings along the direction."""
        self.couplings.add_(self.direction, alpha=step)

    def _advance(self, step: float, share: float, by_field: torch.Tensor) -> tuple[float, float, float]:
        """Move, interpolate the gradient to g', precondition it into `trial`; (g' z, (g' - g) z, J M J)."""
        sums = self.fields.new_zeros(3)
        for rows in self.objective.bands():
            self.couplings[rows].add_(self.direction[rows], alpha=step)
            delta = (self.trial[rows] - self.gradient[rows]).mul_(share)
            self.gradient[rows].add_(delta)
            self._precondition(rows)
            sums[0] += (self.gradient[rows] * self.trial[rows]).sum(dtype=sums.dtype) / 2
            sums[1] += delta.mul_(self.trial[rows]).sum(dtype=sums.dtype) / 2
            sums[2] += self._size(rows) / 2
        self._mirror()
        shift = share * (by_field - self.by_field)
        self.by_field = self.by_field + shift
        self.fields = self.fields + step * self.field_direction
        blocks = self.by_field.view(self.objective.length, -1, 1)
        self._by_field_down = self._field_steps.bmm(blocks).view(-1)
        sums[0] += self._by_field_down.dot(self.by_field)
        sums[1] += self._by_field_down.dot(shift)
        norm, change, size = sums.tolist()
        return norm, change, size

    def _precondition(self, rows: slice) -> None:
        """z, the inverse of M times the gradient, into `trial`: a division where D_i and D_j are diagonal."""
        length, q, size = self.objective.length, self.objective.letters, self.objective.size
        bases = self._bases[rows.start // q : rows.stop // q]
        work = bases.mT.bmm(self.gradient[rows].view(-1, q, size))
        work = work.view(-1, length, q).transpose(0, 1).bmm(self._bases)  # [L, rows, q]
        modes = self._modes.view(length, 1, q) * self._modes[rows].view(1, -1, 1)
        work /= modes.mul_(self._curvature).add_(self._floor)
        work = work.bmm(self._bases.mT).transpose(0, 1).reshape(-1, q, size)
        self.trial[rows].view(-1, q, size).baddbmm_(bases, work, beta=0)

    def _size(self, rows: slice) -> torch.Tensor:
        """J M J of a band: D_i J D_j is J centred over the letters of both sites, times f_i f_j."""
        length, q, size = self.objective.length, self.objective.letters, self.objective.size
        couplings, single = self.couplings[rows], self.objective.frequencies.float()
        means = single[rows].view(-1, 1, q).bmm(couplings.view(-1, q, size))
        centred = (couplings.view(-1, q, size) - means).view(-1, length, q)
        shifts = (centred * single.view(length, q)).sum(2, keepdim=True)
        spread = centred.sub_(shifts).square_().view(-1, size).mv(single).dot(single[rows])
        return self._curvature * spread + self._floor * couplings.square().sum(dtype=self.fields.dtype)

    def _mirror(self) -> None:
        """Copy z above the diagonal onto z below it: rotations round the two differently."""
        for rows in self.objective.bands():
            corner = self.trial[rows, rows]
            above = corner.triu(1)
            corner.copy_(above).add_(above.T)
            self.trial[rows.stop :, rows] = self.trial[rows, rows.stop :].T

    def _turn(self, memory: float) -> None:
        """The next direction of search, downhill: memory is dropped where it leads uphill."""
        for share in (memory, 0.0):
            for rows in self.objective.bands():
                self.direction[rows].mul_(share).sub_(self.trial[rows])
            self.field_direction = share * self.field_direction - self._by_field_down
            self._slope = self.objective.product(self.direction, self.gradient)
            self._slope += self.field_direction.dot(self.by_field).item()
            if self._slope < 0:
                break


def _bases(objective: _Objective) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eigenvalues [L q] and eigenvectors [L, q, q] of every D_i in float32, and the fields' preconditioner.

    Decomposed on the host, as for the compiled kernels: it is little work, and the same on every device.
    """
    f = objective.frequencies.view(objective.length, -1).cpu().numpy()
    spread = np.eye(objective.letters) * f[:, :, None] - f[:, :, None] * f[:, None, :]
    values, vectors = (objective.frequencies.new_tensor(x) for x in np.linalg.eigh(spread))
    modes = values.clamp(min=0)
    down = objective.neff * modes + 1 + 2 * objective.field_penalty
    return modes.float().view(-1), vectors.float(), (vectors / down.unsqueeze(1)) @ vectors.mT
