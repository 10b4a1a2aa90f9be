"""Training of the refiner: seeded, resumable, the same code on a CPU and on a GPU."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from data.errors import CovarionError, TrainingStopped
from data.families import CLUSTER
from data.homology import save_families
from nets.ahead import Ahead
from nets.calibrate import fit_calibration, fit_chain, tuning_scores
from nets.captured import CapturedStep
from nets.checkpoint import Loaded, choose_device, load_refiner, save_weights
from nets.config import PAIR_MAPS, TRROSETTA_MAPS, RefinerConfig, TrainConfig, as_metadata, from_metadata
from nets.convolution import use_threads
from nets.dataset import Example, by_cluster, check_examples, example_at, random_crop
from nets.group import Group
from nets.identity import run_identity
from nets.interrupt import Interrupt
from nets.lineage import check_start, data_card, grown
from nets.live import LiveCrops, LiveExample
from nets.losses import batch_losses, taught_loss
from nets.model import Pixels, Refiner
from nets.networks import network_of
from nets.relatives import families_file, families_of, known_families, merged
from nets.shipped import find_weights
from nets.state import WEIGHTS, RunFiles, read_state, write_state
from nets.steps import check_loss, in_half, parameter_groups, schedule, stacked
from nets.triangle import skip_still_triangles

STOPPED = "training stopped after step"  # by this `nets.launch` knows what processes of a group say

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
        Gets ``checkpoint.safetensors``, ``history.tsv`` and, at the end, weights.
    device : str
        ``cpu`` or ``cuda``.
    start : Loaded, optional
        Weights to go on from, of the same shape; by default they are drawn at random.
    readers : int
        Threads that read crops ahead; the numbers do not depend on it.
    group : Group, optional
        Processes that train together, each of which makes a trainer; by default this one alone.
    name : str
        Of the weights; those of another name have files of their own in the folder (`nets.state.RunFiles`).

    Raises
    ------
    CovarionError
        Nothing to train on, a cluster in two splits, labels in other bins, crops that cannot be shared
        evenly, or a start of another shape or that has learned from a tuning cluster.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        config: RefinerConfig,
        settings: TrainConfig,
        folder: str | Path,
        device: str = "cpu",
        start: Loaded | None = None,
        readers: int = 1,
        group: Group | None = None,
        name: str = WEIGHTS,
    ):
        check_examples(examples, config.bin_edges)
        learned = [e for e in examples if e.split == "train"]
        self.clusters = by_cluster([e for e in learned if not e.cluster.startswith(CLUSTER)])
        self.folds = by_cluster([e for e in learned if e.cluster.startswith(CLUSTER)])
        self.tuning = [e for e in examples if e.split == "tune"]
        if not learned:
            raise CovarionError("nothing to train on", remedy="give at least one protein the split 'train'")
        self.config, self.settings, self.device = config, settings, torch.device(device)
        self.files = RunFiles.of(Path(folder) / name)
        self.readers, self.group = readers, group or Group()
        self.group.check_shares(settings.batch)
        self._check_teacher(learned)
        self.identity = run_identity(config, settings, examples, start)
        torch.manual_seed(settings.seed)
        self.model = network_of(config).to(self.device)
        self.live = self._live_crops() if settings.live_every else None
        if start:
            check_start(start, config, self.tuning)
            self.model.load_state_dict(grown(start.model.state_dict(), self.model.state_dict()))
        fused = True if self.device.type == "cuda" and settings.live_every else None
        groups = parameter_groups(self.model, settings.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)
        self.average = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.begun = {name: value.clone() for name, value in self.average.items()} if start else {}
        self.network: torch.nn.Module = self.model  # in a group, what averages its gradients
        self.captured: CapturedStep | None = None
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.unread: list[tuple[int, torch.Tensor]] = []  # losses on a GPU and their rows of the history

    def _live_crops(self) -> LiveCrops:
        if self.group.size > 1:
            raise CovarionError(
                "training from alignments takes one process",
                value=f"live_every {self.settings.live_every}, {self.group.size} processes",
                remedy="set train: processes to 1, or live_every to 0",
            )
        if unknown := sorted(set(self.config.pair_maps) - {*PAIR_MAPS, *TRROSETTA_MAPS}):
            raise CovarionError(
                "training from alignments does not compute a pair map that the network reads",
                value=", ".join(unknown),
                remedy="set live_every to 0",
            )
        torch.backends.cudnn.benchmark = True  # there are two sizes of squares
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        how = self.settings, self.device, self.config.pair_maps, self.config.on_diagonal
        return LiveCrops(self.clusters, self.folds, *how)  # type: ignore[arg-type]

    def _captured_step(self) -> CapturedStep | None:
        alone = self.group.size == 1 and self.device.type == "cuda"
        if not (self.live and alone and isinstance(self.model, Refiner)):
            return None
        half = self.settings.precision == "bfloat16"
        return CapturedStep(self.model, self.settings.contact_weight, half)

    def _check_teacher(self, learned: Sequence[Example]) -> None:
        if self.settings.teacher and not any(example.teacher for example in learned):
            raise CovarionError(
                "no example has labels of the teacher",
                value=self.settings.teacher,
                remedy="write the data set with the same train: settings: teacher",
            )

    def run(self, deadline: float = math.inf, interrupted: Callable[[], object] = bool) -> bool:
        """Train to the last step, or until `deadline` (``time.monotonic``) or `interrupted()` is true.

        Stopped early it writes the checkpoint that another run goes on from.

        Returns
        -------
        bool
            Whether the last step is done.
        """
        self.resume()
        if self.begun and self.step == 0 and self.tuning and self.group.leads:
            logger.info("before training: %s", tuning_scores(self.averaged(), self.tuning))
        self.network = self.group.wrapped(self.model)
        self.captured = self._captured_step()
        begun, first, last = time.perf_counter(), self.step, self.settings.steps
        ahead = Ahead(self._ready, first, last, self.readers)
        with ahead if not self.live else contextlib.nullcontext():
            while self.step < last:
                if self.group.any(time.monotonic() >= deadline or bool(interrupted())):
                    self.save()
                    self.group.any(False)  # no process says that it stopped before the first has saved
                    break
                self._update(self.live.at(self.step) if self.live else ahead.take())
                self._look()
        seconds = time.perf_counter() - begun
        if self.step > first:
            share = 100 * ahead.waited / seconds
            logger.info("%d steps in %.1f s, %.1f %% waiting for crops", self.step - first, seconds, share)
        return self.step >= last

    def _ready(self, step: int) -> list[tuple]:
        """Crops of a step; for a GPU in memory that it can copy from by itself."""
        crops = self._load(step)
        if self.device.type != "cuda":
            return crops
        return [(pixels.pinned(), *(part.pin_memory() for part in labels)) for pixels, *labels in crops]

    def _load(self, step: int) -> list[tuple]:
        settings, group = self.settings, self.group
        numbers = range(step * settings.batch, (step + 1) * settings.batch)[group.rank :: group.size]
        how: dict[str, Any] = {
            "diagonal": self.config.on_diagonal,
            "taught": self.config.bin_edges if settings.teacher else (),
        }
        return [
            random_crop(self._example(n), settings.crop, np.random.default_rng([settings.seed, 1, n]), **how)
            for n in numbers
        ]

    def _example(self, number: int) -> Example:
        """Crop number `number` is of a family or, with probability `fold_share`, of a simulated fold."""
        chance = np.random.default_rng([self.settings.seed, 2, number]).random()
        folds = self.folds and (chance < self.settings.fold_share or not self.clusters)
        return example_at(number, self.folds if folds else self.clusters, self.settings.seed)

    def _update(self, crops: list[tuple]) -> None:
        settings = self.settings
        losses: list[torch.Tensor] = []
        self.model.train()
        # Dropout depends on the step alone, and in a group on the process
        torch.manual_seed(settings.seed * 1_000_003 + self.step + self.group.rank * 1_000_000_007_003)
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * schedule(self.step, settings.steps)
        share = sum(len(labels[0]) for _, *labels in crops)
        for pixels, *labels in stacked(crops, settings.micro_batch):
            more = len(losses) + len(labels[0]) < share
            losses += self._losses(pixels, *labels, more=more, share=share)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._track_average()
        if self.captured:  # read when it is asked for, so that the GPU need not be waited for
            self.unread.append((len(self.history), torch.stack(losses).mean()))
        mean = 0.0
        for loss in losses if not self.captured else []:  # only now, for the same reason
            mean += float(loss) / share
        self.history.append({"step": self.step, "loss": self.group.mean(mean)})
        check_loss(self.history[-1])

    def _losses(
        self, pixels: Pixels, bins: torch.Tensor, soft: torch.Tensor | None = None, *, more: bool, share: int
    ) -> list[torch.Tensor]:
        """Losses of crops that pass at once; their gradients are added to those that are there.

        Each crop counts as 1 / `share`, so that the sum over a step is the gradient of the mean loss.
        """
        settings, half = self.settings, self.settings.precision == "bfloat16"
        if self.captured and share == len(bins):
            return list(self.captured(pixels, bins))
        pixels, bins = pixels.to(self.device), bins.to(self.device, non_blocking=True)
        soft = None if soft is None else soft.to(self.device, non_blocking=True)
        with self.group.accumulating(self.network, more):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
                logits = self.network(pixels)
            if pixels.inside is not None:
                each = batch_losses(
                    logits, bins, pixels.separation, self.config.contact_bins, settings.contact_weight
                )
                (each.sum() / share).backward()
                return list(each.detach())
            losses = [
                taught_loss(
                    logits[k : k + 1], bins[k : k + 1], None if soft is None else soft[k : k + 1],
                    pixels.separation[k : k + 1], self.config.contact_bins, settings.contact_weight,
                    settings.teacher_weight,
                )
                for k in range(len(bins))
            ]  # fmt: skip
            (torch.stack(losses).sum() / share).backward()
        return [loss.detach() for loss in losses]

    def _track_average(self) -> None:
        decay = self.settings.average
        if not self.begun:  # early on the average follows closely, so that the random start is forgotten
            decay = min(decay, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        with torch.no_grad():
            torch._foreach_lerp_([self.average[name] for name in now], list(now.values()), 1 - decay)

    def _look(self) -> None:
        settings, last = self.settings, self.step == self.settings.steps
        if self.step % settings.save_every and self.step % settings.evaluate_every and not last:
            return
        self._read_losses()
        if self.tuning and self.group.leads and (self.step % settings.evaluate_every == 0 or last):
            self.history[-1] |= tuning_scores(self.averaged(), self.tuning)
            logger.info("step %d: %s", self.step, self.history[-1])
        if self.step % settings.save_every == 0 or last:
            losses = [row["loss"] for row in self.history[-settings.save_every :]]
            logger.info("step %d of %d: mean loss %.4f", self.step, settings.steps, np.mean(losses))
            self.save()

    def _read_losses(self) -> None:
        for row, loss in self.unread:
            self.history[row]["loss"] = float(loss)
            check_loss(self.history[row])
        self.unread.clear()

    def averaged(self) -> Any:
        """The model with the running average of its weights, and the start's share, for evaluation."""
        model = network_of(self.config).to(self.device)
        keep = self.settings.keep_start if self.begun else 0.0
        model.load_state_dict(
            {
                name: torch.lerp(value, self.begun[name], keep) if keep else value
                for name, value in self.average.items()
            }
        )
        skip_still_triangles(model)
        return model.eval()

    def save(self) -> None:
        """Write the checkpoint and the history, each in one step; in a group its first process does."""
        self._read_losses()
        if self.group.leads:
            write_state(self.files, self)

    def resume(self) -> None:
        """Go on from the checkpoint of the same settings, where there is one.

        Raises
        ------
        CovarionError
            Processes of a group see different checkpoints.
        """
        read_state(self.files, self)
        self.group.check_same(
            self.step,
            "the processes of a training run see different checkpoints",
            "keep its folder on a file system that all of them share",
        )

    def finish(self, card: dict[str, Any]) -> Path:
        """Calibrate on the tuning families and write the weights with their data card.

        Raises
        ------
        CovarionError
            The weights have diverged.
        """
        model = self.averaged()
        halves = in_half(model.state_dict())
        chain = fit_chain(model, self.tuning, self.settings.chain)
        calibration = fit_calibration(model, self.tuning, chain)
        card = card | {"training": as_metadata(self.settings)}
        save_weights(self.files.weights, halves, self.config, calibration, card, chain)
        return self.files.weights


