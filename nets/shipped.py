"""The weights that come with the repository, by name. Imports no torch: the workflow looks paths up here."""

import json
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open

from data.errors import MapError
from nets.config import RefinerConfig, from_metadata

PRETRAINED = Path(__file__).parent / "pretrained"
DEFAULT = "covarion-5"


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


def weights_config(name: str) -> RefinerConfig:
    """Shape of the network of weights, by name or path, from the header of their file.

    Raises
    ------
    MapError
        No such weights, or none that this version reads.
    """
    path = find_weights(name)
    try:
        with safe_open(path, framework="numpy") as archive:
            return from_metadata(RefinerConfig, json.loads(archive.metadata()["config"]))
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> MapError:
    """What is said of a file that holds no weights that this version reads."""
    return MapError(
        "not refiner weights of this version",
        file=path,
        value=str(error)[:500],
        remedy="train again or use 'default'",
    )
