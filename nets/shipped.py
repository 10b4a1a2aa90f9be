"""The weights that come with the repository, by name. Imports no torch: the workflow looks paths up here."""

import os
from pathlib import Path

from data.errors import MapError

PRETRAINED = Path(__file__).parent / "pretrained"
DEFAULT = "covarion-2"


def find_weights(name: str) -> Path:
    """File of shipped weights by name, or a path as it is.

    Raises
    ------
    MapError
        Neither a shipped name nor a file; the message lists the names.
    """
    shipped = PRETRAINED / f"{DEFAULT if name == 'default' else name}.safetensors"
    for candidate in (shipped, Path(name)):
        if os.path.isfile(candidate):  # also for names that no file can have
            return candidate
    names = ", ".join(sorted(path.stem for path in PRETRAINED.glob("*.safetensors"))) or "none"
    raise MapError(
        "no such refiner weights",
        value=name,
        remedy=f"give the path of a .safetensors file or one of: {names}",
    )
