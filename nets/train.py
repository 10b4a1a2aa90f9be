"""Training of the refiner: seeded, resumable, the same code on a CPU and on a GPU."""

import json
import logging
import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from data.errors import CovarionError
from data.families import CLUSTER
from data.homology import save_families
from data.store import atomic_path, save_text
from nets.calibrate import fit_calibration, tuning_scores
from nets.card import learned_clusters
from nets.checkpoint import Loaded, choose_device, digest, load_refiner, save_weights
from nets.config import RefinerConfig, TrainConfig, as_metadata, from_metadata
from nets.dataset import Example, by_cluster, check_split, example_at, random_crop
from nets.losses import refiner_loss
from nets.model import Refiner
from nets.relatives import families_file, families_of, known_families, merged
from nets.shipped import find_weights

logger = logging.getLogger(__name__)


class Trainer:
    """State of one training run: model, optimiser, running average, step.

    Parameters
    ----------
    examples : sequence of Example
        Those with split ``train`` are learned from, those with ``tune`` are looked at and calibrate.
    config : RefinerConfig
    settings : TrainConfig
    folder : path
        Gets ``checkpoint.safetensors``, ``history.tsv`` and, at the end, ``weights.safetensors``.
    device : str
        ``cpu`` or ``cuda``.
    start : Loaded, optional
        Weights to go on from, of the same shape; by default they are drawn at random.

    Raises
    ------
    CovarionError
        Nothing to train on, a cluster in two splits, or a start of another shape or that has learned from a
        tuning cluster.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: RefinerConfig,
        settings: TrainConfig,
        folder: str | Path,
        device: str = "cpu",
        start: Loaded | None = None,
    ):
        check_split(examples)
        learned = [e for e in examples if e.split == "train"]
        self.clusters = by_cluster([e for e in learned if not e.cluster.startswith(CLUSTER)])
        self.folds = by_cluster([e for e in learned if e.cluster.startswith(CLUSTER)])
        self.tuning = [e for e in examples if e.split == "tune"]
        if not learned:
            raise CovarionError("nothing to train on", remedy="give at least one protein the split 'train'")
        self.config, self.settings, self.device = config, settings, torch.device(device)
        self.folder = Path(folder)
        begun = start.sha256 if start else ""
        self.identity = digest([as_metadata(config), as_metadata(settings), _fingerprints(examples), begun])
        torch.manual_seed(settings.seed)
        self.model = Refiner(config).to(self.device)
        if start:
            check_start(start, config, self.tuning)
            self.model.load_state_dict(grown(start.model.state_dict(), self.model.state_dict()))
        self.optimiser = torch.optim.AdamW(self._parameter_groups(), lr=settings.learning_rate)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.begun = {name: value.clone() for name, value in self.average.items()} if start else {}
        self.step = 0
        self.history: list[dict[str, float]] = []

    def _parameter_groups(self) -> list[dict[str, Any]]:
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim <= 1]
        return [
            {"params": matrices, "weight_decay": self.settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]

    def run(self, deadline: float = math.inf) -> bool:
        """Train to the last step or to `deadline` (``time.monotonic``); True when the last step is done."""
        self.resume()
        if self.begun and self.step == 0 and self.tuning:
            logger.info("before training: %s", tuning_scores(self.averaged(), self.tuning))
        with ThreadPoolExecutor(max_workers=1) as loader:
            ahead = loader.submit(self._load, self.step)
            while self.step < self.settings.steps and time.monotonic() < deadline:
                crops = ahead.result()
                ahead = loader.submit(self._load, self.step + 1)
                self._update(crops)
                self._look()
        return self.step >= self.settings.steps

    def _load(self, step: int) -> list[tuple]:
        settings = self.settings
        numbers = range(step * settings.batch, (step + 1) * settings.batch)
        return [
            random_crop(self._example(n), settings.crop, np.random.default_rng([settings.seed, 1, n]))
            for n in numbers
        ]

    def _example(self, number: int) -> Example:
        """Crop number `number` is of a family or, with probability `fold_share`, of a simulated fold."""
        chance = np.random.default_rng([self.settings.seed, 2, number]).random()
        folds = self.folds and (chance < self.settings.fold_share or not self.clusters)
        return example_at(number, self.folds if folds else self.clusters, self.settings.seed)

    def _update(self, crops: list[tuple]) -> None:
        settings, loss_sum = self.settings, 0.0
        self.model.train()
        torch.manual_seed(settings.seed * 1_000_003 + self.step)  # dropout depends on the step alone
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(self.step, settings.steps)
        for pixels, bins in crops:
            pixels, bins = pixels.to(self.device), bins.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
                logits = self.model(pixels)
            loss = refiner_loss(
                logits, bins, pixels.separation, self.config.contact_bins, settings.contact_weight
            )
            (loss / len(crops)).backward()
            loss_sum += float(loss.detach()) / len(crops)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._track_average()
        self.history.append({"step": self.step, "loss": loss_sum})

    def _track_average(self) -> None:
        decay = self.settings.average
        if not self.begun:  # early on the average follows closely, so that the random start is forgotten
            decay = min(decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)

    def _look(self) -> None:
        settings, last = self.settings, self.step == self.settings.steps
        if self.tuning and (self.step % settings.evaluate_every == 0 or last):
            self.history[-1] |= tuning_scores(self.averaged(), self.tuning)
            logger.info("step %d: %s", self.step, self.history[-1])
        if self.step % settings.save_every == 0 or last:
            losses = [row["loss"] for row in self.history[-settings.save_every :]]
            logger.info("step %d of %d: mean loss %.4f", self.step, settings.steps, np.mean(losses))
            self.save()

    def averaged(self) -> Refiner:
        """The model with the running average of its weights, and the start's share, for evaluation."""
        model = Refiner(self.config).to(self.device)
        keep = self.settings.keep_start if self.begun else 0.0
        model.load_state_dict(
            {
                name: torch.lerp(value, self.begun[name], keep) if keep else value
                for name, value in self.average.items()
            }
        )
        return model.eval()

    def _tensors(self) -> dict[str, torch.Tensor]:
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": value for name, value in state.items()}
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    def save(self) -> None:
        """Write the checkpoint and the history, each in one step."""
        metadata = {"step": str(self.step), "identity": self.identity, "history": json.dumps(self.history)}
        with atomic_path(self.folder / "checkpoint.safetensors") as temporary:
            save_file(self._tensors(), temporary, metadata=metadata)
        names = list(dict.fromkeys(name for row in self.history for name in row))
        lines = ["\t".join(f"{row[n]:.6g}" if n in row else "" for n in names) for row in self.history]
        save_text(self.folder / "history.tsv", "\n".join(["\t".join(names), *lines]) + "\n")

    def resume(self) -> None:
        """Go on from the checkpoint of the same settings, where there is one."""
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata()
            if metadata["identity"] != self.identity:
                logger.warning("%s belongs to other settings or proteins: training starts anew", path)
                return
            tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118 (not a dict)
        self.step, self.history = int(metadata["step"]), json.loads(metadata["history"])
        self.model.load_state_dict(_under("model.", tensors))
        self.average = {name: value.to(self.device) for name, value in _under("average.", tensors).items()}
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under("optimiser.", tensors).items():
            number, key = name.split(".", 1)
            state.setdefault(int(number), {})[key] = value
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": state})
        logger.info("resumed at step %d from %s", self.step, path)

    def finish(self, card: dict[str, Any]) -> Path:
        """Calibrate on the tuning families and write ``weights.safetensors`` with its data card."""
        path = self.folder / "weights.safetensors"
        model = self.averaged()
        calibration = fit_calibration(model, self.tuning)
        halves = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
        save_weights(path, halves, self.config, calibration, card | {"training": as_metadata(self.settings)})
        return path


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _fingerprints(examples: Sequence[Example]) -> list[list[str]]:
    """What a checkpoint must agree on: cluster and split of each protein, size and age of its file."""
    stats = ((example, Path(example.path).stat()) for example in examples)
    return sorted(
        [e.protein, e.cluster, e.split, str(stat.st_size), str(stat.st_mtime_ns)] for e, stat in stats
    )


