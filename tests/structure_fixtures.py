"""mmCIF files as the archive, PDBe and the AlphaFold database have them, and answers of their services."""

import gzip
import json
from dataclasses import dataclass, field

import numpy as np
from data_fixtures import THREE
from web_fixtures import Answer

ATOM_COLUMNS = [
    *("group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id"),
    *("label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy"),
    *("B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num"),
]
SIFTS_COLUMNS = [f"pdbx_sifts_xref_db_{name}" for name in ("acc", "name", "num", "res")]


@dataclass
class Piece:
    """A chain: label and author name, entity, C-alpha positions [R, 3]; places in `skip` have no atoms."""

    label: str
    author: str
    entity: str
    sequence: str
    positions: np.ndarray
    first: int = 1
    skip: tuple = ()
    plddt: list = field(default_factory=list)


def loop(category, columns, rows):
    """Text of a loop."""
    lines = [
        "loop_",
        *(f"_{category}.{name}" for name in columns),
        *(" ".join(map(str, row)) for row in rows),
    ]
    return "\n".join([*lines, "#", ""])


def line_of(count, step=3.8, offset=(0.0, 0.0, 0.0)):
    """Points along x, float [count, 3]."""
    return np.arange(count)[:, None] * np.array([step, 0.0, 0.0]) + np.array(offset)


def _atoms(pieces, sifts):
    """Rows of _atom_site; `sifts` gives (accession, number) of a label and place."""
    number = 0
    for piece in pieces:
        for place, (letter, at) in enumerate(zip(piece.sequence, piece.positions, strict=True), 1):
            if place - 1 in piece.skip:
                continue
            for atom, shift in (("CA", 0.0), *((("CB", 1.0),) if letter != "G" else ())):
                number += 1
                x, y, z = at + np.array([0.0, 0.0, shift])
                b = piece.plddt[place - 1] if piece.plddt else 10.0
                row = ["ATOM", number, "C", atom, ".", THREE[letter], piece.label, piece.entity, place, "?"]
                row += [
                    f"{x:.3f}",
                    f"{y:.3f}",
                    f"{z:.3f}",
                    "1.0",
                    b,
                    piece.first + place - 1,
                    piece.author,
                    1,
                ]
                if sifts is not None:
                    accession, own = sifts.get((piece.label, place), ("?", "?"))
                    row += [accession, "UNP" if own != "?" else "?", own, letter]
                yield row


def mmcif(pieces, entry="1ABC", sifts=None, more=""):
    """Text of a file; with `sifts` its atoms carry UniProt numbers as PDBe's updated mmCIF has them."""
    entities = {piece.entity: piece.sequence for piece in pieces}
    poly = [(e, n, THREE[letter]) for e, text in entities.items() for n, letter in enumerate(text, 1)]
    text = f"data_{entry}\n_entry.id {entry}\n#\n"
    text += loop("entity", ["id", "type"], [(e, "polymer") for e in entities])
    text += loop("entity_poly", ["entity_id", "type"], [(e, "polypeptide(L)") for e in entities])
    text += loop("entity_poly_seq", ["entity_id", "num", "mon_id"], poly)
    text += loop("struct_asym", ["id", "entity_id"], [(p.label, p.entity) for p in pieces])
    columns = [*ATOM_COLUMNS, *([] if sifts is None else SIFTS_COLUMNS)]
    return text + more + loop("atom_site", columns, _atoms(pieces, sifts))


def assembly(generators, operators):
    """Assembly 1, 2, ...: (expression, labels) of each; operators by name: (matrix [3, 3], vector [3])."""
    names = [f"matrix[{a}][{b}]" for a in (1, 2, 3) for b in (1, 2, 3)] + [f"vector[{a}]" for a in (1, 2, 3)]
    rows = [
        (name, *np.asarray(m, float).ravel(), *np.asarray(v, float)) for name, (m, v) in operators.items()
    ]
    numbers = [(n, expression, labels) for n, (expression, labels) in enumerate(generators, 1)]
    text = loop(
        "pdbx_struct_assembly", ["id", "details"], [(n, "author_defined_assembly") for n, *_ in numbers]
    )
    text += loop("pdbx_struct_assembly_gen", ["assembly_id", "oper_expression", "asym_id_list"], numbers)
    return text + loop("pdbx_struct_oper_list", ["id", *names], rows)


