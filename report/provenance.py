"""Where the inputs of a run come from, as the overview shows it."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import store
from data.errors import CovarionError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """One input of a protein.

    Attributes
    ----------
    protein, file : str
        Whose it is, and the file's name.
    cell : str
        What the table names.
    version : str
        Version of the entry and release of the source, as far as it tells them.
    time : str
        When it was fetched (UTC, ISO 8601).
    sha256 : str
        Of what arrived.
    licence, place : str
        Its licence; the address or path that it came from.
    """

    protein: str
    file: str
    cell: str = ""
    version: str = ""
    time: str = ""
    sha256: str = ""
    licence: str = ""
    place: str = ""


def read_origins(rows: Iterable[dict[str, Any]]) -> list[Origin]:
    """Inputs of all rows that name their ``provenance`` files; one that is missing or broken is left out."""
    origins = []
    for row in rows:
        for path in row.get("provenance") or []:
            if not Path(path).exists():
                continue  # not fetched yet, or it failed: the table of failures tells
            try:
                content = store.load_json(path)
                origins.append(_origin(str(row["protein"]), Path(path), content))
            except (CovarionError, ValueError, TypeError, AttributeError) as error:
                log.warning("%s cannot be read: %s", path, error)
    return origins


def _origin(protein: str, path: Path, content: dict[str, Any]) -> Origin:
    def text(*keys: str) -> str:
        return ", ".join(str(content[key]) for key in keys if content.get(key))

    release = f"release {content['release']}" if content.get("release") else ""
    return Origin(
        protein=protein,
        file=path.name.removesuffix(".json"),
        cell=text("cell"),
        version=", ".join(filter(None, (text("version"), release))),
        time=text("time"),
        sha256=text("sha256"),
        licence=text("licence"),
        place=text("url", "path"),
    )
