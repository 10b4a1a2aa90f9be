"""The cells ``structure`` and ``chain`` of the protein table: one structure, or several in order."""

from dataclasses import dataclass

from data.errors import FetchError
from data.models import MODEL_SOURCES
from data.registry import SOURCES, parse_cell

# Sources whose accession may be followed by :CHAIN
WITH_CHAIN = ("pdb", "pdbe", "pdbredo", "afdb")


@dataclass(frozen=True)
class NamedStructure:
    """One structure of a row.

    Attributes
    ----------
    cell : str
        A path or a cell of `data.registry`, without a chain.
    chain : str
        Chain as `data.structure.read_chain` takes it; empty: the one that was chosen when it was fetched,
        else the first protein chain.
    """

    cell: str
    chain: str = ""

    @property
    def source(self) -> str:
        """Name of its source."""
        return parse_cell(self.cell)[0]

    @property
    def is_model(self) -> bool:
        """Whether its source delivers predicted models (a file may turn out to be one later)."""
        return self.source in MODEL_SOURCES


def split_structures(structure: str, chain: str = "") -> list[NamedStructure]:
    """Structures that a row names, in its order; empty without any.

    Parameters
    ----------
    structure : str
        One cell, or several joined by ``;``. After an accession of `WITH_CHAIN` may stand ``:CHAIN``.
    chain : str
        One chain of a single structure, or one for each of several, joined by ``;`` and possibly empty.

    Raises
    ------
    FetchError
        A part is empty or malformed, the numbers of chains and structures differ, a chain is named twice,
        or it is named where the source chooses it.
    """
    if not structure.strip():
        return []
    cells = [part.strip() for part in structure.split(";")]
    chains = [part.strip() for part in chain.split(";")] if chain.strip() else [""] * len(cells)
    if len(cells) != len(chains):
        raise FetchError(
            f"{len(chains)} chains for {len(cells)} structures",
            value=chain,
            remedy="give one chain per structure, joined by ; (empty for the first of a file)",
        )
    return [_named(cell, name) for cell, name in zip(cells, chains, strict=True)]


def _named(cell: str, chain: str) -> NamedStructure:
    source, colon, rest = cell.partition(":")
    accession, second, own = rest.partition(":")
    if colon and second and source in WITH_CHAIN:
        if chain and own and chain != own:
            raise FetchError(
                "two chains for one structure", value=f"{cell}, {chain}", remedy="name the chain once"
            )
        if not own:
            raise FetchError(
                "no chain after the colon", value=cell, remedy=f"write {SOURCES[source].example}:A"
            )
        cell, chain = f"{source}:{accession}", own
    name, _ = parse_cell(cell)
    if name == "uniprot" and chain:
        raise FetchError(
            "the chain is chosen with the entry", value=f"{cell}, {chain}", remedy="leave the chain empty"
        )
    return NamedStructure(cell, chain)
