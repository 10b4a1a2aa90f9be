"""How precise proteins of the same depth were: the validation families of `docs/results.md`.

A test reads the tables of that page and finds the numbers below in them.
"""

from dataclasses import dataclass

CUTS = ("L/5", "L/2", "L")

# By depth bin and method: families, and at each of `CUTS` the mean long-range precision with its interval
PRECISION = {
    "30-100": {
        "plm": (6, (0.238, 0.162, 0.304), (0.150, 0.112, 0.184), (0.110, 0.083, 0.138)),
        "covarion-3": (6, (0.591, 0.367, 0.814), (0.465, 0.267, 0.654), (0.364, 0.221, 0.503)),
    },
    "100-300": {
        "plm": (8, (0.302, 0.235, 0.363), (0.211, 0.172, 0.259), (0.146, 0.119, 0.181)),
        "covarion-3": (8, (0.689, 0.505, 0.879), (0.555, 0.391, 0.731), (0.429, 0.292, 0.583)),
    },
    "300-1,000": {
        "plm": (11, (0.567, 0.459, 0.684), (0.412, 0.310, 0.534), (0.300, 0.222, 0.389)),
        "covarion-3": (11, (0.810, 0.693, 0.911), (0.716, 0.591, 0.829), (0.579, 0.473, 0.687)),
    },
    "1,000-3,000": {
        "plm": (7, (0.725, 0.666, 0.790), (0.628, 0.575, 0.686), (0.452, 0.405, 0.498)),
        "covarion-3": (7, (0.947, 0.905, 0.985), (0.828, 0.762, 0.878), (0.661, 0.585, 0.724)),
    },
    "> 3,000": {
        "plm": (4, (0.853, 0.823, 0.883), (0.737, 0.626, 0.823), (0.566, 0.430, 0.650)),
        "covarion-3": (4, (0.866, 0.715, 0.952), (0.806, 0.676, 0.883), (0.674, 0.537, 0.761)),
    },
}

# By weights and depth bin: maps, mean of expected less observed long-range precision at L, mean of its size
MISSED = {
    "covarion-1": {
        "< 30": (29, 0.053, 0.095),
        "30-100": (15, -0.026, 0.075),
        "100-300": (21, 0.000, 0.076),
        "300-1,000": (12, -0.056, 0.071),
        "1,000-3,000": (7, -0.054, 0.064),
        "> 3,000": (3, -0.115, 0.115),
    },
    "covarion-2": {
        "< 30": (29, -0.030, 0.095),
        "30-100": (15, -0.070, 0.081),
        "100-300": (21, -0.004, 0.074),
        "300-1,000": (12, 0.011, 0.069),
        "1,000-3,000": (7, 0.061, 0.069),
        "> 3,000": (3, 0.065, 0.065),
    },
    "covarion-3": {
        "< 30": (29, -0.008, 0.095),
        "30-100": (15, -0.055, 0.088),
        "100-300": (21, 0.002, 0.081),
        "300-1,000": (12, -0.007, 0.067),
        "1,000-3,000": (7, 0.064, 0.074),
        "> 3,000": (3, 0.061, 0.061),
    },
}


@dataclass(frozen=True)
class Comparable:
    """What was measured on families as deep as a protein.

    Attributes
    ----------
    depth : str
        The depth bin.
    rows : list of (str, int, list of (float, float, float))
        Method, families, and mean precision with its interval at each of `CUTS`; empty where none is known.
    missed : list of str
        Of each of the protein's weights that was measured: how far its expectation was off.
    """

    depth: str
    rows: list[tuple[str, int, list[tuple[float, float, float]]]]
    missed: list[str]


def comparable(depth: str, weights: list[str]) -> Comparable:
    """What is known of families in a depth bin (`data.scoring.depth_bin`), and of weights by name."""
    found = PRECISION.get(depth, {})
    rows = [(method, families, list(cuts)) for method, (families, *cuts) in found.items()]
    measured = [name for name in weights if depth in MISSED.get(name, {})]
    return Comparable(depth, rows, [_missed(name, depth) for name in measured])


def _missed(name: str, depth: str) -> str:
    maps, bias, size = MISSED[name][depth]
    side = "too high" if bias > 0 else "too low"
    text = f"What {name} expected at L was off by {size:.2f} on average ({maps} maps of this depth)"
    return f"{text}, {abs(bias):.2f} {side} in the mean." if abs(bias) >= 0.005 else f"{text}."
