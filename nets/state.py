"""Files of a training run, and its state in one of them: all that the next update depends on."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from data.errors import CovarionError
from data.store import atomic_path, save_text

if TYPE_CHECKING:
    from nets.train import Trainer

SUFFIX = ".safetensors"
WEIGHTS, CHECKPOINT, HISTORY = "weights.safetensors", "checkpoint.safetensors", "history.tsv"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """What a training run writes; runs with weights of other names may share a folder.

    Attributes
    ----------
    weights : path
        Named ``weights.safetensors``, checkpoint and history are ``checkpoint.safetensors`` and
        ``history.tsv`` beside it; those of ``mine.safetensors`` have ``mine.`` in front.
    """

    weights: Path

    @property
    def checkpoint(self) -> Path:
        """State that a stopped run goes on from."""
        return self._beside(CHECKPOINT)

    @property
    def history(self) -> Path:
        """Table of losses and tuning scores."""
        return self._beside(HISTORY)

    def _beside(self, name: str) -> Path:
        own = "" if self.weights.name == WEIGHTS else f"{self.weights.stem}."
        return self.weights.with_name(own + name)

    @staticmethod
    def of(out: str | Path) -> "RunFiles":
        """Files of the run that writes the weights `out`.

        Raises
        ------
        CovarionError
            The name is none of weights, or one that a checkpoint has.
        """
        path = Path(out)
        if path.suffix != SUFFIX or f".{path.name}".endswith(f".{CHECKPOINT}"):
            raise CovarionError(
                "weights cannot have this name",
                value=out,
                remedy=f"end it with {SUFFIX}, and not with {CHECKPOINT}: {WEIGHTS} in a folder of the run",
            )
        return RunFiles(path)


def write_state(files: RunFiles, trainer: "Trainer") -> None:
    """Write the checkpoint and the history, each in one step: killed, the last whole ones stay.

    Parameters
    ----------
    files : RunFiles
    trainer : Trainer
    """
    metadata = {
        "step": str(trainer.step),
        "identity": trainer.identity,
        "history": json.dumps(trainer.history),
    }
    with atomic_path(files.checkpoint) as temporary:
        save_file(_tensors(trainer), temporary, metadata=metadata)
    names = list(dict.fromkeys(name for row in trainer.history for name in row))
    lines = ["\t".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in trainer.history]
    save_text(files.history, "\n".join(["\t".join(names), *lines]) + "\n")


def read_state(files: RunFiles, trainer: "Trainer") -> None:
    """Bring a trainer to the state of the checkpoint, if there is one of the same settings and examples."""
    path = files.checkpoint
    if not path.exists():
        return
    with safe_open(path, framework="pt") as archive:
        metadata = archive.metadata()
        if metadata["identity"] != trainer.identity:
            logger.warning("%s belongs to other settings or proteins: training starts anew", path)
            return
        tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118 (not a dict)
    trainer.step, trainer.history = int(metadata["step"]), json.loads(metadata["history"])
    trainer.model.load_state_dict(_under("model.", tensors))
    average = _under("average.", tensors)
    trainer.average = {name: value.to(trainer.device) for name, value in average.items()}
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _under("optimiser.", tensors).items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    trainer.optimiser.load_state_dict(trainer.optimiser.state_dict() | {"state": state})
    for parameter, moments in trainer.optimiser.state.items():
        for key, value in moments.items():  # a fused update asks for the parameter's own layout
            if value.shape == parameter.shape:
                moments[key] = torch.empty_like(parameter).copy_(value)
    logger.info("resumed at step %d from %s", trainer.step, path)


def _tensors(trainer: "Trainer") -> dict[str, torch.Tensor]:
    tensors = {f"model.{name}": value for name, value in trainer.model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in trainer.average.items()}
    for number, state in trainer.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
