"""Answers of services and files of search programs under attack; `fuzz_targets` adds them to its own."""

import json
from pathlib import Path

import numpy as np

ADDRESS = "https://server.example/answer"
SEQUENCE = "MKVLWE"
PREDICTIONS = json.dumps(
    [
        {
            "entryId": "AF-P69905-F1",
            "uniprotAccession": "P69905",
            "cifUrl": "https://server.example/model.cif",
            "paeDocUrl": "https://server.example/pae.json",
            "latestVersion": 4,
        }
    ]
).encode()
ERROR_ROWS = b'[{"predicted_aligned_error": [[0, 1.5], [2, 0]]}]'
ERROR_PAIRS = b'{"residue1": [1, 1, 2, 2], "residue2": [1, 2, 1, 2], "distance": [0, 1.5, 2, 0]}'
CHAINS = json.dumps(
    {
        "P69905": [
            {
                "pdb_id": "1a3n",
                "chain_id": "A",
                "coverage": 0.99,
                "resolution": 1.8,
                "experimental_method": "X-ray diffraction",
                "unp_start": 2,
                "unp_end": 142,
            }
        ]
    }
).encode()


def prediction(path: Path) -> None:
    """The AlphaFold database's answer to an accession."""
    from data.alphafold import find_prediction
    from data.json_answers import read_json

    found = find_prediction(read_json(path, ADDRESS), "P69905", ADDRESS)
    assert found.cif.startswith("http")


def aligned_error(path: Path) -> None:
    """A file of predicted aligned errors."""
    from data.alphafold import predicted_aligned_error
    from data.json_answers import read_json

    found = predicted_aligned_error(read_json(path, ADDRESS), ADDRESS)
    assert found.shape == (len(found), len(found))
    assert np.isfinite(found).all()


def chains(path: Path) -> None:
    """PDBe's answer about the chains of an accession."""
    from data.best_structure import candidates
    from data.json_answers import read_json

    for found in candidates(read_json(path, ADDRESS), "P69905", ADDRESS):
        assert found.entry.isalnum()
        assert np.isfinite(found.coverage)


def folder(path: Path) -> None:
    """A folder of colabfold_search with one file."""
    from data.colabfold_folder import choose_alignment

    choose_alignment(path.parent, SEQUENCE)


def program_rows(path: Path) -> None:
    """What a search program wrote."""
    from data.programs import _rows

    rows = _rows(path, SEQUENCE, "hhblits")
    assert rows[0] == ("query", SEQUENCE)
