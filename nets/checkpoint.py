"""Weights and checkpoints as safetensors: tensors plus JSON, nothing that could run code."""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from data.errors import CovarionError, MapError
from data.limits import memory_bound, require_file
from data.store import atomic_path, sha256
from nets.card import acquaintance
from nets.chain import ChainPrior
from nets.config import RefinerConfig, as_metadata, from_metadata
from nets.networks import network_of
from nets.probability import RANGES
from nets.shipped import PRETRAINED, find_weights, unreadable
from nets.triangle import skip_still_triangles


@dataclass(frozen=True)
class Loaded:
    """A refiner ready to predict.

    Attributes
    ----------
    model : Refiner, Committee or TrRosettaRefiner
        In evaluation mode.
    calibration : list of [a, b, c, d]
        Four numbers for short, medium and long range, see `nets.probability`.
    card : dict
        What it was trained on; see ``nets/pretrained/*.md``.
    name, sha256 : str
        Name or path that it was asked by, and the checksum of its file.
    chain : ChainPrior or None
        Whether and how contacts are held against folded chains, see `nets.chain`.
    """

    model: Any
    calibration: list[list[float]]
    card: dict[str, Any]
    name: str
    sha256: str
    chain: ChainPrior | None = None


def save_weights(
    path: str | Path,
    tensors: dict[str, torch.Tensor],
    config: RefinerConfig,
    calibration: list[list[float]],
    card: dict[str, Any],
    chain: ChainPrior | None = None,
) -> None:
    """Write weights that open without any other file; the same weights give the same bytes."""
    metadata = {"config": as_metadata(config), "calibration": calibration, "card": card}
    metadata |= {"chain": as_metadata(chain)} if chain else {}
    content = save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={name: json.dumps(value) for name, value in metadata.items()},
    )
    with atomic_path(path) as temporary:
        Path(temporary).write_bytes(_sorted_header(content))


def _sorted_header(content: bytes) -> bytes:
    """The same safetensors file with the keys of its header in order.

    The library writes metadata in an order that changes from process to process, and with it the checksum by
    which results know their weights.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8
    return len(header).to_bytes(8, "little") + header + content[end:]


def load_refiner(name: str, device: str = "cpu") -> Loaded:
    """Open weights by name or path, for a device of `choose_device`.

    Raises
    ------
    MapError
        The file is missing, is no safetensors file, was written by another version, or its tensors and
        settings do not fit each other.
    CovarionError
        The device cannot hold them.
    """
    path = find_weights(name)
    require_file(path, MapError)
    try:
        with memory_bound(path, MapError):
            loaded = _load(path, name)
    except (
        SafetensorError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
        RecursionError, RuntimeError, OSError,
    ) as error:  # fmt: skip
        raise unreadable(path, error) from error
    try:  # apart from the reading: what a device says is no fault of the file
        loaded.model.to(device)
    except (RuntimeError, AssertionError) as error:  # the latter of a torch without CUDA
        raise CovarionError(
            f"the weights cannot be put on the device {device}",
            value=str(error).partition("\n")[0][:200],
            remedy=f"free its memory, or {_ON_CPU}",
        ) from error
    return loaded


def _load(path: Path, name: str) -> Loaded:
    with safe_open(path, framework="pt", device="cpu") as archive:
        metadata = {key: json.loads(value) for key, value in (archive.metadata() or {}).items()}
        tensors = {key: archive.get_tensor(key).float() for key in archive.keys()}  # noqa: SIM118 (not a dict)
    config = from_metadata(RefinerConfig, metadata["config"])
    stack = "network.layers." if config.architecture == "trrosetta" else "blocks."
    stack = f"members.0.{stack}" if config.members > 1 else stack
    blocks = len({key.removeprefix(stack).split(".")[0] for key in tensors if key.startswith(stack)})
    if blocks != config.blocks:
        raise ValueError(f"tensors of {blocks} blocks, the settings ask for {config.blocks}")
    with torch.device("meta"):  # what the settings claim takes no memory before it fits the tensors
        fits = network_of(config).state_dict()
    if wrong := [key for key in {**fits, **tensors} if _shape(fits, key) != _shape(tensors, key)]:
        raise ValueError(
            f"{wrong[0]}: {_shape(tensors, wrong[0])}, the settings ask for {_shape(fits, wrong[0])}"
        )
    if broken := [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]:
        raise ValueError(f"{broken[0]} holds a number that is not finite")
    model = network_of(config)
    model.load_state_dict(tensors)
    skip_still_triangles(model)
    calibration = [_with_depth(numbers) for numbers in metadata["calibration"]]
    if len(calibration) != len(RANGES) or not isinstance(metadata["card"], dict):
        raise ValueError(f"{len(calibration)} calibrations where {len(RANGES)} are needed, or no data card")
    acquaintance(metadata["card"], "")  # a card that cannot be read is found here
    shown = path.stem if path.parent == PRETRAINED else str(name)
    chain = ChainPrior(**metadata["chain"]).checked(config.bins) if "chain" in metadata else None
    return Loaded(model.eval(), calibration, metadata["card"], shown, sha256(path), chain)


def _shape(tensors: dict[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(tensors[name].shape) if name in tensors else None


def _with_depth(numbers: list[float]) -> list[float]:
    """Slope and intercept, as weights of version 0.1 have them, in the form that knows the depth."""
    numbers = [float(number) for number in numbers]
    if len(numbers) not in (2, 4) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"a calibration of 2 or 4 numbers is needed, not {str(numbers)[:80]}")
    return numbers if len(numbers) == 4 else [math.log(numbers[0]), 0.0, numbers[1], 0.0]


def digest(settings: Any) -> str:
    """Short checksum of JSON-able settings, to tell whether a checkpoint belongs to them."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def choose_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where there is a CUDA device, else ``cpu``; other names stay.

    Raises
    ------
    CovarionError
        A CUDA device was asked for by name and is not there.
    """
    if device == "cpu":
        return device
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if seen else "cpu"
    place = torch.device(device)
    if place.type == "cuda" and (place.index or 0) >= seen:
        raise CovarionError(
            f"the device {device} was asked for and is not there",
            value=f"torch {torch.__version__} sees {seen} CUDA devices",
            remedy="check that nvidia-smi lists the GPU, install torch for it with COVARION_TORCH=cuda make "
            f"setup, or {_ON_CPU}",
        )
    return device


_ON_CPU = "use the CPU (--device cpu, refine: device)"
