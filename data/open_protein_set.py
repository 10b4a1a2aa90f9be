"""Alignments of PDB chains from OpenProteinSet's public bucket (Ahdritz et al. 2023, arXiv:2308.05326).

``pdb/ENTRY_CHAIN/a3m/`` of the bucket holds one alignment per database searched. Chains of the same sequence
share one folder; ``duplicate_pdb_chains.txt`` has a line for each such group.
"""

import re
import tempfile
from pathlib import Path

from data.client import Network, download
from data.delivery import Delivery, Request, fetch_address, from_first_base
from data.errors import FetchError
from data.rows import numbered_lines

_MOST_TWINS = 8


def from_chain(request: Request) -> Delivery:
    """Alignment of a chain, or of a chain of the same sequence where the bucket holds that one's.

    Raises
    ------
    FetchError
        As `data.client.download`; or neither the chain nor one of the same sequence is there.
    """
    return from_first_base(request, lambda base, network: _from_bucket(request, base, network))


def _from_bucket(request: Request, base: str, network: Network) -> Delivery:
    chain, colon, variant = request.value.partition(":")
    try:
        return fetch_address(request, request.source.address(request.value, base), network)
    except FetchError as error:
        if "no such entry" not in error.problem and "offline" not in error.problem:
            raise
        missing = error
    for twin in _twins(request, base, network, chain):
        try:
            url = request.source.address(f"{twin}{colon}{variant}", base)
            content, origin = fetch_address(request, url, network)
        except FetchError:
            continue
        return content, origin | {"version": f"alignment of {twin}, a chain of the same sequence"}
    raise missing


def _refuse_no_list(path: Path, url: str) -> None:
    """Refuse a web page or a message in the place of the list, so that it is not kept."""
    line = next((line for _, line in numbered_lines(path) if line.strip()), "")
    if not line or not all(re.fullmatch(r"[0-9][a-z0-9]{3}_\w+", name) for name in line.split()):
        raise FetchError("what arrived is no list of chains", file=url, value=line[:60], remedy="run again")


def _twins(request: Request, base: str, network: Network, chain: str) -> list[str]:
    """Other chains of the same sequence, in the order of the bucket's list; [] where there is no list."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "duplicates"
        try:
            url = f"{base}/duplicate_pdb_chains.txt"
            download(
                url, path, request.source, request.cell, network, lambda found: _refuse_no_list(found, url)
            )
        except FetchError:
            return []
        for _, line in numbered_lines(path):
            names = line.split()
            if chain in names:
                return [name for name in names if name != chain][:_MOST_TWINS]
    return []
