"""How precise proteins of the same depth were: the validation families of `docs/results.md`.

A test reads the tables of that page and finds the numbers below in them.
"""

from dataclasses import dataclass

CUTS = ("L/5", "L/2", "L")

# By depth bin and method: families, and at each of `CUTS` the mean long-range precision with its interval
PRECISION = {
    "30-100": {
        "plm": (6, (0.245, 0.166, 0.323), (0.149, 0.106, 0.188), (0.110, 0.083, 0.137)),
        "covarion-5": (6, (0.708, 0.483, 0.908), (0.563, 0.345, 0.765), (0.413, 0.236, 0.588)),
    },
    "100-300": {
        "plm": (8, (0.286, 0.214, 0.353), (0.204, 0.167, 0.253), (0.152, 0.125, 0.186)),
        "covarion-5": (8, (0.806, 0.704, 0.909), (0.664, 0.540, 0.802), (0.496, 0.373, 0.635)),
    },
    "300-1,000": {
        "plm": (11, (0.574, 0.472, 0.690), (0.417, 0.314, 0.539), (0.301, 0.222, 0.388)),
        "covarion-5": (11, (0.909, 0.847, 0.964), (0.789, 0.685, 0.887), (0.654, 0.552, 0.754)),
    },
    "1,000-3,000": {
        "plm": (7, (0.719, 0.646, 0.791), (0.633, 0.583, 0.690), (0.456, 0.410, 0.500)),
        "covarion-5": (7, (0.975, 0.950, 0.994), (0.885, 0.840, 0.924), (0.743, 0.667, 0.807)),
    },
    "> 3,000": {
        "plm": (4, (0.871, 0.823, 0.919), (0.734, 0.628, 0.813), (0.565, 0.429, 0.647)),
        "covarion-5": (4, (0.937, 0.856, 0.990), (0.870, 0.752, 0.934), (0.747, 0.613, 0.828)),
    },
}

# By depth bin: families of which a profile search finds remote kin among those that `covarion-5` knows
RELATED = {"100-300": 2, "1,000-3,000": 1, "> 3,000": 2}

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
    "covarion-5": {
        "< 30": (29, 0.008, 0.077),
        "30-100": (15, -0.006, 0.072),
        "100-300": (21, -0.014, 0.052),
        "300-1,000": (12, -0.012, 0.056),
        "1,000-3,000": (7, 0.039, 0.052),
        "> 3,000": (3, 0.029, 0.038),
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
    related : str
        How many of these families have remote kin among those learned from; empty where none has.
    missed : list of str
        Of each of the protein's weights that was measured: how far its expectation was off.
    """

    depth: str
    rows: list[tuple[str, int, list[tuple[float, float, float]]]]
    related: str
    missed: list[str]


def comparable(depth: str, weights: list[str]) -> Comparable:
    """What is known of families in a depth bin (`data.scoring.depth_bin`), and of weights by name."""
    found = PRECISION.get(depth, {})
    rows = [(method, families, list(cuts)) for method, (families, *cuts) in found.items()]
    measured = [name for name in weights if depth in MISSED.get(name, {})]
    return Comparable(depth, rows, _related(depth), [_missed(name, depth) for name in measured])


def _related(depth: str) -> str:
    count = RELATED.get(depth, 0)
    verb = "has" if count == 1 else "have"
    kin = f"{count} of them {verb} remote kin among the families that these weights know"
    return f"{kin}, which only a search with profiles finds." if count else ""


def _missed(name: str, depth: str) -> str:
    maps, bias, size = MISSED[name][depth]
    side = "too high" if bias > 0 else "too low"
    text = f"What {name} expected at L was off by {size:.2f} on average ({maps} maps of this depth)"
    return f"{text}, {abs(bias):.2f} {side} in the mean." if abs(bias) >= 0.005 else f"{text}."
