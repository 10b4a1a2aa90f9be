"""How much memory the page and the exports of a protein take, known before anything is read."""

from data.memory import INTERPRETER, domain_way, largest, require_bytes
from data.store import open_arrays

_BASE = INTERPRETER + 50_000_000  # with jinja2 and what the evidence needs (HMMER, scipy)


def page_bytes(rows: int, length: int, methods: int) -> int:
    """Peak of `report.page.write_protein`.

    Parameters
    ----------
    rows, length : int
        N sequences and L columns.
    methods : int
        Maps that are shown.
    """
    return _BASE + 7 * rows * length + (25 * methods + 150) * length**2


def require_page(alignment: str, methods: int) -> None:
    """Refuse a page that will not fit, by the sizes in ``alignment.npz``.

    Raises
    ------
    MemoryLimitError
    """
    with open_arrays(alignment) as arrays:
        rows, length = arrays.shape("tokens")
    require_bytes(
        f"the page of {length} columns, {rows} sequences and {methods} maps",
        page_bytes(rows, length, methods),
        lambda available: domain_way(length, lambda columns: page_bytes(rows, columns, methods), available),
    )


def overview_bytes(proteins: int, methods: int = 4) -> int:
    """Peak of `report.overview.write_overview`: scores by so many methods and a picture of each protein."""
    return INTERPRETER + 8_000_000 + (20_000 + 35_000 * methods) * proteins


def require_overview(proteins: int) -> None:
    """Refuse an overview of more proteins than fit.

    Raises
    ------
    MemoryLimitError
    """

    def ways(available: int) -> list[str]:
        fewer = largest(proteins, lambda some: overview_bytes(some) <= available)
        return [f"tables of at most {fewer:,} proteins"] if fewer else []

    require_bytes(f"the overview of {proteins:,} proteins", overview_bytes(proteins), ways)
