"""How precise proteins of the same depth were: the validation families of `docs/results.md`.

A test reads the tables of that page and finds the numbers below in them.
"""

from dataclasses import dataclass

CUTS = ("L/5", "L/2", "L")

# By depth bin and method: families, and at each of `CUTS` the mean long-range precision with its interval
PRECISION = {
    "30-100": {
        "plm": (6, (0.235, 0.160, 0.304), (0.143, 0.101, 0.181), (0.107, 0.080, 0.135)),
        "covarion-1": (6, (0.591, 0.370, 0.812), (0.469, 0.274, 0.651), (0.365, 0.217, 0.509)),
    },
    "100-300": {
        "plm": (8, (0.306, 0.238, 0.370), (0.207, 0.170, 0.251), (0.152, 0.126, 0.186)),
        "covarion-1": (8, (0.636, 0.445, 0.822), (0.533, 0.370, 0.711), (0.410, 0.268, 0.573)),
    },
    "300-1,000": {
        "plm": (11, (0.558, 0.456, 0.676), (0.411, 0.310, 0.530), (0.297, 0.220, 0.383)),
        "covarion-1": (11, (0.801, 0.687, 0.904), (0.686, 0.562, 0.803), (0.565, 0.463, 0.668)),
    },
    "1,000-3,000": {
        "plm": (7, (0.720, 0.664, 0.784), (0.639, 0.585, 0.706), (0.454, 0.409, 0.499)),
        "covarion-1": (7, (0.944, 0.899, 0.984), (0.817, 0.734, 0.875), (0.649, 0.563, 0.724)),
    },
    "> 3,000": {
        "plm": (4, (0.860, 0.823, 0.898), (0.731, 0.628, 0.806), (0.564, 0.429, 0.644)),
        "covarion-1": (4, (0.884, 0.780, 0.944), (0.802, 0.700, 0.867), (0.659, 0.542, 0.739)),
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