def check_start(start: Loaded, config: RefinerConfig, tuning: Sequence[Example]) -> None:
    """Refuse to go on from weights of another shape, or that have seen a tuning family.

    Further pair maps behind those of the start are not another shape.

    Raises
    ------
    CovarionError
    """
    more = config.pair_maps[len(start.model.config.pair_maps) :]
    if replace(start.model.config, pair_maps=start.model.config.pair_maps + more) != config:
        raise CovarionError(
            "the weights to start from have another shape",
            place=start.name,
            value=start.model.config,
            remedy="set train: model to the same; only pair_maps may be added",
        )
    seen = learned_clusters(start.card)
    if both := sorted({e.cluster for e in tuning} & seen):
        raise CovarionError(
            "the weights to start from have learned from tuning families",
            place=start.name,
            value=", ".join(both),
            remedy="tune on other clusters",
        )


def grown(start: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """State of weights to go on from, with zeros for the pair maps that they did not read."""
    key = "embed_maps.weight"
    wider = torch.zeros_like(fresh[key])
    wider[:, : start[key].shape[1]] = start[key]
    return start | {key: wider}


def schedule(step: int, steps: int) -> float:
    """Share of the full learning rate: a linear rise over a twentieth of the run, then half a cosine."""
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def train_refiner(
    files: Sequence[dict[str, str]],
    out: str,
    model: dict[str, Any],
    settings: dict[str, Any],
    device: str = "auto",
    threads: int = 1,
    start: str = "",
) -> None:
    """Train on example files and write weights; a killed run goes on from its last checkpoint.

    Parameters
    ----------
    files : sequence of dict
        ``protein``, ``path``, ``cluster`` and ``split`` of each example.
    out : path
        ``weights.safetensors`` in the folder of the run; the families that were learned from are listed
        beside it, see `nets.relatives`.
    model, settings : dict
        Fields of :class:`nets.config.RefinerConfig` and :class:`nets.config.TrainConfig`.
    start : str
        Weights to go on from, by name or path; their shape is taken. Empty starts at random.
    """
    torch.set_num_threads(threads)
    examples = [Example(**entry) for entry in files]
    begun = load_refiner(start) if start else None
    config = from_metadata(RefinerConfig, (as_metadata(begun.model.config) if begun else {}) | model)
    trainer = Trainer(
        examples, config, from_metadata(TrainConfig, settings), Path(out).parent, choose_device(device), begun
    )
    trainer.run()
    trainer.finish(data_card(examples, begun))
    families = [*(known_families(find_weights(start)) if start else []), *families_of(examples)]
    save_families(families_file(out), merged(families))
    # Weights that are whole need no checkpoint: asked for again, they are trained again.
    (Path(out).parent / "checkpoint.safetensors").unlink()


def data_card(examples: Sequence[Example], start: Loaded | None = None) -> dict[str, Any]:
    """What a network has seen: proteins and clusters by split, simulated families, and its start's card."""
    card: dict[str, Any] = {}
    if start:
        card["start"] = {"name": start.name, "sha256": start.sha256, "card": start.card}
    for split in ("train", "tune"):
        chosen = [e for e in examples if e.split == split]
        folds = [e for e in chosen if e.cluster.startswith(CLUSTER)]
        chosen = [e for e in chosen if not e.cluster.startswith(CLUSTER)]
        real = sorted(e.protein for e in chosen if "~" not in e.protein)
        clusters = sorted({e.cluster for e in chosen})
        simulated = len(chosen) - len(real)
        card[split] = {"proteins": real, "clusters": clusters, "simulated": simulated, "folds": len(folds)}
    return card
