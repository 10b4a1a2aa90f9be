"""Tables of a protein's page as its template walks them."""

import math
from typing import Any

from report.exports import ranking
from report.methods import CUTS
from report.payload import Protein, pair_number

_TABLE_ROWS = 300


def top_rows(protein: Protein) -> list[dict[str, Any]]:
    """The best L pairs, at most 300, of the method that the page opens with, as its table shows them.

    The script fills in the others, once the page is read.
    """
    top = min(protein.length, _TABLE_ROWS)
    best = ranking(protein.maps[protein.best], protein.min_separation, top)
    rows, residue, uniprot = [], protein.residue, protein.uniprot
    for rank, (i, j, score) in enumerate(zip(best.i, best.j, best.score, strict=True), start=1):
        distance = math.nan if protein.distance is None else float(protein.distance[i, j])
        shown = distance if math.isnan(distance) else math.floor(distance * 10 + 1e-6) / 10  # 7.96 reads 7.9
        rows.append(
            {
                "rank": rank,
                "pair": int(pair_number(i, j, protein.length)),
                "i": f"{protein.query[i]}{i + protein.first_index}",
                "j": f"{protein.query[j]}{j + protein.first_index}",
                "residue_i": residue[i] if residue else "",
                "residue_j": residue[j] if residue else "",
                "uniprot_i": uniprot[i] or "" if uniprot else "",
                "uniprot_j": uniprot[j] or "" if uniprot else "",
                "separation": int(j - i),
                "score": float(score),
                "probability": None if protein.probability is None else float(protein.probability[i, j]),
                "q": None if protein.coupling_q is None else float(protein.coupling_q[i, j]),
                "distance": shown,
            }
        )
    return rows


def score_tables(scores: list[dict[str, Any]], looks: dict[str, Any]) -> list[dict[str, Any]]:
    """Precision by range: cuts with their k, ceiling and counts, and one row of numbers per method."""
    tables = []
    for name in ("long", "medium", "short", "medium+long"):
        rows = [row for row in scores if row["range"] == name]
        if not rows:
            continue
        value = {(row["method"], row["cut"]): row for row in rows}
        methods = [method for method in looks if any(row["method"] == method for row in rows)]
        cuts = [cut for cut in (*CUTS, "AP") if any((method, cut) in value for method in methods)]
        heads = [next(value[method, cut] for method in methods if (method, cut) in value) for cut in cuts]
        body = [
            (method, [value.get((method, cut), {}).get("precision") for cut in cuts]) for method in methods
        ]
        best = [_largest([values[k] for _, values in body]) for k in range(len(cuts))]
        tables.append({"range": name, "heads": heads, "body": body, "best": best})
    return tables


def _largest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None and math.isfinite(value)), default=None)