def train_refiner(
    files: Sequence[dict[str, str]],
    out: str,
    model: dict[str, Any],
    settings: dict[str, Any],
    device: str = "auto",
    threads: int = 1,
    start: str = "",
    *,
    readers: int = 1,
    minutes: float = 0,
    group: Group | None = None,
) -> None:
    """Train on example files and write weights; a killed run goes on from its last checkpoint.

    Parameters
    ----------
    files : sequence of dict
        Fields of :class:`nets.dataset.Example`.
    out : path
        Weights, ``weights.safetensors`` in the folder of the run or of another name with this ending; the
        families that were learned from are listed beside it, see `nets.relatives`.
    model, settings : dict
        Fields of :class:`nets.config.RefinerConfig` and :class:`nets.config.TrainConfig`.
    start : str
        Weights to go on from, by name or path; their shape is taken. Empty starts at random.
    readers, group
        As :class:`Trainer`.
    minutes : float
        After so long the run saves its state and stops; 0: never.

    Raises
    ------
    TrainingStopped
        SIGTERM, SIGUSR1 or the time came first; the next call goes on from there.
    """
    limit = time.monotonic() + 60 * minutes if minutes else math.inf
    use_threads(threads)
    written = RunFiles.of(out)
    begun, device = load_refiner(start) if start else None, choose_device(device)
    config = from_metadata(RefinerConfig, (as_metadata(begun.model.config) if begun else {}) | model)
    run = from_metadata(TrainConfig, settings)
    examples: list[Any] = [Example(**entry) for entry in files]
    if run.live_every:
        examples = [LiveExample.of(example, device, config.pair_maps) for example in examples]
    place = written.weights.parent, device, begun, readers, group, written.weights.name
    trainer = Trainer(examples, config, run, *place)
    with Interrupt() as interrupt:
        if not trainer.run(limit, lambda: interrupt.name):
            raise TrainingStopped(
                f"{STOPPED} {trainer.step} of {run.steps}, its state is saved",
                file=written.checkpoint,
                value=interrupt.name or f"{minutes:g} minutes passed, or another process was stopped",
                remedy="run it again: it goes on from there",
            )
    if trainer.group.leads:
        trainer.finish(data_card(examples, begun))
        before = known_families(find_weights(start)) if start else []
        save_families(families_file(out), merged([*before, *families_of(examples)]))
        # Weights that are whole need no checkpoint: asked for again, they are trained again.
        written.checkpoint.unlink(missing_ok=True)  # none where no step was taken
    trainer.group.any(False)  # the others wait for the first
