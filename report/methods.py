"""How methods are named, ordered and coloured wherever a person reads about them."""

from collections.abc import Iterable
from dataclasses import dataclass

from data import contacts, scoring

CUTS = tuple(scoring.CUTS)
CONTACT_DISTANCE = contacts.CUTOFF
MIN_SEPARATION = 6
# How weights may know a protein (`learned` of refined.npz), in words
LEARNED = {
    "protein": "learned from this protein",
    "cluster": "learned from homologues of this protein",
    "tuned": "were chosen and calibrated on homologues of this protein",
    "homologue": "learned from a family homologous to this protein by sequence",
    "tuned-homologue": "were chosen and calibrated on a family homologous to this protein by sequence",
}

# What weights have from published networks (`published` of refined.npz)
PUBLISHED = (
    "published networks, {origin}, whose own training may hold any protein of the databases of their time"
)


@dataclass(frozen=True)
class Style:
    """Label of a method and the looks of its line.

    Attributes
    ----------
    label : str
        Name in words.
    colour : str
        Custom property of the style sheet (Okabe and Ito's palette, one value for light, one for dark).
    dash : str
        SVG dash pattern, so that lines differ without colour too.
    """

    label: str
    colour: str
    dash: str = ""


_KNOWN = {
    "mi": Style("mutual information", "--c-grey", "2 3"),
    "mean-field": Style("mean-field DCA", "--c-sky"),
    "mean-field_di": Style("mean-field DCA, direct information", "--c-sky", "6 3"),
    "gaussian": Style("Gaussian DCA", "--c-green"),
    "ridge": Style("ridge DCA", "--c-green", "6 3"),
    "plm": Style("pseudolikelihood DCA", "--c-blue"),
    "plm-asymmetric": Style("asymmetric pseudolikelihood DCA", "--c-blue", "6 3"),
    "boltzmann": Style("Boltzmann machine", "--c-blue", "2 3"),
}
_REFINED = (("--c-red", ""), ("--c-purple", ""), ("--c-red", "6 3"), ("--c-purple", "6 3"))
_FOREIGN = (("--c-orange", ""), ("--c-orange", "6 3"), ("--c-orange", "2 3"), ("--c-green", "2 3"))


def is_refined(name: str) -> bool:
    """Whether a method is one of our refiners."""
    return name == "refined" or name.startswith("refined-")


def ordered(names: Iterable[str]) -> list[str]:
    """Methods without repeats: ours by rising power, foreign maps, refined maps; else as they came."""
    known = list(_KNOWN)

    def place(name: str) -> tuple[int, int]:
        if name in _KNOWN:
            return 0, known.index(name)
        return (2, 0) if is_refined(name) else (1, 0)

    return sorted(dict.fromkeys(names), key=place)


def styles(names: Iterable[str]) -> dict[str, Style]:
    """Style of each method, in the order of `ordered`; foreign and refined ones take the next free looks."""
    made: dict[str, Style] = {}
    counts = {"refined": 0, "foreign": 0}
    for name in ordered(names):
        if name in _KNOWN:
            made[name] = _KNOWN[name]
            continue
        kind, looks = ("refined", _REFINED) if is_refined(name) else ("foreign", _FOREIGN)
        colour, dash = looks[counts[kind] % len(looks)]
        counts[kind] += 1
        made[name] = Style(_label(name), colour, dash)
    return made


def _label(name: str) -> str:
    if name == "refined":
        return "neural network"
    if name.startswith("refined-"):
        return f"neural network, {name.removeprefix('refined-')}"
    return name


def best_method(names: Iterable[str]) -> str:
    """Method that a page opens with: the shipped refiner, else another, else plm, else the last one.

    Direct information, which is the weaker score of the same couplings, only where nothing else is.
    """
    names = ordered(names)
    refined = [name for name in names if is_refined(name)]
    if refined:
        return "refined" if "refined" in refined else refined[0]
    return "plm" if "plm" in names else ([name for name in names if not name.endswith("_di")] or names)[-1]


def cut_size(length: int, cut: str) -> int:
    """Number of pairs behind a cut: ``max(1, round(L / c))``."""
    return max(1, round(length / scoring.CUTS[cut]))
