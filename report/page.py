"""The page of one protein: a self-contained HTML file that opens from disk without a network."""

from pathlib import Path
from typing import Any

import numpy as np

from data import scoring, store
from data.models import MODEL
from report import figures
from report.bundle import downloads, leading_methods, write_exports
from report.comparable import CUTS as COMPARED_CUTS
from report.comparable import comparable
from report.comparisons import MEASURES, REFERENCES, comparison_tables, first_chain, read_comparisons
from report.evidence import expected_precision, next_depth, profile
from report.explain import Explained, explained, reason_masks
from report.heading import at_identity, facts, headline, notes, purpose, structure_name
from report.kin import read_kinship
from report.memory import require_page
from report.methods import LEARNED, MIN_SEPARATION, PUBLISHED, best_method, styles
from report.payload import Protein, json_text, load_protein, pack_protein, pack_repeats
from report.picture import pack_structure
from report.rendering import flattened, render
from report.repeats import Repeats, find_repeats, repeat_words
from report.significance import pack_significance, significant_couplings
from report.tables import score_tables, top_rows


def write_page(
    protein: str,
    files: dict[str, Any],
    settings: dict[str, Any],
    versions: dict[str, Any],
    out: str | Path,
    min_separation: int = MIN_SEPARATION,
) -> None:
    """Write the report of a protein.

    Parameters
    ----------
    protein : str
        Its name in the table of proteins.
    files : dict
        Paths: ``alignment`` and ``maps`` (required); ``weights``, ``contacts``, ``truth``, ``scores``,
        ``agreement``, ``foreign`` (each may be None or absent); ``structure``, file or files that ``truth``
        was measured on (may be absent); ``refined``, a dict of method name to path;
        ``provenance``, a list of JSON files; ``exports``, a list of files to link to (by default the
        ``.rr`` and ``.csv`` files beside `out`). Without ``truth`` the page shows prediction and
        evidence and says so.
    settings, versions : dict
        Printed as they are, nested ones with dotted keys.
    out : path
        The HTML file.
    min_separation : int
        Smallest ``j - i`` of the contacts that are listed.

    Raises
    ------
    CovarionError
        A file that is named cannot be read.
    """
    subject = load_protein(protein, files, min_separation)
    compared = read_comparisons(files.get("scores"), files.get("agreement"))
    page = render(
        "page.html.j2",
        **_shown(subject, compared),
        settings=flattened(settings),
        versions=flattened(versions),
        provenance=[read_provenance(path) for path in files.get("provenance") or []],
        downloads=downloads(files.get("exports"), Path(out)),
    )
    store.save_text(out, page)


