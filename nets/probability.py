"""From the network's log odds to calibrated probabilities; `nets.calibrate` fits the numbers."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

RANGES = ((6, 12), (12, 24), (24, 1 << 30))  # of the separation |i - j|
IDENTITY = [[0.0, 0.0, 0.0, 0.0]] * len(RANGES)
DEPTHS = (-3.5, 4.0)  # of log(Neff / 300): below Neff 9 and above 16,000 there was nothing to fit


def depth_of(neff: float) -> float:
    """log(Neff / 300), held within the range that calibration was fitted on."""
    return float(np.clip(np.log(max(neff, 1.0) / 300), *DEPTHS))


def calibrated(
    odds: np.ndarray, separation: np.ndarray, neff: float, calibration: Sequence[Sequence[float]]
) -> np.ndarray:
    """Calibrated probability of contact.

    Parameters
    ----------
    odds : float64
        Log odds of the network, any shape.
    separation : int, same shape
        |i - j|; pairs closer than 6 are treated as those from 6 to 11.
    neff : float
    calibration : list of [a, b, c, d]
        From `fit_calibration`.

    Returns
    -------
    float64, same shape
    """
    rows = np.array(calibration)[np.digitize(separation, [low for low, _ in RANGES[1:]])]
    a, b, c, d = np.moveaxis(rows, -1, 0)
    n = depth_of(neff)
    return expit(np.exp(a + b * n) * odds + c + d * n)