def model_text(sequence, plddt, positions=None, entry="AF-P69905-F1", accession="P69905", first=1):
    """A ModelCIF file as the AlphaFold database writes it."""
    positions = line_of(len(sequence)) if positions is None else positions
    piece = Piece("A", "A", "1", sequence, positions, plddt=list(plddt))
    sifts = {("A", place): (accession, first + place - 1) for place in range(1, len(sequence) + 1)}
    local = [
        ("A", THREE[s], n, 2, value, 1, n)
        for n, (s, value) in enumerate(zip(sequence, plddt, strict=True), 1)
    ]
    more = loop(
        "ma_qa_metric",
        ["id", "mode", "name", "type"],
        [(1, "global", "pLDDT", "pLDDT"), (2, "local", "pLDDT", "pLDDT")],
    )
    columns = [
        "label_asym_id",
        "label_comp_id",
        "label_seq_id",
        "metric_id",
        "metric_value",
        "model_id",
        "ordinal_id",
    ]
    more += loop("ma_qa_metric_local", columns, local)
    more += loop("ma_model_list", ["ordinal_id", "model_id", "model_type"], [(1, 1, "'Ab initio model'")])
    return mmcif([piece], entry, sifts, more)


def prediction(base, accession="P69905", entry="AF-P69905-F1", version=6, **changes):
    """One model in the answer of the AlphaFold database's service, its files named with their version."""
    return {
        "entryId": entry,
        "uniprotAccession": accession,
        "uniprotStart": 1,
        "uniprotSequence": "MKVLWE",
        "modelCreatedDate": "2022-06-01T00:00:00Z",
        "latestVersion": version,
        "allVersions": list(range(1, version + 1)),
        "cifUrl": f"{base}/files/{entry}-model_v{version}.cif",
        "pdbUrl": f"{base}/files/{entry}-model_v{version}.pdb",
        "paeDocUrl": f"{base}/files/{entry}-predicted_aligned_error_v{version}.json",
    } | changes


def serve_model(web, sequence, plddt, version=6, positions=None, entry="AF-P69905-F1", accession="P69905"):
    """Have the server answer as the AlphaFold database does for one protein."""
    found = prediction(web.url, accession, entry, version)
    size = len(sequence)
    pae = np.abs(np.subtract.outer(range(size), range(size))).tolist()
    document = [{"predicted_aligned_error": pae, "max_predicted_aligned_error": 31.75}]
    text = model_text(sequence, plddt, positions, entry, accession)
    web.answers[f"/prediction/{accession}"] = [answer(found)]
    web.answers[found["cifUrl"].removeprefix(web.url)] = [Answer(200, text.encode())]
    web.answers[found["paeDocUrl"].removeprefix(web.url)] = [Answer(200, json.dumps(document).encode())]
    return found


def answer(*models):
    """An answer that lists models."""
    return Answer(200, json.dumps(list(models)).encode(), {"Content-Type": "application/json"})


def candidate(pdb_id, chain_id, coverage, resolution, method="X-ray diffraction", first=1, last=142):
    """One chain in the answer of PDBe's best_structures."""
    return {
        "end": last, "chain_id": chain_id, "pdb_id": pdb_id, "start": 1, "unp_end": last, "unp_start": first,
        "coverage": coverage, "resolution": resolution, "experimental_method": method, "tax_id": 9606,
    }  # fmt: skip


def serve_best(web, accession, *rows):
    """Have the server answer as PDBe's best_structures does."""
    body = json.dumps({accession: list(rows)}).encode()
    web.answers[f"/mappings/best_structures/{accession}"] = [Answer(200, body)]


def packed(text):
    """Gzip of a text, as the archive delivers it."""
    return gzip.compress(text.encode())