def _shown(subject: Protein, compared: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the template shows of the protein itself."""
    looks = styles(subject.maps)
    scores = first_chain(compared, subject.kind)
    names = {"chain": structure_name(subject), "assembly": str(subject.truth.get("assembly", ""))}
    repeats = find_repeats(profile(subject.tokens, subject.weights)[0], float(subject.weights.sum()))
    masks = _masks(subject, repeats)
    return {
        "measure": MEASURES[subject.kind],
        "reference": REFERENCES[subject.kind],
        "comparisons": comparison_tables(compared, list(looks), names),
        "protein": subject,
        "facts": facts(subject),
        "headline": headline(subject, scores),
        "purpose": purpose(subject),
        "notes": notes(subject),
        "looks": looks,
        "below": _below(subject),
        "filters": flattened(json_text(subject.filters)) if subject.filters else [],
        "charts": _charts(subject, looks),
        "rows": top_rows(subject),
        "score_tables": score_tables(scores, looks),
        "expected": _expected(subject),
        "depth_words": _depth_words(subject),
        "comparable": comparable(
            scoring.depth_bin(float(subject.weights.sum())),
            [row["weights"] for row in _weights_used(subject)],
        ),
        "compared_cuts": COMPARED_CUTS,
        "structure_name": structure_name(subject),
        "has_secondary": subject.backbone is not None and any(subject.backbone.secondary),
        "assembly_words": _assembly_words(subject),
        "explained": _explained(subject, masks),
        "refined_key": [(name, looks[name].colour, looks[name].dash) for name in subject.refined],
        "repeat_words": repeat_words(repeats, subject.first_index),
        "tested": significant_couplings(subject),
        "weights": _weights_used(subject),
        "learned": [
            text(name, arrays)
            for name, arrays in subject.refined.items()
            for text in (acquaintance_text, published_text)
        ],
        "kinships": [
            read_kinship(name, arrays, subject.first_index) for name, arrays in subject.refined.items()
        ],
        "payload": pack_protein(subject)
        | {"significance": pack_significance(subject), "repeats": pack_repeats(subject, masks)}
        | {"structure": pack_structure(subject)},
    }


def write_protein(
    protein: str,
    files: dict[str, Any],
    *,
    settings: dict[str, Any],
    versions: dict[str, Any],
    page: str | Path,
    exports: str | Path,
    min_separation: int = MIN_SEPARATION,
) -> None:
    """Write the page of a protein and its exports (`report.bundle.write_exports`) in a folder.

    Parameters
    ----------
    protein, settings, versions, min_separation
        As for `write_page`.
    files : dict
        As for `write_page`; each refined map may also stand alone under any other name, its method is
        then called as the file.
    page : path
        The HTML file.
    exports : path
        Folder for the exports.
    """
    files = _grouped(files)
    require_page(files["alignment"], 3 + len(files["refined"]) + bool(files.get("foreign")))
    subject = load_protein(protein, files, min_separation)
    files["exports"] = write_exports(subject, Path(exports))
    write_page(protein, files, settings, versions, page, min_separation)


_FILES = ("alignment", "weights", "maps", "foreign", "contacts", "truth", "scores", "agreement", "structure")
_INPUTS = (*_FILES, "provenance", "refined")


def _grouped(files: dict[str, Any]) -> dict[str, Any]:
    """Files with the refined maps in a dict by method and the provenance in a list."""
    grouped = {name: files[name] for name in _INPUTS if name in files}
    refined = grouped.get("refined") or {}
    if not isinstance(refined, dict):
        refined = {Path(refined).stem: refined}
    others = {Path(path).stem: path for name, path in files.items() if name not in _INPUTS and path}
    provenance = grouped.get("provenance") or []
    grouped["provenance"] = [provenance] if isinstance(provenance, str | Path) else list(provenance)
    return grouped | {"refined": refined | others}


def _below(protein: Protein) -> str:
    """Method below the diagonal where no structure is: the couplings that stand behind a refined map."""
    others = [name for name in protein.maps if name not in protein.refined and name != protein.best]
    return best_method(others) if others else protein.best


def _charts(protein: Protein, looks: dict[str, Any]) -> dict[str, list[figures.Chart]]:
    """Charts by section of the page."""
    tokens, weights, first = protein.tokens, protein.weights, protein.first_index
    charts = {
        "depth": [
            figures.depth_chart(tokens, weights, first, protein.identity),
            figures.conservation_chart(tokens, weights, first),
            figures.identity_chart(tokens),
        ],
        "precision": [],
        "confidence": [],
    }
    refined = {name: looks[name] for name in protein.refined}
    if refined:
        charts["confidence"].append(figures.expected_chart(protein.maps, refined))
    if protein.distance is not None:
        charts["precision"] = [
            figures.precision_chart(protein.maps, looks, protein.distance, name, MEASURES[protein.kind])
            for name in ("long", "medium", "short")
        ]
        if refined and protein.kind != MODEL:  # a model is a prediction too: it can confirm no probability
            charts["confidence"].append(figures.reliability_chart(protein.maps, refined, protein.distance))
    return charts


def _expected(protein: Protein) -> list[dict[str, Any]]:
    """Expected precision of the best long-range pairs of each refined method."""
    return [{"method": name, "rows": expected_precision(protein.maps[name])} for name in protein.refined]


def _depth_words(protein: Protein) -> str:
    """How deep the alignment is, and what the next step would need."""
    neff = float(protein.weights.sum())
    text = f"{neff:,.0f} effective sequences{at_identity(protein)}: depth {scoring.depth_bin(neff)}."
    step = next_depth(neff)
    if step is None:
        return f"{text} This is the deepest class there is."
    edge, missing = step
    return f"{text} The next class begins at {edge:,}: {missing:,.0f} more, {edge / neff:.1f} times as many."


def _assembly_words(protein: Protein) -> str:
    """Which assembly neighbours were looked for in."""
    if "assembly_distance" in protein.truth:
        return f"Copies of the protein: {protein.truth['assembly']}."
    return "The structure is not known to hold further copies of the protein."


def _masks(protein: Protein, repeats: Repeats) -> dict[str, tuple[str, np.ndarray]]:
    """Pairs that each reason of false positives covers; empty without a structure."""
    if protein.distance is None:
        return {}
    _, gaps = profile(protein.tokens, protein.weights)
    return reason_masks(
        protein.distance,
        protein.truth["resolved"],
        gaps,
        protein.truth.get("assembly_distance"),
        protein.elsewhere,
        repeats.same,
        protein.min_separation,
    )


def _explained(protein: Protein, masks: dict[str, tuple[str, np.ndarray]]) -> list[Explained]:
    """Reasons of the false positives of the leading methods; empty without a structure."""
    if protein.distance is None:
        return []
    return [
        explained(name, protein.maps[name], protein.distance, masks, protein.min_separation)
        for name in leading_methods(protein)
    ]


def _weights_used(protein: Protein) -> list[dict[str, str]]:
    """Which weights made which refined map."""
    return [
        {
            "method": name,
            "weights": str(arrays.get("weights", "unknown")),
            "sha256": str(arrays.get("weights_sha256", "unknown")),
        }
        for name, arrays in protein.refined.items()
    ]


def acquaintance_text(method: str, arrays: dict[str, np.ndarray]) -> str:
    """What a reader must know where weights have seen this protein or its homologues; else nothing."""
    weights = str(arrays.get("weights", "unknown"))
    how = LEARNED.get(str(arrays.get("learned", "")))
    warning = f"The weights of {method} ({weights}) {how}: its precision here says little about new proteins."
    return warning if how else ""


def published_text(method: str, arrays: dict[str, np.ndarray]) -> str:
    """What a reader must know where weights have learned from a published network; else nothing."""
    origin = str(arrays.get("published", ""))
    told = PUBLISHED.format(origin=origin)
    return f"The weights of {method} have learned from {told}." if origin else ""


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Name and rows of a provenance record, as the page shows them."""
    content = store.load_json(path)
    return {"name": Path(path).name.removesuffix(".json"), "rows": flattened(content), "content": content}
