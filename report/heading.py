"""What stands at the head of a protein's page: what it is about and how good the prediction is."""

from typing import Any

import numpy as np

from data import scoring
from data.models import MODEL
from report.comparisons import REFERENCES
from report.evidence import expected_precision
from report.methods import CONTACT_DISTANCE, styles
from report.payload import Protein, json_text
from report.rendering import percent


def facts(protein: Protein) -> list[tuple[str, str, str]]:
    """Tiles at the head of the page: (value, what it is, a word more)."""
    neff = float(protein.weights.sum())
    tiles = [
        (f"{protein.length:,}", "residues", f"numbered {protein.first_index} to {_last(protein)}"),
        (f"{len(protein.tokens):,}", "sequences", "in the alignment"),
        (
            f"{neff:,.0f}",
            "effective sequences",
            f"Neff{at_identity(protein)}, {neff / protein.length:.3g} per residue",
        ),
    ]
    if protein.best in protein.refined:
        for cell in expected_precision(protein.maps[protein.best]):
            if cell.cut == "L/5":
                more = f"of the {cell.k} best long-range pairs, by the network itself"
                tiles.append((f"{cell.precision:.2f}", "expected precision", more))
    distance = protein.distance
    if distance is not None:
        i, j = np.triu_indices(protein.length, scoring.RANGES["long"][0])
        contacts = int((distance[i, j] < CONTACT_DISTANCE).sum())
        resolved = int(protein.truth["resolved"].sum())
        where = f"in {REFERENCES[protein.kind]}; {resolved:,} residues resolved"
        tiles.append((f"{contacts:,}", "long-range contacts", where))
    return tiles


def at_identity(protein: Protein) -> str:
    """Identity that sequences were weighted at, where the file says it."""
    return "" if protein.identity is None else f" at {percent(protein.identity)} identity"


def _last(protein: Protein) -> int:
    return protein.first_index + protein.length - 1


def headline(protein: Protein, scores: list[dict[str, Any]]) -> str:
    """One sentence that says how good the prediction is, or that nothing tells."""
    if protein.distance is None:
        return (
            "No structure is given for this protein: the page shows the prediction and the evidence "
            "behind it. Nothing here can say which of the predicted contacts are real."
        )
    for row in scores:
        if (row["method"], row["range"], row["cut"]) == (protein.best, "long", "L/5"):
            told = f"Of the {row['k']:.0f} best long-range pairs by {_called(protein.best)}, "
            told += f"{100 * row['precision']:.0f} % "
            if protein.kind == MODEL:
                return (
                    f"{told}agree with {structure_name(protein)}, a predicted model: two predictions are "
                    "compared here, and no experiment says which of the contacts are real."
                )
            return f"{told}are contacts in {structure_name(protein)}."
    return f"Compared with {structure_name(protein)}."


def _called(method: str) -> str:
    """A method by its name on the page, and what it is where that is another word."""
    label = styles([method])[method].label
    return method if label == method else f"{method} ({label})"


def purpose(protein: Protein) -> str:
    """One sentence for readers who meet such a page for the first time."""
    return (
        "Residues that touch tend to change together in evolution: from "
        f"{len(protein.tokens):,} related sequences this page predicts which residues of the protein touch."
    )


def structure_name(protein: Protein) -> str:
    """Entry and chain of the structure, in words."""
    entry, chain = (str(protein.truth.get(key, "")) for key in ("entry", "chain"))
    return " ".join(part for part in (entry or "the structure", f"chain {chain}" if chain else "") if part)


def notes(protein: Protein) -> list[str]:
    """Remarks on the structure and its mapping to the query."""
    if protein.distance is None:
        return []
    remarks = []
    if "identity" in protein.truth and "coverage" in protein.truth:
        identity, coverage = float(protein.truth["identity"]), float(protein.truth["coverage"])
        remarks.append(
            f"The query matches the chain with {identity:.1%} identity over {coverage:.1%} of its residues."
        )
    listed = json_text(str(protein.truth.get("notes", "[]")))
    return remarks + [
        _sentence(str(note)) for note in (listed if isinstance(listed, list) else [listed]) if note
    ]


def _sentence(text: str) -> str:
    """A remark with a capital first and a full stop last."""
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
